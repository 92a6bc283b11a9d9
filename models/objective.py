"""What training makes small: one loss a head, on the states of a chunk of steps."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.cells.cell import Cell
from models.item_loss import item_loss
from models.model_directory import Heads
from models.network import inputs, readout, recent_weights, time_loss
from models.recent_loss import Recent
from models.sampled_loss import Drawn, sampled_loss
from models.sequences import IGNORED
from models.training_table import Aims, Parts, Steps

_WEIGHTS = (1.0, 1.0, 1.0, 0.1)
"""Weight of each head's mean loss in the sum: next action, next item, time to anything, time to an action.

Equal weights were better for every head than half the weight for the next item, whose loss is the largest, on
validation rows of JD appliances and of the simulator; on those of JD also than less of it, and than weights in
proportion to 1 / loss, where learnt ones come to rest (Kendall, Gal and Cipolla, Multi-task learning using uncertainty
to weigh losses for scene geometry and semantics, CVPR 2018). Waiting for the
same purchase is one observation seen from all the events before it, so its rows count for less: with weight 1 the
network learns the training users by heart.
"""


def names(heads: Heads) -> tuple[str, ...]:
    """Return the names of the heads."""
    return ("next_action", "next_item", *(f"time_to_{target}" for target in heads.targets))


def weighted(by_head: Tensor) -> Tensor:
    """Return the sum of the heads' losses [heads] that training makes small."""
    return (by_head * torch.tensor(_WEIGHTS[: len(by_head)])).sum()


class Dropout(NamedTuple):
    """How much is hidden while training.

    Fields:
        items: share of the inputs whose item is taken for unknown, which is how the row of unknown items is learnt.
        states: share of the state's numbers that the heads do not see.
        generator: draws both.
    """

    items: float
    states: float
    generator: torch.Generator


def run(
    cell: Cell, weights: dict[str, Tensor], steps: Steps, events: Tensor, state: Tensor, dropout: Dropout | None = None
) -> tuple[Tensor, Tensor]:
    """Return what the heads read after steps of lanes [steps, lanes, HIDDEN], and the state after the last.

    Args:
        cell: makes the states.
        weights: `Network.on_grid`.
        steps: inputs of all events.
        events: as `lanes.fill` plans them [steps, lanes].
        state: before the first step [lanes, `Sizes.state`].
        dropout: hides items.
    """
    rows = events.clamp(min=0)
    item = steps.item[rows]
    if dropout is not None:
        item = item * (torch.rand(item.shape, generator=dropout.generator) >= dropout.items)
    x = inputs(weights, item, steps.action_gap[rows], steps.hour[rows], steps.context[rows])
    return cell.run(weights, x, ~steps.begins[rows], state)


def losses(
    weights: dict[str, Tensor],
    log: Parts,
    aims: Aims,
    rows: Tensor,
    h: Tensor,
    *,
    dropout: Dropout | None = None,
    drawn: Drawn | None = None,
    label_smoothing: float = 0.0,
    item_rows: int | None = None,
) -> Tensor:
    """Return the mean loss of each head in nats [heads].

    Outcomes that nobody knows are left out of the mean. A next item that is unknown to the vocabulary, or has not come,
    counts with 0: the next item weighs as much as the log tells of it.

    Args:
        weights: `Network.on_grid`.
        log: inputs of all events.
        aims: its targets.
        rows: which events [n].
        h: states after them [n, HIDDEN].
        dropout: hides numbers of the states.
        drawn: items that stand for all others in the next item's loss, whose label is not smoothed then.
        label_smoothing: share of the next action and of the next item that is spread over all of them.
        item_rows: score the next item on the first so many rows only that have one.
    """
    if dropout is not None:
        kept = torch.rand(h.shape, generator=dropout.generator) >= dropout.states
        h = h * kept / (1 - dropout.states)
    logits, hazards = readout(weights, log.heads, h, log.steps.window_bins[rows], log.steps.latest[rows])
    action = aims.next_action[rows]
    waits = [
        time_loss(
            hazards[:, k],
            aims.bins[rows, k],
            aims.shares[rows, k],
            aims.came[rows, k],
            aims.since_bins[rows],
            aims.since_shares[rows],
        ).mean()
        for k in range(hazards.shape[1])
    ]
    known = torch.nonzero(aims.next_item[rows])[:, 0]
    scored = known[:item_rows]
    following = aims.next_item[rows[scored]]
    item = torch.zeros(())
    if len(scored):
        query = h[scored] @ weights["query"]
        vectors, bias = weights["item_embedding"][1:], weights["item_bias"][1:]
        aimed, last = following - 1, _recent(weights, log, rows[scored], h[scored], aims is log.train)
        if drawn is None:
            item = item_loss(query, vectors, bias, aimed, label_smoothing, recent=last)
        else:
            item = sampled_loss(query, vectors, bias, aimed, drawn, last)
    seen = (action != IGNORED).sum().clamp(min=1)
    outcome = functional.cross_entropy(
        logits, action, ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing
    )
    item = item / max(len(scored), 1) * (len(known) / len(rows))
    return torch.stack([outcome / seen, item, *waits])


def _recent(weights: dict[str, Tensor], log: Parts, rows: Tensor, h: Tensor, learning: bool) -> Recent:
    """Return what the last items up to some rows add; rows that are learnt from know the counts of other sequences."""
    held, first = log.held(rows, learning=learning)
    return Recent(log.followers.tables, held.item, first, recent_weights(weights, h, held))
