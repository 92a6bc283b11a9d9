"""A linear recurrent unit.

Orvieto et al., Resurrecting recurrent neural networks for long sequences, ICML 2023; as a recommender: Yue et al.,
Linear recurrent units for sequential recommendation, WSDM 2024.
"""

from math import pi

import torch
from torch import Tensor

from models.by_hand import Context
from models.cells.cell import Weights, ages, fed, normed
from models.cells.sizes import NETWORKS
from models.state import HIDDEN

_LEAST, _MOST = 0.5, 0.99  # sizes of the first decays
_GOLDEN = 0.5 * (5**0.5 - 1)


class Lru:
    """`h' = decay * h + gain * u` in complex numbers; what is not linear stands behind it and needs no state.

    The input is u, real parts and imaginary ones, and what goes past the recurrence. The state is h, pairs of a real
    part and an imaginary one.
    """

    sizes = NETWORKS["lru"]

    def first(self, name: str, shape: tuple[int, ...]) -> Tensor | None:  # noqa: ARG002 - the shape is known
        """Spread the decays over a ring of the unit circle, by area, and turns evenly and apart from them."""
        place = (torch.arange(HIDDEN) + 0.5) / HIDDEN
        if name == "decay_bias":
            return torch.log(-0.5 * torch.log(_LEAST**2 + place * (_MOST**2 - _LEAST**2)))
        if name == "turn_bias":
            return 2 * pi * (torch.arange(HIDDEN) * _GOLDEN % 1 - 0.5)
        return None

    def run(self, weights: Weights, x: Tensor, keep: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """See `cell.Cell`."""
        size = torch.exp(-torch.exp(weights["decay_bias"]))
        decay = torch.polar(size, weights["turn_bias"])
        gain = torch.sqrt(1 - size**2)  # keeps the state's size near that of the input
        u = torch.complex(x[..., :HIDDEN] * gain, x[..., HIDDEN : 2 * HIDDEN] * gain)
        before = torch.view_as_complex(state.reshape(-1, HIDDEN, 2))
        h: Tensor = _Scan.apply(u, decay, keep, before)  # type: ignore[no-untyped-call]
        y = x[..., 2 * HIDDEN :] + torch.cat([h.real, h.imag], -1) @ weights["mix"]
        return normed(weights, "last_", fed(weights, "", y)), torch.view_as_real(h[-1]).reshape(-1, 2 * HIDDEN)


class _Scan(torch.autograd.Function):
    """All steps in as many rounds as their number has bits, and so are the gradients: they are a scan from the end."""

    @staticmethod
    def forward(ctx: Context, u: Tensor, decay: Tensor, keep: Tensor, before: Tensor) -> Tensor:
        age = ages(keep, torch.full(keep.shape[1:], len(keep)))  # what began before the piece reaches back beyond it
        h = u.clone()
        h[0] += decay * before * keep[0, :, None]
        _scan(h, decay, age)
        ctx.save_for_backward(decay, keep, age, before, h)
        return h

    @staticmethod
    def backward(ctx: Context, *grads: Tensor) -> tuple[Tensor | None, ...]:
        decay, keep, age, before, h = ctx.saved_tensors
        du = grads[0].clone()
        _scan(du, decay.conj(), age, from_end=True)
        held = torch.cat([before[None], h[:-1]]) * keep[:, :, None]
        d_decay = (du * held.conj()).sum((0, 1))
        return du, d_decay, None, du[0] * decay.conj() * keep[0, :, None]


def _scan(h: Tensor, decay: Tensor, age: Tensor, *, from_end: bool = False) -> None:
    """Add to each step, in place, the steps before it of its sequence, or behind it, each decayed by its distance.

    In round k each step takes over the sum of the 2**k steps next to those that it holds (Hillis and Steele, Data
    parallel algorithms, 1986).
    """
    distance, power = 1, decay
    while distance < len(h):
        reached = (age[distance:] >= distance).to(h.real.dtype)[:, :, None]
        early, late = h[:-distance], h[distance:]
        if from_end:
            early += power * late * reached
        else:
            late += power * early * reached
        distance, power = 2 * distance, power * power
