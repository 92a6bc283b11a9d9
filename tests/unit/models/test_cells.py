"""Every network keeps the same promises: they are compared as equals."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from models.cells import gru
from models.cells.cell import Cell
from models.cells.sizes import NETWORKS, SPAN
from models.learned import Learned
from models.log import log
from models.model_directory import SERVED, Card, Model, ModelDirectoryError, load, load_any, save, shapes
from models.network import CELLS, Network, inputs
from models.simulator import Shop
from models.simulator import log as simulate
from models.state import HIDDEN, Floats
from models.training import train
from models.updates import Options

STEPS, LANES = 3 * SPAN, 3
BEGINS = ((0, 0), (100, 0), (101, 0), (40, 1), (2, 2))  # step, lane


class Case:
    """A network with weights that are nowhere 0, and what it reads."""

    def __init__(self, kind: str) -> None:
        generator = torch.Generator().manual_seed(8)
        self.network = Network(30, generator, kind=kind)
        with torch.no_grad():
            for name, weight in self.network.named_parameters():
                if name not in ("decay_bias", "turn_bias"):
                    weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
        self.columns = [torch.randint(high, (STEPS, LANES), generator=generator) for high in (31, 3 * 26, 168, 256)]
        self.keep = torch.ones(STEPS, LANES, dtype=torch.bool)
        for step, lane in BEGINS:
            self.keep[step, lane] = False

    @property
    def cell(self) -> Cell:
        return self.network.cell

    def start(self) -> Tensor:
        return torch.zeros(LANES, self.cell.sizes.state)

    def run(self, *pieces: int, x: Tensor | None = None, state: Tensor | None = None) -> Tensor:
        """Return what the heads read after each step, run in pieces of so many steps."""
        weights = self.network.on_grid()
        x = inputs(weights, *self.columns) if x is None else x
        state, found = self.start() if state is None else state, []
        for part, kept in zip(torch.split(x, list(pieces)), torch.split(self.keep, list(pieces)), strict=True):
            after, state = self.cell.run(weights, part, kept, state)
            assert state.shape == (LANES, self.cell.sizes.state)
            found.append(after)
        return torch.cat(found)


@pytest.fixture(params=NETWORKS)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Of states that are hardly rounded: two sums of one thing would be a whole step apart."""
    monkeypatch.setattr(gru, "STATE_UNIT", 2.0**-20)
    monkeypatch.setattr(gru, "STATE_LIMIT", 1.0)
    return Case(request.param)


def near(kind: Case) -> float:
    """States of a GRU are rounded: a sum in another order may fall on the other side."""
    return 3e-4 if kind.cell is CELLS["gru"] else 1e-5


@torch.no_grad()
def test_pieces_and_single_steps_give_what_the_whole_gives(case: Case) -> None:
    whole = case.run(STEPS)
    assert whole.shape == (STEPS, LANES, HIDDEN)
    assert whole.std() > 0.05
    torch.testing.assert_close(case.run(*[1] * STEPS), whole, atol=near(case), rtol=1e-5)
    torch.testing.assert_close(case.run(1, 63, 5, 64, STEPS - 133), whole, atol=near(case), rtol=1e-5)


@torch.no_grad()
def test_the_state_begins_anew_where_a_sequence_begins(case: Case) -> None:
    whole = case.run(STEPS)
    x = inputs(case.network.on_grid(), *case.columns)
    step, lane = 101, 0
    alone, _ = case.cell.run(
        case.network.on_grid(), x[step:, :1], case.keep[step:, :1], torch.zeros(1, case.cell.sizes.state)
    )
    torch.testing.assert_close(alone[:, 0], whole[step:, lane], atol=near(case), rtol=0)
    _, used = case.cell.run(case.network.on_grid(), x[:5], case.keep[:5], case.start())
    after = case.run(STEPS, state=used)
    torch.testing.assert_close(after[:, 0], whole[:, 0], atol=near(case), rtol=0)
    torch.testing.assert_close(after[40:, 1], whole[40:, 1], atol=near(case), rtol=0)
    assert not torch.allclose(after[0, 1], whole[0, 1], atol=1e-3), "lane 1 goes on from the state that it is given"


@torch.no_grad()
def test_nothing_is_told_of_the_future_and_much_of_the_past(case: Case) -> None:
    x = inputs(case.network.on_grid(), *case.columns)
    whole, changed = case.run(STEPS, x=x), x.clone()
    changed[60] = x[0]
    moved = (case.run(STEPS, x=changed) - whole).abs().amax(2)
    assert float(moved[:60].max()) == 0
    assert (moved[60:63] > 1e-4).all()
    assert float(moved[101:, 0].max()) == 0, "not of another sequence either"


