"""The LSTM (Hochreiter and Schmidhuber, Long short-term memory, 1997; with a forget gate: Gers et al., 2000)."""

import torch
from torch import Tensor

from models.by_hand import Context
from models.cells.cell import Weights
from models.cells.sizes import NETWORKS
from models.state import HIDDEN


class Lstm:
    """Gates stand in the order i, f, o, candidate along the last axis; the state is h, then c."""

    sizes = NETWORKS["lstm"]

    def first(self, name: str, shape: tuple[int, ...]) -> Tensor | None:
        """Let it forget little at first (Jozefowicz et al., An empirical exploration of recurrent networks, 2015)."""
        return torch.ones(shape) if name == "forget_bias" else None

    def run(self, weights: Weights, x: Tensor, keep: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `cell.Cell`."""
        h, c = torch.split(state, HIDDEN, 1)
        after, cells = _Recurrence.apply(  # type: ignore[no-untyped-call]
            x, keep.to(x.dtype)[:, :, None], h, c, weights["hidden"], weights["forget_bias"]
        )
        return after, torch.cat([after[-1], cells[-1]], 1)


class _Recurrence(torch.autograd.Function):
    """All steps; the gradient by hand, as that of the GRU, so that the cost of both can be compared."""

    @staticmethod
    def forward(
        ctx: Context, x: Tensor, keep: Tensor, h: Tensor, c: Tensor, hidden: Tensor, forget_bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        shape = *x.shape[:2], HIDDEN
        gates, candidates = x.new_empty(*x.shape[:2], 3 * HIDDEN), x.new_empty(shape)
        before, held, after, cells = (x.new_empty(shape) for _ in range(4))
        bends = x.new_empty(shape)  # tanh(c)
        for t in range(len(x)):
            torch.mul(h, keep[t], out=before[t])
            torch.mul(c, keep[t], out=held[t])
            product = torch.addmm(x[t], before[t], hidden)  # [lanes, 4 * HIDDEN]
            product[:, HIDDEN : 2 * HIDDEN] += forget_bias
            i, f, o = torch.split(torch.sigmoid(product[:, : 3 * HIDDEN], out=gates[t]), HIDDEN, 1)
            n = torch.tanh(product[:, 3 * HIDDEN :], out=candidates[t])
            c = torch.mul(f, held[t], out=cells[t]).addcmul_(i, n)
            h = torch.mul(o, torch.tanh(c, out=bends[t]), out=after[t])
        ctx.save_for_backward(keep, hidden, gates, candidates, before, held, bends)
        return after, cells

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        keep, hidden, gates, candidates, before, held, bends = ctx.saved_tensors
        i, f, o = torch.split(gates, HIDDEN, 2)
        # factors of the gradients of h and c that need no state: all steps at once
        to_c = o * (1 - bends**2)
        to_o = bends * o * (1 - o)
        to_i, to_n = candidates * i * (1 - i), i * (1 - candidates**2)
        to_f = held * f * (1 - f)
        dx = gates.new_empty(*gates.shape[:2], 4 * HIDDEN)
        dh, dc = torch.zeros_like(before[0]), torch.zeros_like(before[0])
        for t in range(len(dx) - 1, -1, -1):
            dh = dh + grads[0][t]
            dc = torch.addcmul(dc + grads[1][t], dh, to_c[t])
            torch.mul(dc, to_i[t], out=dx[t, :, :HIDDEN])
            torch.mul(dc, to_f[t], out=dx[t, :, HIDDEN : 2 * HIDDEN])
            torch.mul(dh, to_o[t], out=dx[t, :, 2 * HIDDEN : 3 * HIDDEN])
            torch.mul(dc, to_n[t], out=dx[t, :, 3 * HIDDEN :])
            dh = torch.mm(dx[t], hidden.T) * keep[t]
            dc = dc * f[t] * keep[t]
        flat = dx.reshape(-1, 4 * HIDDEN)
        d_hidden = before.reshape(-1, HIDDEN).T @ flat
        return dx, None, dh, dc, d_hidden, flat[:, HIDDEN : 2 * HIDDEN].sum(0)
