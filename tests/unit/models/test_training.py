"""Training: it learns what is there, nothing of the time that judges it, and the same from the same."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
import torch

from models import lanes
from models.log import SPLITS, Log, log
from models.model_directory import SERVED, Card, load, save, shapes
from models.network import Network
from models.objective import weighted
from models.report.learning import best, learning_curves
from models.sequences import IGNORED
from models.simulator import Shop
from models.simulator import log as simulate
from models.training import Progress, fingerprint, train
from models.training_table import Parts, parts
from models.updates import Options, Updates

CARD = Card(name="tiny")


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return simulate(Shop(users=30, items=40), 1_750_000_000_000, events=1_500)


@pytest.fixture(scope="module")
def rounds() -> pl.DataFrame:
    """Return a log in which every user views, clicks and buys in turn, a minute apart, item after item."""
    rows = [
        (f"u{user}", f"i{step % 5}", ("view", "click", "purchase")[step % 3], 60_000 * step + 7 * user)
        for step in range(60)
        for user in range(30)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "ts_ms"], orient="row")
    return frame.with_columns(event_id=pl.int_range(pl.len()).cast(pl.String))


def test_the_same_seed_gives_the_same_version_and_another_another(events: pl.DataFrame, tmp_path: Path) -> None:
    seeds = (1, 1, 2)
    models = [train(log(events), CARD, Options(seed=seed, epochs=1)) for seed in seeds]
    versions = [save(model, tmp_path / str(k)).card.version for k, model in enumerate(models)]
    assert versions[0] == versions[1] != versions[2]


def test_a_plain_pattern_is_learnt_by_every_head(rounds: pl.DataFrame) -> None:
    figures = train(log(rounds), CARD, Options(epochs=30)).card.metrics["validation"]
    action, item, floors = figures["next_action"], figures["next_item"], figures["floors"]
    assert action["log_loss"] < 0.2 < floors["next_action"]["Markov-1"] + 0.2 < floors["next_action"]["prior"]
    assert item["log_loss"] < 0.5
    for target in ("time_to_any", "time_to_purchase"):
        assert -figures[target]["log_likelihood"] < floors[target]["one curve"] + 0.05


def test_card_says_what_was_learnt_from(events: pl.DataFrame) -> None:
    model = train(log(events), CARD, Options(epochs=1))
    assert model.card.trained_until_ms == events["ts_ms"].max()
    assert model.card.data == fingerprint(log(events))
    assert model.card.data["rows"] == 1_500
    assert model.card.data["splits"] == {"train": 1_350, "validation": 150, "test": 0, "context": 0}
    assert 150 <= model.card.metrics["validation"]["rows"] <= 150 + events["user_id"].n_unique()  # and silences
    assert fingerprint(log(events.head(1_499)))["sha256"] != model.card.data["sha256"]
    msgspec.json.encode(model.card)


def test_reference_in_the_card_is_of_the_training_rows_alone(events: pl.DataFrame) -> None:
    read = log(events)
    mine = read.split == SPLITS.index("train")
    made = train(read, CARD, Options(epochs=1)).card.reference
    assert made is not None
    names = np.array(read.actions)[read.action[mine]].tolist()
    assert list(made.action) == [names.count(action) for action in SERVED.actions]
    assert {sum(counts) for counts in (made.action, made.hour, made.known_item)} == {1_350}
    sequence = np.searchsorted(read.first, np.flatnonzero(mine), side="right")
    assert sum(made.gap) == 1_350 - len(np.unique(sequence))
    assert 0 < sum(made.next_action) < sum(made.gap)  # some come back after they had left


def made(read: Log) -> Parts:
    return parts(read, utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=100)


def test_nothing_of_other_splits_reaches_the_training_part(events: pl.DataFrame) -> None:
    """The future of the training rows is altered, and neither the vocabulary nor what they learn changes."""
    whole = made(log(events))
    cut_ms = whole.log.ts_ms[whole.log.split == SPLITS.index("validation")].min()
    past = pl.col("ts_ms") < cut_ms
    changed = made(
        log(
            events.with_columns(
                pl.when(past).then("action").otherwise(pl.lit("purchase")).alias("action"),
                pl.when(past).then("item_id").otherwise(pl.lit("other")).alias("item_id"),
                pl.when(past).then("ts_ms").otherwise(pl.col("ts_ms") + 5).alias("ts_ms"),
            )
        )
    )
    assert changed.items == whole.items
    early = whole.log.ts_ms < cut_ms
    assert len(early) == len(changed.log.ts_ms) == 1_500
    for name in whole.train._fields:
        assert np.array_equal(*(getattr(part.train, name).numpy()[early] for part in (whole, changed))), name
    for name in whole.steps._fields:
        assert np.array_equal(*(getattr(part.steps, name).numpy()[early] for part in (whole, changed))), name
    assert not np.array_equal(whole.validation.next_action, changed.validation.next_action)
    assert whole.log.ts_ms[np.flatnonzero(whole.train.has_next) + 1].max() < cut_ms
    assert not whole.train.known.numpy()[~early].any()


def test_splits_are_as_given_and_test_and_context_rows_are_history_only(rounds: pl.DataFrame) -> None:
    """Test rows of another pattern, items and actions that only they have: the model is the one without them."""
    user = pl.col("user_id").str.slice(1).cast(pl.Int64)
    names = pl.Series(["train"] * 20 + ["validation"] * 4 + ["test"] * 3 + ["context"] * 3)
    given = rounds.with_columns(split=names[rounds.select(user).to_series()])
    strange = given.with_columns(pl.when(user < 24).then("item_id").otherwise(pl.lit("other")).alias("item_id"))
    one, other, without = (train(log(e), CARD, Options(epochs=2)) for e in (given, strange, given.filter(user < 24)))
    for model in (other, without):
        assert model.items == one.items == [f"i{k}" for k in range(5)]
        assert all(np.array_equal(one.weights[name], model.weights[name]) for name in one.weights)
    assert one.card.metrics["validation"]["rows"] == 4 * 60
    assert one.card.trained_until_ms == given.filter(user < 24)["ts_ms"].max()


@pytest.mark.parametrize("timed", [True, False])
def test_any_actions_are_learnt_with_times_or_positions(rounds: pl.DataFrame, timed: bool) -> None:
    names = {"view": "look", "click": "note", "purchase": "purchase"}
    other = rounds.with_columns(pl.col("action").replace(names), session_id="user_id", position="ts_ms")
    model = train(log(other if timed else other.drop("ts_ms")), CARD, Options(epochs=30))
    assert (model.card.actions, model.card.targets) == (
        ("purchase", "look", "note"),
        ("any", "purchase") if timed else (),
    )
    assert {name: weight.shape for name, weight in model.weights.items()} == shapes(5, model.card.heads)
    figures = model.card.metrics["validation"]
    assert figures["next_action"]["log_loss"] < 0.2
    assert figures["next_item"]["log_loss"] < 0.5
    assert ("time_to_purchase" in figures) == timed


def test_a_log_of_some_of_the_served_actions_can_be_served(events: pl.DataFrame, tmp_path: Path) -> None:
    model = train(log(events.filter(pl.col("action") != "click")), CARD, Options(epochs=1))
    save(model, tmp_path)
    assert load(tmp_path).card.heads == SERVED


@pytest.mark.parametrize(("option", "value"), [("l1", 1e-3), ("label_smoothing", 0.2), ("weight_decay", 30.0)])
def test_options_that_hold_back_change_the_model(events: pl.DataFrame, option: str, value: float) -> None:
    plain, held = (
        train(log(events), CARD, msgspec.convert({"epochs": 1} | changed, Options)) for changed in ({}, {option: value})
    )
    size, less = (float(np.abs(model.weights["query"]).sum()) for model in (plain, held))
    assert less < size if option != "label_smoothing" else less != size


def test_a_part_without_any_known_outcome_still_trains() -> None:
    frame = pl.DataFrame(
        {"user_id": ["a", "b", "c"], "item_id": ["x", "y", "z"], "action": ["view"] * 3, "ts_ms": [1, 2, 3]}
    ).with_columns(event_id=pl.col("user_id"))
    model = train(log(frame), CARD, Options(epochs=1))
    assert model.items == []
    assert all(np.isfinite(weight).all() for weight in model.weights.values())


def test_a_log_of_one_moment_is_refused(events: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="two moments"):
        train(log(events.head(1)), CARD)


def test_a_report_may_stop_the_training(events: pl.DataFrame) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> bool:
        seen.append(progress)
        return progress.epoch < 2

    model = train(log(events), CARD, Options(epochs=50), stop)
    assert [progress.epoch for progress in seen] == [1] * (len(seen) - 1) + [2]
    assert seen[-2].share == 1
    assert np.isfinite(seen[-2].validation_loss), "told at the end of an epoch what it came to"
    assert np.isfinite(model.weights["hidden"]).all()
    assert model.card.metrics["stopped"]

    between = train(log(events), CARD, Options(epochs=50), lambda progress: progress.share < 1)
    alone = train(log(events), CARD, Options(epochs=1))
    assert all(np.array_equal(between.weights[name], alone.weights[name]) for name in between.weights)


def test_the_card_keeps_the_history_of_the_training(events: pl.DataFrame) -> None:
    metrics = train(log(events), CARD, Options(epochs=3)).card.metrics
    epochs = learning_curves(msgspec.json.decode(msgspec.json.encode(metrics)))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    for epoch in epochs:
        assert list(epoch.heads) == ["next_action", "next_item", "time_to_any", "time_to_purchase"]
        assert epoch.validation_loss == pytest.approx(float(weighted(torch.tensor(list(epoch.heads.values())))))
    assert epochs[2].loss < epochs[0].loss
    kept = best(epochs)
    assert metrics["validation"]["loss"] == pytest.approx(kept.validation_loss)
    assert metrics["validation"]["next_action"]["log_loss"] == pytest.approx(kept.heads["next_action"])
    assert not metrics["stopped"]


def test_training_ends_when_validation_gets_no_better(rounds: pl.DataFrame) -> None:
    epochs = set()

    def note(progress: Progress) -> bool:
        epochs.add(progress.epoch)
        return True

    shuffled = rounds.with_columns(pl.col("action").shuffle(seed=1), pl.col("item_id").shuffle(seed=2))
    train(log(shuffled), CARD, Options(epochs=60, patience=20), note)
    assert max(epochs) < 60


def test_items_beyond_the_full_softmax_are_learnt_from_a_sample(rounds: pl.DataFrame) -> None:
    figures = train(log(rounds), CARD, Options(epochs=8, full_softmax=2, candidates=3)).card.metrics["validation"]
    assert figures["next_item"]["log_loss"] < 1.2  # ln 5 is 1.6


def test_lanes_hold_every_event_once_and_each_user_in_order() -> None:
    lengths = np.array([5, 0, 3, 9, 1, 4])
    first = np.cumsum(lengths) - lengths
    plan = lanes.fill(first, lengths, 3, np.random.default_rng(0))
    assert sorted(plan[plan != lanes.NOTHING].tolist()) == list(range(22))
    assert len(plan) == 9
    for column in plan.T:
        held = column[column != lanes.NOTHING]
        assert all(after == before + 1 or after in first for before, after in pairwise(held))
    assert IGNORED == lanes.NOTHING


@pytest.mark.parametrize(("items", "updates", "learning_rate"), [(60, 30, 0.01), (7_680, 120, 0.005)])
def test_more_items_get_more_updates_of_fewer_rows_at_a_lower_rate(
    monkeypatch: pytest.MonkeyPatch, items: int, updates: int, learning_rate: float
) -> None:
    monkeypatch.setattr("models.updates._STEPS", 1)
    names = [f"u{k // 2:04}" for k in range(2_400)]
    events = pl.DataFrame({"user_id": names, "item_id": "i", "action": "view", "position": range(2_400)})
    splits = ["train"] * 2_398 + ["validation"] * 2
    read = log(events.with_columns(split=pl.Series(splits)))
    made = parts(read, utc_offset_h=0, leave_after_ms=1, item_count=1, item_cap=10)._replace(items=["i"] * items)
    network = Network(items, torch.Generator(), made.heads)
    training = Updates(network, made, Options())
    assert training.learning_rate == pytest.approx(learning_rate)
    assert training.optimizer.param_groups[0]["weight_decay"] == pytest.approx(30 * learning_rate)
    assert len(list(training.epoch())) == pytest.approx(updates, rel=0.2)  # whole lanes
