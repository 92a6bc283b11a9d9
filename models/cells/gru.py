"""The GRU: what is served. Its states are rounded as in serving while gradients pass as if they were not."""

import torch
from torch import Tensor

from models.by_hand import Context
from models.cells.cell import Weights
from models.cells.sizes import NETWORKS
from models.grid import STATE_LIMIT, STATE_UNIT
from models.state import HIDDEN


class Gru:
    """The equations of `model_directory.shapes`; the state is what the heads read."""

    sizes = NETWORKS["gru"]

    def first(self, name: str, shape: tuple[int, ...]) -> Tensor | None:  # noqa: ARG002
        """Nothing begins in a special way."""
        return None

    def run(self, weights: Weights, x: Tensor, keep: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `cell.Cell`."""
        after: Tensor = _Recurrence.apply(  # type: ignore[no-untyped-call]
            x, keep.to(x.dtype)[:, :, None], state, weights["hidden"], weights["hidden_bias"]
        )
        return after, after[-1]


class _Recurrence(torch.autograd.Function):
    """All steps of the recurrence; its gradient by hand is twice as fast as the recorded one of so many small steps."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, keep: Tensor, h: Tensor, hidden: Tensor, hidden_bias: Tensor) -> Tensor:
        gates, candidates, before, after = (torch.empty_like(x[..., :n]) for n in (2 * HIDDEN, HIDDEN, HIDDEN, HIDDEN))
        products = torch.empty_like(before)  # h @ hidden_n + hidden_bias
        for t in range(len(x)):
            torch.mul(h, keep[t], out=before[t])
            product = before[t] @ hidden  # [lanes, 3 * HIDDEN]
            torch.add(x[t, :, : 2 * HIDDEN], product[:, : 2 * HIDDEN], out=gates[t]).sigmoid_()
            torch.add(product[:, 2 * HIDDEN :], hidden_bias, out=products[t])
            n = torch.addcmul(x[t, :, 2 * HIDDEN :], gates[t, :, :HIDDEN], products[t], out=candidates[t]).tanh_()
            h = torch.lerp(n, before[t], gates[t, :, HIDDEN:], out=after[t])
            h.div_(STATE_UNIT).round_().mul_(STATE_UNIT).clamp_(-STATE_LIMIT, STATE_LIMIT)
        ctx.save_for_backward(keep, hidden, gates, candidates, products, before)
        return after

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
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
