"""How much each part of the next item's scores is to count so that their probabilities can be believed.

The scores are a sum: what the state says, popularity, what followed the last items, and coming again. Each may be too
sure of itself by another factor; these, and one number for all items of the ring, are fitted on validation rows, by
Newton's method: the log-loss is convex in them.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.network import recent_weights
from models.state import Ints
from models.training_table import Parts

NONE = (1.0, 1.0, 1.0, 1.0, 0.0)
"""What leaves the scores as they are: factors of state, popularity, followers, coming again; a number for the ring."""

_HELD = 10.0  # strength of the prior that holds all near `NONE`: so many rows that say so
_STEPS = 12
_NEAR = 1e-3  # a step shorter than this is the last
_BLOCK = 256


class ItemParts(NamedTuple):
    """The parts of the next item's scores of some rows.

    Fields:
        each: state, followers, coming again, and which items are in the ring [4, n, items].
        bias: popularity [items].
        target: column of the item that came [n].
    """

    each: Tensor
    bias: Tensor
    target: Tensor

    def scores(self, factors: Tensor, rows: Tensor) -> Tensor:
        """Return the scores of some rows in float32, each part by its factor [rows, items]."""
        made = self.bias * factors[1].float()
        return made + torch.einsum("k,knj->nj", factors[[0, 2, 3, 4]].float(), self.each[:, rows])

    @torch.no_grad()
    def told(self, factors: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-loss of some rows, the probability of the likeliest item and whether it came, each [rows]."""
        found = [torch.zeros(3, 0)]
        for some in torch.split(rows, _BLOCK):
            scores = self.scores(factors, some)
            total, (top, which) = scores.logsumexp(1), scores.max(1)
            own = scores.gather(1, self.target[some, None])[:, 0]
            found.append(torch.stack([total - own, (top - total).exp(), (which == self.target[some]).float()]))
        loss, sure, came = torch.cat(found, 1).double()
        return loss, sure, came > 0


@torch.no_grad()
def item_parts(weights: dict[str, Tensor], log: Parts, row: Tensor, h: Tensor) -> ItemParts:
    """Return the parts of the scores of rows whose next item is known.

    Args:
        weights: `Network.on_grid`.
        log: that was trained on.
        row: which rows [n].
        h: recurrent states [n, HIDDEN].
    """
    vectors = weights["item_embedding"][1:]
    held, first = log.held(row)
    weight = recent_weights(weights, h, held).double().numpy()
    each = torch.zeros(4, len(row), len(vectors))
    torch.mm(h @ weights["query"], vectors.T, out=each[0])
    follow, again, ring = np.zeros_like(weight), np.zeros_like(weight), np.zeros_like(weight)
    follow[:, 0], again[:, 1], ring[:, 1] = weight[:, 0], weight[:, 1], 1
    column: Ints = np.arange(-1, len(vectors))
    for k, part in enumerate((follow, again, ring), 1):
        log.followers.tables.add(each[k].numpy(), column, held.item, first, part)
    return ItemParts(each, weights["item_bias"][1:], log.validation.next_item[row] - 1)


@torch.no_grad()
def fit(parts: ItemParts, rows: Tensor, start: Tensor) -> Tensor:
    """Return the factors of the least loss on some rows, held near `NONE` by a weak prior [5].

    Args:
        parts: of the scores.
        rows: which count [rows].
        start: where to begin [5].
    """
    none, factors = torch.tensor(NONE, dtype=torch.float64), start.clone()
    for _ in range(_STEPS):
        slope, curve = _HELD * (factors - none), _HELD * torch.eye(len(NONE), dtype=torch.float64)
        for some in torch.split(rows, _BLOCK):
            odds = torch.softmax(parts.scores(factors, some), 1)
            every = torch.stack([parts.each[0, some], parts.bias.expand_as(odds), *parts.each[1:, some]])
            mean = torch.einsum("nj,knj->nk", odds, every).double()
            both = torch.einsum("knj,lnj->kl", every * odds, every).double()
            own = every.gather(2, parts.target[some].expand(len(NONE), -1)[..., None])[..., 0].T.double()
            slope += (mean - own).sum(0)
            curve += both - mean.T @ mean
        step = torch.linalg.solve(curve, slope)
        factors = factors - step / max(1.0, float(step.abs().max()))
        if float(step.abs().max()) < _NEAR:
            break
    return factors
