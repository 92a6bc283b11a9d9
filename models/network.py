"""The network as it trains, in torch: the equations of `model_directory.shapes`, on the grid of `models.grid`.

Tables and heads are the same whichever cell makes the states. Weights are rounded as in serving while gradients pass as
if they were not (straight-through: Bengio et al., Estimating or propagating gradients through stochastic neurons,
2013), so that export changes nothing.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.cells.cell import Cell
from models.cells.gru import Gru
from models.cells.lru import Lru
from models.cells.lstm import Lstm
from models.cells.sizes import SERVED_NETWORK
from models.cells.transformer import Transformer
from models.features import HOURS_OF_WEEK, TIME_BINS
from models.grid import EMBEDDING_UNIT, WEIGHT_UNIT
from models.latest import ordered
from models.model_directory import COUNTED, RECENT, SERVED, VECTOR, Heads, shapes
from models.recent import GATES, SLOTS, Held, Tables
from models.state import HIDDEN, RING, Floats, Ints
from models.windows import BINS

LIMIT = 8.0
"""Largest size of a weight."""

DAYS = 7
_SPREAD = {"item_embedding": 0.1, "item_input": VECTOR**-0.5, "query": HIDDEN**-0.5}
CELLS: dict[str, Cell] = {"gru": Gru(), "lstm": Lstm(), "transformer": Transformer(), "lru": Lru()}
"""What makes the states, by the name of the network."""

_RATED = ("readout", "window", "latest")
_TRUSTED = 20  # rows of a code of `latest` that let half of what was learnt of it count


class Network(nn.Module):
    """The parameters, named as in `model_directory.shapes`, without what is counted.

    The hour of the week is learnt as the sum of a day and an hour of the day: few logs show an hour of the week often
    enough to learn it alone. What raises the hazards of a target is learnt as the sum of a rate, the same in all time
    bins (proportional hazards: Cox, Regression models and life-tables, 1972), and of a number for each bin: few logs
    show the late bins often enough. What a code of `latest` adds is multiplied by `trust`, which is small where there
    were few rows of the code: Adam moves a weight by as much for a few rows as for many. Codes of a number that grows
    are learnt as the steps from one to the next, so that one that was never seen adds what the last one before it does.
    An item's vector is learnt as the sum of one of its category and one of its own: few rows tell much of a rare item.

    Args:
        items: number of known items.
        generator: makes the first weights.
        heads: what it tells apart and predicts.
        kind: one of `CELLS`.
        category: of each row of the item tables, 0: none [items + 1].
    """

    def __init__(
        self,
        items: int,
        generator: torch.Generator,
        heads: Heads = SERVED,
        kind: str = SERVED_NETWORK,
        category: Ints | None = None,
    ) -> None:
        super().__init__()
        self.heads, self.cell = heads, CELLS[kind]
        learnt, own = shapes(items, heads, kind), self.cell.sizes.own
        for name in COUNTED:
            del learnt[name]
        if heads.timed:
            _, width = learnt.pop("hour_of_week")
            learnt |= {"day_of_week": (DAYS, width), "hour_of_day": (HOURS_OF_WEEK // DAYS, width)}
            learnt |= {f"{name}_rate": (learnt[name][0], len(heads.targets)) for name in _RATED}
        for name, shape in learnt.items():
            spread = shape[0] ** -0.5 if name in own and not name.endswith("bias") else _SPREAD.get(name, 0.0)
            first = torch.randn(shape, generator=generator) * spread
            given = self.cell.first(name, shape) if name in own else None
            self.register_parameter(name, nn.Parameter(first if given is None else given))
        self.category: Tensor | None = None
        if category is not None and category.any():
            self.category = torch.from_numpy(category)
            self.category_embedding = nn.Parameter(torch.zeros(int(category.max()) + 1, VECTOR))
        self.trust: Tensor
        self.register_buffer("trust", torch.ones(learnt["latest"][0], 1))
        self._settled = False

    def on_grid(self) -> dict[str, Tensor]:
        """Return all weights as serving rounds them, with the gradient of the weights themselves."""
        return {name: weight + (_rounded(name, weight) - weight.detach()) for name, weight in self._weights()}

    def export(self) -> dict[str, Floats]:
        """Return the weights for a model directory, without what is counted."""
        return {name: _rounded(name, weight).numpy() for name, weight in self._weights()}

    @torch.no_grad()
    def settle(self) -> None:
        """Make one number of each weight of the heads that is learnt as a sum or a product: it can then be scaled."""
        for name, weight in self._weights():
            if name in _RATED:
                self.get_parameter(name).copy_(weight)
        self._settled = True

    def trusts(self, codes: Tensor) -> None:
        """Set `trust` by the codes of training rows [rows, codes]; of a step, by how many are on its rarer side."""
        rows = torch.bincount(codes.long().flatten(), minlength=len(self.trust))
        for part in ordered(len(self.heads.actions)):
            beyond = rows[part].flip(0).cumsum(0).flip(0)
            rows[part] = torch.minimum(beyond, rows[part].sum() - beyond)
        self.trust.copy_((rows / (rows + _TRUSTED))[:, None])

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        learnt: dict[str, Tensor] = dict(self.named_parameters())
        if self.category is not None:
            shared = functional.embedding(self.category, learnt.pop("category_embedding"), padding_idx=0)
            learnt["item_embedding"] = learnt["item_embedding"] + shared
        if self.heads.timed:
            day, hour = learnt.pop("day_of_week"), learnt.pop("hour_of_day")
            yield "hour_of_week", (day[:, None] + hour).reshape(HOURS_OF_WEEK, -1)
            rates = {name: learnt.pop(f"{name}_rate") for name in _RATED}
            if not self._settled:
                learnt |= {name: learnt[name] + self._in_all_bins(rate) for name, rate in rates.items()}
        if not self._settled:
            learnt["latest"] = self._summed(learnt["latest"] * self.trust)
        yield from learnt.items()

    def _in_all_bins(self, rate: Tensor) -> Tensor:
        none = rate.new_zeros(len(rate), len(self.heads.outcomes))
        return torch.cat([none, rate.repeat_interleave(TIME_BINS, 1)], 1)

    def _summed(self, table: Tensor) -> Tensor:
        parts: list[Tensor] = []
        done = 0
        for part in ordered(len(self.heads.actions)):
            parts += [table[done : part.start], table[part].cumsum(0)]
            done = part.stop
        return torch.cat([*parts, table[done:]])


def _rounded(name: str, weight: Tensor) -> Tensor:
    unit = EMBEDDING_UNIT if name == "item_embedding" else WEIGHT_UNIT
    return torch.round(weight.detach() / unit).mul_(unit).clamp_(-LIMIT, LIMIT)


def inputs(weights: dict[str, Tensor], item: Tensor, action_gap: Tensor, hour: Tensor, context: Tensor) -> Tensor:
    """Return the input of each step [steps, lanes, `Sizes.inputs`].

    Args:
        weights: `Network.on_grid`.
        item: row of `item_embedding` [steps, lanes].
        action_gap: row of the table of this name [steps, lanes].
        hour: row of `hour_of_week` [steps, lanes]; a network without times has none.
        context: row of the table of this name [steps, lanes].
    """
    x = functional.embedding(item, weights["item_embedding"]) @ weights["item_input"]
    x = x + functional.embedding(action_gap, weights["action_gap"])
    x = x + functional.embedding(context, weights["context"])
    return x + functional.embedding(hour, weights["hour_of_week"]) if "hour_of_week" in weights else x


def readout(
    weights: dict[str, Tensor], heads: Heads, h: Tensor, window_bins: Tensor, latest: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the logits of the outcomes [n, outcomes] and of the hazards [n, targets, TIME_BINS].

    Args:
        weights: `Network.on_grid`.
        heads: what the network predicts.
        h: recurrent states [n, HIDDEN].
        window_bins: `windows.bins` of the same moments [n, features].
        latest: `latest.codes` of the same moments [n, codes].
    """
    logits = torch.addmm(weights["readout_bias"], h, weights["readout"])
    logits = logits + functional.embedding_bag(latest.long(), weights["latest"], mode="sum")
    if heads.timed:
        rows = window_bins.long() + torch.arange(heads.features) * BINS
        logits = logits + functional.embedding_bag(rows, weights["window"], mode="sum")
    outcomes = len(heads.outcomes)
    return logits[:, :outcomes], logits[:, outcomes:].reshape(len(h), len(heads.targets), TIME_BINS)


