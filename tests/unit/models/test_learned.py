"""A trained model as a predictor: what serving would say, of a row from the rows before it alone."""

from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl
import pytest
import torch
from builders import random_model
from msgspec import structs

from models import history
from models.expected_events import expected_events
from models.history import Events
from models.latest import nothing
from models.learned import Learned
from models.likeliest import put_right
from models.log import Log, log
from models.model_directory import Card, Model, load_any, save, shapes
from models.predictor import Predictor
from models.recent import SLOTS
from models.sequences import inputs
from models.simulator import Shop
from models.simulator import log as simulate
from models.state import HIDDEN, RING, empty_rows
from models.survival import WIDTHS_MS, Curves

END_MS = 1_750_000_000_000
OTHER = Card(name="other", actions=("look", "note", "order", "like"), targets=("any",))


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return simulate(Shop(users=12, items=40), END_MS, events=500)


@pytest.fixture(scope="module")
def read(events: pl.DataFrame) -> Log:
    return log(events)


@pytest.fixture(scope="module")
def model(read: Log) -> Model:
    made = random_model(20)
    return Model(made.card, read.items[:20], made.weights)


def other_model(card: Card, items: list[str]) -> Model:
    random = np.random.default_rng(3)
    weights = {
        name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes(len(items), card.heads).items()
    }
    weights["follower"] = random.integers(0, len(items) + 1, weights["follower"].shape).astype(np.float32)
    return Model(card, items, weights)


def test_one_event_at_a_time_at_serving_equals_the_whole_sequence(read: Log, model: Model) -> None:
    """The step at serving against the full-sequence forward: the states are equal, the heads to 1e-5 in float32."""
    learned, predictor = Learned(model), Predictor(model)
    hashes = np.array([crc32(name.encode()) for name in read.items])[read.item]
    context = inputs(read, model.card.heads, model.items, 0).context
    ids = np.arange(len(read.item))
    after = learned.states(read)
    states = np.empty((len(read.item), HIDDEN), np.int8)
    item, weight = np.empty((len(states), SLOTS), np.int64), np.empty((len(states), 2, SLOTS))
    actions, hazards = np.empty((len(states), 4)), np.empty((len(states), 2, 25))
    for first, end in zip(read.first, np.append(read.first[1:], len(read.item)), strict=True):
        rows = empty_rows(1)
        for k in range(first, end):
            one = (np.array([column[k]]) for column in (read.action, ids, read.ts_ms, hashes, ids, context))
            history.apply(rows, Events(np.zeros(1, np.int64), *one), predictor)
            last = predictor.held(rows, predictor.ring(rows))
            states[k], item[k], weight[k] = rows["now"][0], last.item[0], predictor.recent.of(last, rows["now"])[0]
            actions[k : k + 1], hazards[k : k + 1] = predictor.predict(rows)
    assert np.array_equal(states, after)
    assert (item[:, RING:] > 0).any(1).mean() > 0.1
    rows_ = np.setdiff1d(np.arange(len(states)), read.first)
    said = learned.action_probabilities(read, rows_)
    wanted = actions[rows_ - 1, :3] / actions[rows_ - 1, :3].sum(1, keepdims=True)
    largest = float(np.abs(said - wanted).max())
    horizons = np.array([1_000, 60_000, 86_400_000])
    for target in range(len(model.card.targets)):
        curves = Curves(hazards[rows_ - 1]).silence(target, np.zeros((len(rows_), 3), np.int64), horizons)
        apart = np.abs(learned.survival(read, rows_, horizons, target=target) - curves)
        largest = max(largest, float(apart.max()))
    query = (states[rows_ - 1] * 2.0**-7).astype(np.float32) @ predictor.query.astype(np.float32)
    scores = query @ predictor.embedding[1:].T + predictor.item_bias[1:]
    predictor.followers.add(scores, np.arange(-1, 20), item[rows_ - 1], np.zeros_like(rows_), weight[rows_ - 1])
    largest = max(largest, float(np.abs(learned.item_scores(read, rows_)[:, :20] - scores).max()))
    assert (learned.item_scores(read, read.first)[:, :20] == predictor.item_bias[1:]).all()
    assert largest <= 1e-5


