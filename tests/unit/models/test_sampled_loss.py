"""The loss of a sample and each row's own items is the full one where all are drawn, and close to it where few are."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models import sampled_loss as module
from models.item_loss import item_loss
from models.model_directory import FOLLOWERS
from models.recent import SLOTS, Tables
from models.recent_loss import Recent
from models.sampled_loss import Drawn, draw, sampled_loss

ITEMS = 300
SETS = 2


def case(rows: int, *, size: float = 0.5, width: int = 8, empty: bool = False) -> tuple[list[Tensor], Tensor, Recent]:
    """Return query, vectors, bias and what the last items weigh; targets; the last items: some met, some followed."""
    random, generator = np.random.default_rng(rows), torch.Generator().manual_seed(rows)
    follower = np.zeros((SETS * (ITEMS + 1), FOLLOWERS), np.int32)
    for row in range(len(follower)):
        known = 0 if row % (ITEMS + 1) == 0 else int(random.integers(6))
        follower[row, :known] = 1 + random.permutation(ITEMS)[:known]
    lift = np.where(follower > 0, random.random(follower.shape) * 3, 0).astype(np.float32)
    item = np.zeros((rows, SLOTS), np.int64)
    for row in range(0 if empty else rows):
        met = random.permutation(SLOTS)[: random.integers(SLOTS)]
        item[row, met] = 1 + random.permutation(ITEMS)[: len(met)]
    shapes = ((rows, width), (ITEMS, width), (ITEMS,), (rows, 2, SLOTS))
    made = [(torch.randn(shape, generator=generator) * size).requires_grad_() for shape in shapes]
    target = torch.randint(ITEMS, (rows,), generator=generator)
    target[::3] = torch.from_numpy(np.maximum(item[::3, 0] - 1, 0))  # what comes again
    first = random.integers(SETS, size=rows) * (ITEMS + 1)
    return made, target, Recent(Tables(follower, lift, float(lift.max())), item, first, made[3])


def full_loss(made: list[Tensor], target: Tensor, recent: Recent) -> Tensor:
    query, vectors, bias, _ = made
    return item_loss(query, vectors, bias, target, recent=recent)


def of_sample(made: list[Tensor], target: Tensor, recent: Recent, drawn: Drawn) -> Tensor:
    query, vectors, bias, _ = made
    return sampled_loss(query, vectors, bias, target, drawn, recent)


def both(made: list[Tensor], target: Tensor, recent: Recent, drawn: Drawn) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    losses = full_loss(made, target, recent), of_sample(made, target, recent, drawn)
    return [(loss.detach(), torch.autograd.grad(loss * 2, made, allow_unused=True)) for loss in losses]


@pytest.fixture(autouse=True)
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("models.item_loss.FAST", "models.sampled_loss.FAST"):
        monkeypatch.setattr(name, torch.float32)
    monkeypatch.setattr(module, "_ROWS", 32)


EVERY = Drawn(torch.arange(ITEMS), torch.ones(ITEMS))


@pytest.mark.parametrize(("rows", "size", "width", "empty"), [
    (1, 0.5, 8, False), (70, 0.5, 8, False), (90, 8.0, 5, False), (70, 0.5, 1, False), (33, 0.5, 64, True),
])  # fmt: skip
def test_with_every_item_drawn_it_is_the_full_loss(rows: int, size: float, width: int, empty: bool) -> None:
    made, target, recent = case(rows, size=size, width=width, empty=empty)
    (full, wanted), (ours, given) = both(made, target, recent, EVERY)
    torch.testing.assert_close(ours, full, rtol=1e-5, atol=1e-4)
    for one, other in zip(given, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * size)


def test_its_gradient_is_close_to_the_full_one_and_its_odds_are_right_on_average() -> None:
    made, target, recent = case(80)
    weight = torch.linspace(1, 4, ITEMS)
    samples = [draw(weight, 100, torch.Generator().manual_seed(seed)) for seed in range(150)]
    (full, wanted), _ = both(made, target, recent, EVERY)
    losses, gradients = zip(*(both(made, target, recent, drawn)[1] for drawn in samples), strict=True)
    assert float(torch.stack(losses).mean()) == pytest.approx(float(full), rel=0.01)
    for one, found in zip(wanted, zip(*gradients, strict=True), strict=True):
        mean = torch.stack(found).mean(0)
        assert float((mean - one).norm()) < 0.1 * float(one.norm())  # a share of an estimated sum is a little off
        assert float((found[0] - one).norm()) < 0.7 * float(one.norm())
    # of one row: the sum of all odds, by the target's, is right on average
    alone = [made[0][:1], *made[1:3], made[3][:1]]
    mine = Recent(recent.tables, recent.item[:1], recent.first[:1], alone[3])
    sums = [float(of_sample(alone, target[:1], mine, drawn).detach().exp()) for drawn in samples]
    assert np.mean(sums) == pytest.approx(float(full_loss(alone, target[:1], mine).detach().exp()), rel=0.03)


def test_what_raises_a_rows_own_items_is_learnt_from_no_luck_of_the_draw() -> None:
    made, target, recent = case(60)
    first, second = (draw(torch.ones(ITEMS), 30, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    (_, wanted), (_, given) = both(made, target, recent, first)
    assert float((given[3] - wanted[3]).norm()) < 0.3 * float(wanted[3].norm())
    assert not torch.equal(given[3], both(made, target, recent, second)[1][1][3])


def test_items_are_drawn_as_often_as_their_chance_says() -> None:
    weight = torch.tensor([1.0, 10.0, 100.0, 1e9])
    often = torch.zeros(4)
    for seed in range(2_000):
        drawn = draw(weight.clamp(max=200), 2, torch.Generator().manual_seed(seed))
        often[drawn.rows] += 1
    chance = -torch.expm1(-2 * weight.clamp(max=200) / weight.clamp(max=200).sum())
    torch.testing.assert_close(often / 2_000, chance, atol=0.04, rtol=0)


def test_scores_too_large_for_an_exponent_are_shifted() -> None:
    made, target, recent = case(40, size=30.0)
    loss = of_sample(made, target, recent, EVERY).detach()
    assert float(loss) > 1_000
    assert torch.isfinite(loss)


def test_with_nothing_drawn_a_rows_own_items_are_all() -> None:
    made, target, recent = case(40)
    _, (loss, gradients) = both(made, target, recent, draw(torch.ones(ITEMS), 0, torch.Generator()))
    assert 0 < float(loss) < float(full_loss(made, target, recent).detach())
    assert gradients[0].any()
