"""The network as it trains, in torch: the equations of `model_directory.shapes`, on the grid of `models.grid`.

Weights and states are rounded as in serving while gradients pass as if they were not (straight-through: Bengio et al.,
Estimating or propagating gradients through stochastic neurons, 2013), so that export changes nothing.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.features import HOURS_OF_WEEK, TIME_BINS
from models.grid import EMBEDDING_UNIT, STATE_UNIT, WEIGHT_UNIT
from models.model_directory import SERVED, Heads, shapes
from models.state import HIDDEN, Floats
from models.windows import BINS

LIMIT = 8.0
"""Largest size of a weight."""

DAYS = 7
_SPREAD = {"item_embedding": 0.1, "item_input": HIDDEN**-0.5, "hidden": HIDDEN**-0.5, "query": HIDDEN**-0.5}


class Network(nn.Module):
    """The parameters, named as in `model_directory.shapes`.

    The hour of the week is learnt as the sum of a day and an hour of the day: few logs show an hour of the week often
    enough to learn it alone.

    Args:
        items: number of known items.
        generator: makes the first weights.
        heads: what it tells apart and predicts.
    """

    def __init__(self, items: int, generator: torch.Generator, heads: Heads = SERVED) -> None:
        super().__init__()
        self.heads = heads
        learnt = shapes(items, heads)
        if heads.timed:
            del learnt["hour_of_week"]
            learnt |= {"day_of_week": (DAYS, 3 * HIDDEN), "hour_of_day": (HOURS_OF_WEEK // DAYS, 3 * HIDDEN)}
        for name, shape in learnt.items():
            first = torch.randn(shape, generator=generator) * _SPREAD.get(name, 0.0)
            self.register_parameter(name, nn.Parameter(first))

    def on_grid(self) -> dict[str, Tensor]:
        """Return all weights as serving rounds them, with the gradient of the weights themselves."""
        return {name: weight + (_rounded(name, weight) - weight.detach()) for name, weight in self._weights()}

    def export(self) -> dict[str, Floats]:
        """Return the weights for a model directory."""
        return {name: _rounded(name, weight).numpy() for name, weight in self._weights()}

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        learnt = dict(self.named_parameters())
        if self.heads.timed:
            day, hour = learnt.pop("day_of_week"), learnt.pop("hour_of_day")
            yield "hour_of_week", (day[:, None] + hour).reshape(HOURS_OF_WEEK, 3 * HIDDEN)
        yield from learnt.items()


def _rounded(name: str, weight: Tensor) -> Tensor:
    unit = EMBEDDING_UNIT if name == "item_embedding" else WEIGHT_UNIT
    return torch.round(weight.detach() / unit).mul_(unit).clamp_(-LIMIT, LIMIT)


def states(
    weights: dict[str, Tensor], item: Tensor, action_gap: Tensor, hour: Tensor, context: Tensor, keep: Tensor, h: Tensor
) -> Tensor:
    """Return the recurrent state after each step [steps, lanes, HIDDEN].

    Args:
        weights: `Network.on_grid`.
        item: row of `item_embedding` [steps, lanes].
        action_gap: row of the table of this name [steps, lanes].
        hour: row of `hour_of_week` [steps, lanes]; a network without times has none.
        context: row of the table of this name [steps, lanes].
        keep: 0 where a user's first event stands, else 1 [steps, lanes].
        h: state before the first step [lanes, HIDDEN].
    """
    x = functional.embedding(item, weights["item_embedding"]) @ weights["item_input"]
    x = x + functional.embedding(action_gap, weights["action_gap"])
    x = x + functional.embedding(context, weights["context"])
    if "hour_of_week" in weights:
        x = x + functional.embedding(hour, weights["hour_of_week"])
    result: Tensor = _Recurrence.apply(  # type: ignore[no-untyped-call]
        x, keep.to(x.dtype)[:, :, None], h, weights["hidden"], weights["hidden_bias"]
    )
    return result


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Recurrence(torch.autograd.Function):
    """All steps of the recurrence; its gradient by hand is twice as fast as the recorded one of so many small steps."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, keep: Tensor, h: Tensor, hidden: Tensor, hidden_bias: Tensor) -> Tensor:
        gates, candidates, before, after = (torch.empty_like(x[..., :n]) for n in (2 * HIDDEN, HIDDEN, HIDDEN, HIDDEN))
        products = torch.empty_like(before)  # h @ hidden_n + hidden_bias
        for t in range(len(x)):
            torch.mul(h, keep[t], out=before[t])
            product = before[t] @ hidden  # [lanes, 3 * HIDDEN]
            torch.add(x[t, :, : 2 * HIDDEN], product[:, : 2 * HIDDEN], out=gates[t]).sigmoid_()
            torch.add(product[:, 2 * HIDDEN :], hidden_bias, out=products[t])
            n = torch.addcmul(x[t, :, 2 * HIDDEN :], gates[t, :, :HIDDEN], products[t], out=candidates[t]).tanh_()
            h = torch.lerp(n, before[t], gates[t, :, HIDDEN:], out=after[t])
            h.div_(STATE_UNIT).round_().mul_(STATE_UNIT)
        ctx.save_for_backward(keep, hidden, gates, candidates, products, before)
        return after

    @staticmethod
    def backward(ctx: _Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        keep, hidden, gates, candidates, products, before = ctx.saved_tensors
        r, z = gates[..., :HIDDEN], gates[..., HIDDEN:]
        # factors of the state's gradient that need no state: all steps at once
        to_n = (1 - z) * (1 - candidates**2)
        to_z = (before - candidates) * z * (1 - z)
        to_r = products * r * (1 - r)
        dx = to_n.new_empty(*to_n.shape[:2], 3 * HIDDEN)
        d_product = torch.empty_like(dx)
        dh = torch.zeros_like(before[0])
        for t in range(len(dx) - 1, -1, -1):
            dh = dh + grads[0][t]
            dn = torch.mul(dh, to_n[t], out=dx[t, :, 2 * HIDDEN :])
            torch.mul(dn, to_r[t], out=dx[t, :, :HIDDEN])
            torch.mul(dh, to_z[t], out=dx[t, :, HIDDEN : 2 * HIDDEN])
            d_product[t, :, : 2 * HIDDEN] = dx[t, :, : 2 * HIDDEN]
            torch.mul(dn, r[t], out=d_product[t, :, 2 * HIDDEN :])
            dh = torch.addmm(dh * z[t], d_product[t], hidden.T) * keep[t]
        flat = d_product.reshape(-1, 3 * HIDDEN)
        d_hidden = before.reshape(-1, HIDDEN).T @ flat
        return dx, None, dh, d_hidden, flat[:, 2 * HIDDEN :].sum(0)


def readout(weights: dict[str, Tensor], heads: Heads, h: Tensor, window_bins: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of the outcomes [n, outcomes] and of the hazards [n, targets, TIME_BINS].

    Args:
        weights: `Network.on_grid`.
        heads: what the network predicts.
        h: recurrent states [n, HIDDEN].
        window_bins: `windows.bins` of the same moments [n, features].
    """
    logits = torch.addmm(weights["readout_bias"], h, weights["readout"])
    if heads.timed:
        rows = window_bins.long() + torch.arange(heads.features) * BINS
        logits = logits + functional.embedding_bag(rows, weights["window"], mode="sum")
    outcomes = len(heads.outcomes)
    return logits[:, :outcomes], logits[:, outcomes:].reshape(len(h), len(heads.targets), TIME_BINS)


def item_scores(weights: dict[str, Tensor], h: Tensor, rows: Tensor | None = None) -> Tensor:
    """Return the logits of the next item, of all known items or of the given table rows only: [n, items]."""
    vectors, bias = (
        (weights["item_embedding"][1:], weights["item_bias"][1:])
        if rows is None
        else (weights["item_embedding"][rows], weights["item_bias"][rows])
    )
    return torch.addmm(bias, h @ weights["query"], vectors.T)


def time_loss(logits: Tensor, bin_: Tensor, share: Tensor, came: Tensor) -> Tensor:
    """Return -log P(what was observed of each time) [n], as `survival.Curves` have it.

    Args:
        logits: of the hazards [n, TIME_BINS].
        bin_: bin in which the event came or the observation ended [n].
        share: of that bin's width, passed without the event [n].
        came: whether the event came [n].
    """
    survived = functional.logsigmoid(-logits)
    passed = torch.arange(TIME_BINS) < bin_[:, None]
    inside = survived.gather(1, bin_[:, None])[:, 0]
    event = torch.where(came, inside + logits.gather(1, bin_[:, None])[:, 0], torch.zeros_like(inside))
    return -((survived * passed).sum(1) + share * inside + event)
