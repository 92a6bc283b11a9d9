"""What training makes small: one loss a head, on the states of a chunk of steps."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.item_loss import item_loss
from models.model_directory import Heads
from models.network import item_scores, readout, states, time_loss
from models.sequences import IGNORED
from models.training_table import Aims, Parts, Steps

_WEIGHTS = (1.0, 0.5, 1.0, 0.1)
"""Weight of each head's mean loss in the sum: next action, next item, time to anything, time to an action.

The next action and the time to the next event are one or two nats a row. The next item's loss is several times as large
and would rule the state alone. Waiting for the same purchase is one observation seen from all the events before it, so
its rows count for less: with weight 1 the network learns the training users by heart.
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


def run(weights: dict[str, Tensor], steps: Steps, events: Tensor, h: Tensor, dropout: Dropout | None = None) -> Tensor:
    """Return the states after steps of lanes [steps, lanes, HIDDEN]; events are as `lanes.fill` plans them."""
    rows = events.clamp(min=0)
    item = steps.item[rows]
    if dropout is not None:
        item = item * (torch.rand(item.shape, generator=dropout.generator) >= dropout.items)
    begun = ~steps.begins[rows]
    return states(weights, item, steps.action_gap[rows], steps.hour[rows], steps.context[rows], begun, h)


def losses(
    weights: dict[str, Tensor],
    log: Parts,
    aims: Aims,
    rows: Tensor,
    h: Tensor,
    *,
    dropout: Dropout | None = None,
    candidates: int = 0,
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
        candidates: number of items drawn to stand for all others in the next item's loss; 0: all items are scored.
        label_smoothing: share of the next action and of the next item that is spread over all of them.
        item_rows: score the next item on the first so many rows only that have one.
    """
    if dropout is not None:
        kept = torch.rand(h.shape, generator=dropout.generator) >= dropout.states
        h = h * kept / (1 - dropout.states)
    logits, hazards = readout(weights, log.heads, h, log.steps.window_bins[rows])
    action = aims.next_action[rows]
    waits = [
        time_loss(hazards[:, k], aims.bins[rows, k], aims.shares[rows, k], aims.came[rows, k]).mean()
        for k in range(hazards.shape[1])
    ]
    known = torch.nonzero(aims.next_item[rows])[:, 0]
    scored = known[:item_rows]
    following = aims.next_item[rows[scored]]
    if not len(scored):
        item = torch.zeros(())
    elif candidates and dropout is not None:
        item = _sampled(weights, h[scored], following, candidates, dropout.generator)
    else:
        query = h[scored] @ weights["query"]
        vectors, bias = weights["item_embedding"][1:], weights["item_bias"][1:]
        item = item_loss(query, vectors, bias, following - 1, label_smoothing)
    seen = (action != IGNORED).sum().clamp(min=1)
    outcome = functional.cross_entropy(
        logits, action, ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing
    )
    item = item / max(len(scored), 1) * (len(known) / len(rows))
    return torch.stack([outcome / seen, item, *waits])


def _sampled(
    weights: dict[str, Tensor], h: Tensor, following: Tensor, candidates: int, generator: torch.Generator
) -> Tensor:
    """Return the summed next-item loss with a sample for the sum over all items.

    Items are drawn log-uniformly by rank of frequency (the vocabulary's order) and weighted by how likely they were to
    be drawn (Jean et al., On using very large target vocabulary for neural machine translation, ACL 2015).
    """
    count = len(weights["item_bias"]) - 1
    drawn = torch.exp(torch.rand(candidates, generator=generator) * torch.log(torch.tensor(count + 1.0))).long()
    rows = torch.unique(drawn.clamp(1, count))
    chance = torch.log1p(1 / rows) / torch.log(torch.tensor(count + 1.0))
    included = -torch.expm1(candidates * torch.log1p(-chance))
    scores = item_scores(weights, h, rows) - torch.log(included)
    scores = scores.masked_fill(rows == following[:, None], -torch.inf)
    own = (h @ weights["query"] * weights["item_embedding"][following]).sum(1) + weights["item_bias"][following]
    return (torch.logsumexp(torch.cat([own[:, None], scores], 1), 1) - own).sum()
