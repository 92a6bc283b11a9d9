"""What the last items add to scores, to the loss and to the slate."""

import numpy as np
import pytest
import torch
from builders import event_columns, random_model
from torch import Tensor
from torch.nn import functional

from models.history import apply
from models.item_loss import item_loss
from models.model_directory import FOLLOWERS, RECENT
from models.network import Network, recent_weights
from models.predictor import Predictor
from models.recent import SLOTS, Held, Tables, Weights, held
from models.recent_loss import Recent
from models.state import HIDDEN, OLDER, RING, Floats, Ints, empty_rows

ITEMS, SETS = 50, 2


def tables(seed: int = 0) -> Tables:
    random = np.random.default_rng(seed)
    item = np.zeros((SETS * (ITEMS + 1), FOLLOWERS), np.int32)
    for source in range(1, len(item)):
        count = random.integers(0, 30) if source != ITEMS + 1 else 0
        item[source, :count] = 1 + random.permutation(ITEMS)[:count]
    lift = (np.rint(random.random(item.shape) * 2**10) / 2**10 * 3).astype(np.float32) * (item > 0)
    return Tables(item, lift, 3.0)


def histories(rows: int, seed: int = 1) -> tuple[Held, Ints]:
    random = np.random.default_rng(seed)
    older = np.stack([random.permutation(ITEMS + 1)[:OLDER] for _ in range(rows)])
    made = held(random.integers(0, ITEMS + 1, (rows, RING)), random.integers(0, 3, (rows, RING)), older, 3)
    return made, random.integers(0, SETS, rows) * (ITEMS + 1)


def weights(rows: int, seed: int = 5) -> Floats:
    made = np.random.default_rng(seed).normal(0, 0.4, (rows, 2, SLOTS))
    made[:, 0, RECENT:] = 0
    return made


def added(made: Tables, item: Ints, first: Ints, weight: Tensor) -> Tensor:
    """By the formula [rows, items + 1]."""
    scores = []
    for row in range(len(item)):
        score = torch.zeros(ITEMS + 1)
        for k, source in enumerate(item[row].tolist()):
            if source:
                places = torch.from_numpy(made.item[first[row] + source]).long()
                if k < RECENT:
                    lift = torch.from_numpy(made.lift[first[row] + source])
                    score = score.index_add(0, places, lift * weight[row, 0, k])
                score = score.index_add(0, torch.tensor([source]), weight[row, 1, k : k + 1])
        scores.append(score)
    return torch.stack(scores)


def test_scores_get_what_the_formula_says_where_they_are_asked_for() -> None:
    made, (last, first), weight = tables(), histories(40), weights(40)
    column = np.random.default_rng(2).permutation(ITEMS + 1) - 5  # five have no column
    scores: Floats = np.ones((40, ITEMS - 4), np.float32)
    made.add(scores, column, last.item, first, weight)
    wanted = 1 + added(made, last.item, first, torch.from_numpy(weight).float())
    asked = np.flatnonzero(column >= 0)
    np.testing.assert_allclose(scores[:, column[asked]], wanted[:, asked], atol=1e-5)
    up, down = (torch.from_numpy(side) for side in made.reach(weight))
    assert ((wanted - 1).max(1).values <= up + 1e-5).all()
    assert ((wanted - 1).min(1).values >= -down - 1e-5).all()
    assert min(up.min(), down.min()) > 0


def test_a_history_without_known_items_adds_nothing() -> None:
    scores: Floats = np.zeros((3, ITEMS), np.float32)
    tables().add(scores, np.arange(-1, ITEMS), np.zeros((3, SLOTS), np.int64), np.zeros(3, np.int64), weights(3))
    assert not scores.any()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("size", [0.5, 30.0])
def test_loss_and_gradients_are_those_of_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, label_smoothing: float, size: float
) -> None:
    monkeypatch.setattr("models.item_loss.FAST", torch.float32)
    monkeypatch.setattr("models.item_loss._SCORES", 13 * ITEMS)
    rows, generator = 90, torch.Generator().manual_seed(1)
    made, (last, first) = tables(), histories(rows)
    shapes = ((rows, 8), (ITEMS, 8), (ITEMS,))
    query, vectors, bias = ((torch.randn(shape, generator=generator) * size**0.5).requires_grad_() for shape in shapes)
    weight = torch.from_numpy(weights(rows)).float().requires_grad_()
    target = torch.randint(ITEMS, (rows,), generator=generator)
    ours = item_loss(query, vectors, bias, target, label_smoothing, Recent(made, last.item, first, weight))

    scores = query @ vectors.T + bias + added(made, last.item, first, weight)[:, 1:]
    plain = functional.cross_entropy(scores, target, label_smoothing=label_smoothing, reduction="sum")
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)
    leaves = [query, vectors, bias, weight]
    for one, other in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(plain, leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3 * size)


def test_weights_of_training_are_those_of_serving() -> None:
    generator = torch.Generator().manual_seed(2)
    network = Network(ITEMS, generator)
    with torch.no_grad():
        for name in ("follow_bias", "again_bias", "recent_gate"):
            network.get_parameter(name).copy_(torch.randn(network.get_parameter(name).shape, generator=generator))
    grid = network.on_grid()
    states = np.random.default_rng(3).integers(-127, 128, (40, HIDDEN)).astype(np.int8)
    last, _ = histories(40)
    exact = [grid[name].detach().double().numpy() for name in ("follow_bias", "again_bias", "recent_gate")]
    ours = recent_weights(grid, torch.from_numpy(states * np.float32(2.0**-7)), last).detach().numpy()
    theirs = Weights(*exact).of(last, states)
    np.testing.assert_allclose(theirs, np.clip(ours, -64, 64), atol=2.0**-12)
    assert (theirs * 2**12 % 1 == 0).all()
    assert not theirs[:, 0, RECENT:].any()


def test_a_row_holds_its_last_items_where_each_was_met_last() -> None:
    model = Predictor(random_model(5))
    for count in (0, 1, RING - 1, RING, RING + 1, 40):
        rows = empty_rows(1)
        events = event_columns([0] * count, [k % 3 for k in range(count)], list(range(count)))
        item = np.array([model.item_hashes[k % 7] if k % 7 < 5 else 7 for k in range(count)], np.int64)
        apply(rows, events.__class__(**{**events.__dict__, "item": item}), model)
        made = model.held(rows, model.ring(rows))
        last = [(k % 7 + 1 if k % 7 < 5 else 0, k % 3) for k in range(count)][::-1][:RING]
        items = [item for item, _ in last]
        for k, (row, action) in enumerate(last):
            nearer = row in items[:k]
            assert made.item[0, k] == (0 if nearer else row)
            assert made.code[0, k] == 3 * k + action
            assert made.more[0, k] == (0 if nearer or not row else items.count(row) - 1)
        assert not made.item[0, len(last) : RING].any()
        left = [k % 7 + 1 for k in range(max(count - RING, 0))][::-1]
        older = [item if item < 6 and item not in items else 0 for item in dict.fromkeys(left)]
        assert made.item[0, RING:].tolist() == older + [0] * (OLDER - len(older))
        assert made.code[0, RING:].tolist() == [3 * RING + rank for rank in range(OLDER)]