@pytest.mark.parametrize("card", [Card(name="served"), OTHER, Card(name="timeless", actions=("a", "b"), targets=())])
def test_no_prediction_changes_with_the_future(events: pl.DataFrame, card: Card) -> None:
    """Everything from a row on is altered: items, actions, times; what was said of that row stays."""
    kinds = np.array(card.actions)
    frame = events.with_columns(
        action=pl.Series(kinds[np.arange(len(events)) % len(kinds)]), position=pl.int_range(pl.len())
    )
    user = frame["user_id"].mode()[0]
    place = np.flatnonzero(frame["user_id"].to_numpy() == user)
    target = place[len(place) // 2]
    future = (pl.int_range(pl.len()) >= target) & (pl.col("user_id") == user)
    changed = frame.with_columns(
        pl.when(future).then(pl.lit(frame["item_id"][0])).otherwise("item_id").alias("item_id"),
        pl.when(future).then(pl.lit(kinds[-1])).otherwise("action").alias("action"),
        pl.when(future).then(pl.col("ts_ms") + 77_777).otherwise("ts_ms").alias("ts_ms"),
    )
    if not card.targets:
        frame, changed = frame.drop("ts_ms"), changed.drop("ts_ms")
    learned = Learned(other_model(card, sorted(frame["item_id"].unique())[:20]))
    one, other = log(frame), log(changed)
    row = np.array([one.first[one.names.index(user)] + len(place) // 2])
    wanted = [name for name in one.items if name in other.items]

    def said(of: Log) -> list[np.ndarray]:
        scores = learned.item_scores(of, row)[:, [of.items.index(name) for name in wanted]]
        actions = learned.action_probabilities(of, row)[:, [of.actions.index(name) for name in card.actions]]
        survival = [learned.survival(of, row, np.array([5_000, 10**7]))] if card.targets else []
        return [scores, actions, *survival]

    for before, after in zip(said(one), said(other), strict=True):
        assert np.array_equal(before, after)
    assert not np.array_equal(learned.states(one)[row], learned.states(other)[row])
    if card.targets:
        at_ms = int(one.ts_ms[row[0]])
        assert np.array_equal(learned.activity(one, at_ms, 10**8)[0], learned.activity(other, at_ms, 10**8)[0])


def test_items_and_actions_that_the_model_lacks_score_nothing(read: Log, model: Model) -> None:
    learned = Learned(model)
    rows = np.arange(len(read.item))
    scores = learned.item_scores(read, rows)
    assert np.isfinite(scores[:, :20]).all()
    assert (scores[:, 20:] == -np.inf).all()
    odds = np.exp(scores.astype(np.float64))
    np.testing.assert_allclose(learned.item_probabilities(read, rows), odds / odds.sum(1, keepdims=True), atol=1e-6)
    card = structs.replace(model.card, likeliest_item=(0.8, 0.0, -0.6))
    bent = Learned(Model(card, model.items, model.weights))
    right = bent.item_probabilities(read, rows)
    assert np.array_equal(right.argmax(1), scores.argmax(1))
    np.testing.assert_allclose(right, put_right(odds / odds.sum(1, keepdims=True), (0.8, 0.0, -0.6)), atol=1e-4)
    assert np.abs(right - learned.item_probabilities(read, rows)).max() > 0.01
    fewer = Learned(other_model(OTHER, ["x"]))
    frame = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["x", "y", "x"], "action": ["note", "like", "note"]})
    small = log(frame.with_columns(ts_ms=pl.Series([1, 2, 3])))
    probabilities = fewer.action_probabilities(small, np.arange(3))
    assert probabilities.shape == (3, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def test_the_first_row_is_predicted_from_nothing(read: Log, model: Model) -> None:
    learned = Learned(model)
    firsts = learned.action_probabilities(read, read.first)
    assert (firsts == firsts[0]).all()
    logits = torch.tensor(model.weights["readout_bias"][:3]) + torch.tensor(model.weights["window"][::9, :3]).sum(0)
    logits += torch.tensor(model.weights["latest"][nothing(3), :3]).sum(0)
    np.testing.assert_allclose(firsts[0], torch.softmax(logits, 0), atol=1e-3)


def test_activity_speaks_of_sequences_with_a_row_before(read: Log, model: Model) -> None:
    at_ms = int(np.quantile(read.ts_ms, 0.3))
    chance, count = Learned(model).activity(read, at_ms, 86_400_000)
    begun = np.minimum.reduceat(read.ts_ms, read.first) < at_ms
    assert len(chance) == len(count) == begun.sum()
    assert ((chance > 0) & (chance <= 1)).all()
    assert (count >= chance - 1e-6).all()
    assert (Learned(model).activity(read, at_ms, 864_000_000)[0] >= chance).all()


def test_a_constant_rate_is_a_poisson_process() -> None:
    rate = 1 / 7_200_000
    curves = Curves(np.minimum(1 - np.exp(-rate * WIDTHS_MS), 1 - 1e-13)[None, None])
    hours = 24
    assert expected_events(curves, np.array([600_000]), hours * 3_600_000)[0] == pytest.approx(12, rel=0.1)


def test_a_model_of_positions_knows_nothing_of_when(tmp_path: Path) -> None:
    made = save(other_model(Card(name="m", actions=("rate",), targets=()), ["x"]), tmp_path)
    assert load_any(tmp_path).card == made.card
    frame = pl.DataFrame({"user_id": ["u"] * 2, "item_id": ["x", "y"], "action": ["rate"] * 2, "position": [1, 2]})
    with pytest.raises(ValueError, match="without times"):
        Learned(made).survival(log(frame), np.array([1]), np.array([1]))
