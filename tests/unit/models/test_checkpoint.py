"""A training that was stopped goes on as if it had not been."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.checkpoint import FILE, CheckpointError
from models.log import Log, log
from models.model_directory import Card, Model
from models.simulator import Shop
from models.simulator import log as simulate
from models.training import Progress, train
from models.updates import Options

CARD = Card(name="tiny")
OPTIONS = Options(epochs=5, patience=0, threads=2)


@pytest.fixture(scope="module")
def read() -> Log:
    return log(simulate(Shop(users=40, items=40), 1_750_000_000_000, events=3_000))


def stop_in(epoch: int, share: float = 0) -> Callable[[Progress], bool]:
    """Return a report that stops in an epoch as soon as so much of it is done."""
    return lambda progress: progress.epoch < epoch or progress.share < share


def same(one: Model, other: Model) -> bool:
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_a_resumed_training_gives_the_model_of_one_that_was_not_stopped(read: Log, tmp_path: Path) -> None:
    whole = train(read, CARD, OPTIONS)
    for epoch, share in ((2, 0), (3, 1), (5, 0)):
        stopped = train(read, CARD, OPTIONS, stop_in(epoch, share), folder=tmp_path, resume=epoch > 2)
        assert (tmp_path / FILE).exists()
        assert len(stopped.card.metrics["history"]) == epoch
        assert not same(stopped, whole) or epoch == 5
    resumed = train(read, CARD, OPTIONS, folder=tmp_path, resume=True)
    assert same(resumed, whole)
    assert resumed.card == whole.card
    assert not list(tmp_path.iterdir()), "what has ended by itself leaves no checkpoint"


def test_the_learning_rate_falls_before_the_end(read: Log) -> None:
    seen: list[Progress] = []

    def note(now: Progress) -> bool:
        seen.append(now)
        return True

    shuffled = read._replace(item=np.random.default_rng(0).permutation(read.item))
    train(shuffled, CARD, Options(epochs=60, patience=0, falls=0), note)
    ends_at = seen[-1].epoch
    train(shuffled, CARD, Options(epochs=60, patience=0, falls=1), note)
    assert ends_at < seen[-1].epoch < 60
    assert seen[-1].best_loss <= seen[0].best_loss


def test_what_cannot_be_resumed_is_refused_in_one_line(read: Log, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no training to resume: train without --resume"):
        train(read, CARD, OPTIONS, folder=tmp_path, resume=True)
    train(read, CARD, OPTIONS, stop_in(2), folder=tmp_path)
    with pytest.raises(CheckpointError, match="another learning-rate: give the same to go on"):
        train(read, CARD, Options(epochs=5, patience=0, threads=2, learning_rate=0.02), folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="another log"):
        train(read._replace(ts_ms=read.ts_ms + 1), CARD, OPTIONS, folder=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="another utc-offset-h"):
        train(read, Card(name="tiny", utc_offset_h=3), OPTIONS, folder=tmp_path, resume=True)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="is broken"):
        train(read, CARD, OPTIONS, folder=tmp_path, resume=True)
    train(read, CARD, OPTIONS, stop_in(2), folder=tmp_path)  # without --resume it begins anew
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_threads_share_the_lanes_and_learn_the_same_things(read: Log) -> None:
    figures = [train(read, CARD, Options(epochs=3, threads=threads)).card.metrics["validation"] for threads in (1, 2)]
    for head in ("next_action", "next_item"):
        assert figures[0][head]["log_loss"] == pytest.approx(figures[1][head]["log_loss"], rel=0.02)