def item_scores(weights: dict[str, Tensor], tables: Tables, h: Tensor, held: Held, first: Ints) -> Tensor:
    """Return the logits of the next item, of all known items [n, items]; without a gradient.

    Args:
        weights: `Network.on_grid`.
        tables: what followed what.
        h: recurrent states [n, HIDDEN].
        held: the last items [n].
        first: where the tables of each row begin [n].
    """
    vectors, bias = weights["item_embedding"][1:], weights["item_bias"][1:]
    scores = torch.addmm(bias, h @ weights["query"], vectors.T).detach()
    recent = recent_weights(weights, h, held).detach().double().numpy()
    tables.add(scores.numpy(), np.arange(-1, len(vectors)), held.item, first, recent)
    return scores


def recent_weights(weights: dict[str, Tensor], h: Tensor, held: Held) -> Tensor:
    """Return what lifts and coming again weigh, as `recent.Weights.of` does but for its rounding [n, 2, SLOTS]."""
    code, more = torch.from_numpy(held.code), torch.from_numpy(held.more)
    gate = h @ weights["recent_gate"]
    follow = weights["follow_bias"][code[:, :RECENT]] * (1 + gate[:, :1])
    again = weights["again_bias"]
    again = again[code] + again[len(again) - RING + more] + gate[:, GATES]
    return torch.stack([functional.pad(follow, (0, SLOTS - RECENT)), again], 1)


def time_loss(
    logits: Tensor, bin_: Tensor, share: Tensor, came: Tensor, since_bin: Tensor, since_share: Tensor
) -> Tensor:
    """Return -log P(what was observed of each time, given the silence before) [n], as `survival.Curves` have it.

    Args:
        logits: of the hazards [n, TIME_BINS].
        bin_: bin in which the event came or the observation ended [n].
        share: of that bin's width, passed without the event [n].
        came: whether the event came [n].
        since_bin: bin in which the observation began: it says nothing of what was before [n].
        since_share: of that bin's width, passed then [n].
    """
    survived = functional.logsigmoid(-logits)
    bins = torch.arange(TIME_BINS)
    inside = survived.gather(1, bin_[:, None])[:, 0]
    passed = (survived * ((bins < bin_[:, None]) & (bins >= since_bin[:, None]))).sum(1) + share * inside
    passed = passed - since_share * survived.gather(1, since_bin[:, None])[:, 0]
    event = torch.where(came, inside + logits.gather(1, bin_[:, None])[:, 0], torch.zeros_like(inside))
    within = came & (since_bin == bin_) & (since_share > share)  # the observation began in the event's own bin
    left = ((1 + share - since_share) * inside).clamp(max=-1e-12)
    return -torch.where(within, torch.log(-torch.expm1(left)), passed + event)