def test_gradients_reach_all_weights_and_are_those_of_the_function(case: Case) -> None:
    generator = torch.Generator().manual_seed(2)
    weights = {name: weight.detach() for name, weight in case.network.on_grid().items()}
    x = inputs(weights, *case.columns)[:70]
    start = torch.zeros(LANES, case.cell.sizes.state)
    wanted = torch.randn(70, LANES, HIDDEN, generator=generator)
    given = {name: weights[name] for name in case.cell.sizes.own} | {"x": x}
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in given.items()}

    def value(tensors: dict[str, Tensor]) -> Tensor:
        after, state = case.cell.run(weights | tensors, tensors["x"], case.keep[:70], start)
        last, _ = case.cell.run(weights | tensors, tensors["x"][:3], case.keep[1:4], state)
        return (after * wanted).sum() + last.sum()

    found = dict(zip(leaves, torch.autograd.grad(value(leaves), list(leaves.values())), strict=True))
    for name, gradient in found.items():
        assert float(gradient.abs().max()) > 1e-3, name
        direction = torch.randn(gradient.shape, generator=generator)
        direction /= direction.norm()
        step = 0.02
        with torch.no_grad():
            up, down = (value(given | {name: given[name] + sign * step * direction}) for sign in (1, -1))
        slope, expected = float(up - down) / (2 * step), float((gradient * direction).sum())
        assert slope == pytest.approx(expected, rel=0.05, abs=0.05 * float(gradient.norm()) + 0.02), name


def test_the_transformer_sees_no_further_than_its_span() -> None:
    case = Case("transformer")
    case.keep[:] = True
    x = inputs(case.network.on_grid(), *case.columns).detach()
    changed = x.clone()
    changed[10] = x[0]
    with torch.no_grad():
        moved = (case.run(STEPS, x=changed) - case.run(STEPS, x=x)).abs().amax(2)
    assert (moved[10 + SPAN - 1] > 0).all()
    assert float(moved[10 + 2 * (SPAN - 1) + 1 :].max()) == 0, "two blocks reach twice as far"


@pytest.fixture(scope="module")
def rounds() -> pl.DataFrame:
    """Users who go round five items and three actions: each event follows from the one before."""
    rows = [
        (f"u{user:02}", f"i{(user + k) % 5}", ("view", "click", "purchase")[(user + k) % 3], 1_000 * k)
        for user in range(30)
        for k in range(40)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "ts_ms"], orient="row")
    return frame.with_columns(event_id=pl.int_range(pl.len()).cast(pl.String))


@pytest.mark.parametrize("kind", NETWORKS)
def test_each_learns_what_follows_and_is_read_again_as_it_was(kind: str, rounds: pl.DataFrame, tmp_path: Path) -> None:
    read = log(rounds)
    made = save(train(read, Card(name="m", network=kind), Options(epochs=30)), tmp_path)
    figures = made.card.metrics["validation"]
    assert figures["next_action"]["log_loss"] < 0.3
    assert figures["next_item"]["log_loss"] < 0.5
    assert figures["next_item"]["ndcg_at_20"] > 0.9
    again = load_any(tmp_path)
    assert again.card == made.card
    assert {name: weight.shape for name, weight in again.weights.items()} == shapes(5, SERVED, kind)
    rows = np.setdiff1d(np.arange(len(read.item)), read.first)
    said = Learned(again).action_probabilities(read, rows)
    assert -np.log(said[np.arange(len(rows)), read.action[rows]]).mean() < 0.3
    np.testing.assert_allclose(Learned(made).action_probabilities(read, rows), said)
    if kind == "gru":
        assert load(tmp_path).card == made.card
    else:
        with pytest.raises(ModelDirectoryError, match=f"holds a network {kind}, and only gru is served: train one"):
            load(tmp_path)


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_prediction_changes_with_the_future(kind: str) -> None:
    events = simulate(Shop(users=6, items=40), 1_750_000_000_000, events=200)
    one, random = log(events), np.random.default_rng(3)
    weights: dict[str, Floats] = {
        name: random.normal(0, 0.3, shape) for name, shape in shapes(len(one.items), SERVED, kind).items()
    }
    learned = Learned(Model(Card(name="m", network=kind), one.items, weights))
    row = int(one.first[1]) - 3
    other = one._replace(item=one.item.copy())
    other.item[row:] = (other.item[row:] + 1) % len(one.items)
    rows = np.arange(1, row + 1)
    for method in (learned.item_scores, learned.action_probabilities):
        np.testing.assert_allclose(method(one, rows), method(other, rows), atol=1e-5)
    assert not np.allclose(learned.states(one)[row], learned.states(other)[row], atol=1e-3)
