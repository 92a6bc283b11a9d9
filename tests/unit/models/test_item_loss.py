"""The loss over all items in blocks is the cross-entropy that torch computes, and so is its gradient."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import item_loss as module
from models.item_loss import item_loss


def parts(rows: int, items: int, size: float) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, 8), (items, 8), (items,))
    made = [(torch.randn(shape, generator=generator) * size).requires_grad_() for shape in shapes]
    return made, torch.randint(items, (rows,), generator=generator)


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAST", torch.float32)


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("rows", "items", "size"), [(1, 1, 1.0), (70, 50, 1.0), (100, 9_000, 0.3), (70, 50, 20.0)])
def test_loss_and_gradients_are_those_of_cross_entropy(
    rows: int, items: int, size: float, label_smoothing: float
) -> None:
    made, target = parts(rows, items, size)
    query, vectors, bias = made
    plain = functional.cross_entropy(query @ vectors.T + bias, target, reduction="sum", label_smoothing=label_smoothing)
    ours = item_loss(query, vectors, bias, target, label_smoothing)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)
    for one, other in zip(torch.autograd.grad(ours * 3, made), torch.autograd.grad(plain * 3, made), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * size)


def test_shares_of_few_bits_leave_the_loss_and_hardly_change_the_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    (query, vectors, bias), target = parts(2_000, 1_500, 0.5)
    found = []
    for precision in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(module, "FAST", precision)
        loss = item_loss(query, vectors, bias, target)
        found.append((loss.detach(), torch.autograd.grad(loss, [query, vectors, bias])))
    (exact, wanted), (rounded, given) = found
    torch.testing.assert_close(rounded, exact, rtol=1e-6, atol=0)
    for one, other in zip(given, wanted, strict=True):
        assert not torch.equal(one, other)
        assert float((one - other).norm()) < 0.005 * float(other.norm())


def test_scores_too_large_for_an_exponent_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    (query, vectors, bias), target = parts(40, 30, 30.0)
    assert float((query @ vectors.T + bias).detach().amax()) > 1_000
    loss = item_loss(query, vectors, bias, target)
    assert torch.isfinite(loss)
    monkeypatch.setattr(module, "_SAFE", 1e9)
    assert not torch.isfinite(item_loss(query, vectors, bias, target))
