"""The loss over all items in blocks is the cross-entropy that torch computes, and so is its gradient."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import item_loss as module
from models.item_loss import Drawn, draw, item_loss


def parts(rows: int, items: int, size: float) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, 8), (items, 8), (items,))
    made = [(torch.randn(shape, generator=generator) * size).requires_grad_() for shape in shapes]
    return made, torch.randint(items, (rows,), generator=generator)


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FAST", torch.float32)


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


@pytest.mark.parametrize("sampled", [False, True])
def test_shares_of_few_bits_leave_the_loss_and_hardly_change_the_gradients(
    monkeypatch: pytest.MonkeyPatch, sampled: bool
) -> None:
    (query, vectors, bias), target = parts(2_000, 1_500, 0.5)
    drawn = draw(1_500, 400, torch.Generator().manual_seed(1)) if sampled else None
    found = []
    for precision in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(module, "_FAST", precision)
        loss = item_loss(query, vectors, bias, target, drawn=drawn)
        found.append((loss.detach(), torch.autograd.grad(loss, [query, vectors, bias])))
    (exact, wanted), (rounded, given) = found
    torch.testing.assert_close(rounded, exact, rtol=1e-6, atol=0)
    for one, other in zip(given, wanted, strict=True):
        assert not torch.equal(one, other)
        assert float((one - other).norm()) < 0.005 * float(other.norm())


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize("size", [0.3, 1.0, 6.0])
def test_a_sample_gives_the_loss_and_gradients_of_its_definition(size: float) -> None:
    made, target = parts(90, 60, size)
    query, vectors, bias = made
    drawn = draw(60, 25, torch.Generator().manual_seed(1))
    assert 5 < len(drawn.rows) < 30
    assert torch.isin(target, drawn.rows).any()
    scores = query @ vectors[drawn.rows].T + bias[drawn.rows] - drawn.chance.log()
    scores = scores.masked_fill(drawn.rows == target[:, None], -torch.inf)
    own = (query * vectors[target]).sum(1) + bias[target]
    plain = (torch.logsumexp(torch.cat([own[:, None], scores], 1), 1) - own).sum()
    ours = item_loss(query, vectors, bias, target, 0.1, drawn)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)
    for one, other in zip(torch.autograd.grad(ours, made), torch.autograd.grad(plain, made), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3 * size)


def test_a_sample_that_holds_every_item_gives_the_full_loss_and_others_do_on_average() -> None:
    (query, vectors, bias), target = (parts(6, 30, 0.5)[0], torch.tensor([0, 1, 29, 3, 3, 16]))
    full = item_loss(query, vectors, bias, target)
    every = draw(30, 5_000, torch.Generator().manual_seed(1))
    assert len(every.rows) == 30
    torch.testing.assert_close(item_loss(query, vectors, bias, target, drawn=every), full, rtol=1e-4, atol=1e-3)

    def of_one(drawn: Drawn | None = None) -> float:
        return math.exp(item_loss(query[:1], vectors, bias, target[:1], drawn=drawn).item())

    # of all scores, by that of the item itself
    mean = sum(of_one(draw(30, 12, torch.Generator().manual_seed(seed))) for seed in range(500)) / 500
    assert mean == pytest.approx(of_one(), rel=0.1)


def test_scores_too_large_for_an_exponent_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    (query, vectors, bias), target = parts(40, 30, 30.0)
    assert float((query @ vectors.T + bias).detach().amax()) > 1_000
    loss = item_loss(query, vectors, bias, target)
    assert torch.isfinite(loss)
    monkeypatch.setattr(module, "_SAFE", 1e9)
    assert not torch.isfinite(item_loss(query, vectors, bias, target))
