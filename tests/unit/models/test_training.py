"""Training: it learns what is there, nothing of the time that judges it, and the same from the same."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from models import lanes
from models.model_directory import Card, save
from models.sequences import IGNORED
from models.simulator import Shop, log
from models.training import Options, Progress, fingerprint, train
from models.training_table import Parts, parts

CARD = Card(name="tiny")


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return log(Shop(users=30, items=40), 1_750_000_000_000, events=1_500)


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
    models = [train(events, CARD, Options(seed=seed, epochs=1)) for seed in seeds]
    versions = [save(model, tmp_path / str(k)).card.version for k, model in enumerate(models)]
    assert versions[0] == versions[1] != versions[2]


def test_a_plain_pattern_is_learnt_by_every_head(rounds: pl.DataFrame) -> None:
    figures = train(rounds, CARD, Options(epochs=30)).card.metrics["validation"]
    action, item = figures["next_action"], figures["next_item"]
    assert action["log_loss"] < 0.2 < action["markov_log_loss"] + 0.2 < action["prior_log_loss"]
    assert item["log_loss"] < 0.5
    for target in ("time_to_any", "time_to_purchase"):
        assert figures[target]["log_likelihood"] > figures[target]["marginal_log_likelihood"] - 0.05


def test_card_says_what_was_learnt_from(events: pl.DataFrame) -> None:
    model = train(events, CARD, Options(epochs=1))
    assert model.card.trained_until_ms == events["ts_ms"].max()
    assert model.card.data == fingerprint(events)
    assert model.card.data["rows"] == 1_500
    assert model.card.metrics["validation"]["rows"] == 150
    assert fingerprint(events.head(1_499))["sha256"] != model.card.data["sha256"]
    msgspec.json.encode(model.card)


def test_nothing_after_the_cut_reaches_the_training_part(events: pl.DataFrame) -> None:
    def cut(frame: pl.DataFrame, share: float) -> Parts:
        return parts(frame, share=share, utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=100)

    whole = cut(events, 0.2)
    changed = cut(
        events.with_columns(
            pl.when(pl.col("ts_ms") < whole.cut_ms).then("action").otherwise(pl.lit("purchase")).alias("action"),
            pl.when(pl.col("ts_ms") < whole.cut_ms).then("item_id").otherwise(pl.lit("other")).alias("item_id"),
        ),
        0.2,
    )
    assert changed.cut_ms == whole.cut_ms
    assert changed.items == whole.items
    assert len(whole.log.ts_ms) == len(changed.log.ts_ms) == 1_500
    for name in whole.table._fields:
        early = [getattr(part.table, name).numpy()[part.early] for part in (whole, changed)]
        assert np.array_equal(*early), name
    assert not np.array_equal(whole.table.next_action, changed.table.next_action)
    followed = whole.table.has_next.numpy() & whole.early
    assert whole.log.ts_ms[np.flatnonzero(followed) + 1].max() < whole.cut_ms


def test_a_part_without_any_known_outcome_still_trains() -> None:
    frame = pl.DataFrame(
        {"user_id": ["a", "b", "c"], "item_id": ["x", "y", "z"], "action": ["view"] * 3, "ts_ms": [1, 2, 3]}
    ).with_columns(event_id=pl.col("user_id"))
    model = train(frame, CARD, Options(epochs=1))
    assert model.items == []
    assert all(np.isfinite(weight).all() for weight in model.weights.values())


def test_a_log_of_one_moment_is_refused(events: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="two moments"):
        train(events.head(1), CARD)


def test_a_report_may_stop_the_training_and_an_interrupt_keeps_the_best(events: pl.DataFrame) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> bool:
        seen.append(progress)
        return progress.epoch < 2

    model = train(events, CARD, Options(epochs=50), stop)
    assert seen[-1].epoch == 2
    assert np.isfinite(seen[-1].validation_loss)
    assert np.isfinite(model.weights["hidden"]).all()

    def interrupt(progress: Progress) -> bool:
        if progress.epoch == 2:
            raise KeyboardInterrupt
        return True

    kept = train(events, CARD, Options(epochs=50), interrupt)
    alone = train(events, CARD, Options(epochs=1))
    assert all(np.array_equal(kept.weights[name], alone.weights[name]) for name in kept.weights)


def test_training_ends_when_validation_gets_no_better(rounds: pl.DataFrame) -> None:
    epochs = set()

    def note(progress: Progress) -> bool:
        epochs.add(progress.epoch)
        return True

    shuffled = rounds.with_columns(pl.col("action").shuffle(seed=1), pl.col("item_id").shuffle(seed=2))
    train(shuffled, CARD, Options(epochs=60, patience=20), note)
    assert max(epochs) < 60


def test_items_beyond_the_full_softmax_are_learnt_from_a_sample(rounds: pl.DataFrame) -> None:
    figures = train(rounds, CARD, Options(epochs=8, full_softmax=2, candidates=3)).card.metrics["validation"]
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
