"""Drills of docs/operations.md on a real Kafka: an upgrade, a model, and the way back from both."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from builders import random_model
from drilled import HOUR_MS, ITEMS, OF_EVENTS, PAGE, PARTITIONS, Shop, now_ms, shoppers, small_shop
from typed import blocks
from workers import PATIENCE_S, Worker, final_rows, records, wait_until_committed

from models.model_directory import load, save
from models.older_rows import migrated
from models.predictor import Predictor
from models.state import RING, Rows
from schemas.topics import ACTION_OF_TOPIC, NEXT_ACTIONS
from streams.backtest import Backtest, backtest
from streams.chunk.changelog import ID_BYTES
from streams.chunk.logged_rows import MARKER
from streams.errors import ProcessEnded
from streams.local_broker import free_ports
from streams.options import Options
from streams.processes import Process
from streams.settings import Settings
from streams.topics import changelog
from streams.worker_process import environment

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]

OLDER = {"d9661df": 1, "8e1b549": 2, "66a13bd": 3}
"""The last version whose rows are of a layout, and which it is."""

SAME_LAYOUT = "2e7428b"
"""A version with rows of today's layout, and other code around them."""

LOST = ("older",)
"""What a row of an older layout does not know of the events that had left its ring."""


class OldWorker(Worker):
    """A worker of another version, whose code lies in a folder."""

    def __init__(self, code: Path, settings: Settings, log: Path) -> None:
        self.port = free_ports(1)[0]
        more = {"PYTHONPATH": str(code), "NEXTACT_METRICS_HOST": "127.0.0.1", "NEXTACT_METRICS_PORT": str(self.port)}
        Process.__init__(self, [sys.executable, "-P", "-m", "streams", "worker"], log, environment(settings) | more)


@pytest.fixture
def shop(kafka_home: Path, tmp_path: Path) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path) as made:
        yield made


def code_of(version: str, folder: Path) -> Path:
    """Return a folder with the code of a version; skip where the history is not there."""
    packed = subprocess.run(["git", "archive", version, "streams", "models", "schemas"], cwd=ROOT, capture_output=True)
    if packed.returncode:
        pytest.skip(f"version {version} is not here: a clone with its history has it")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def model_of(code: Path, folder: Path) -> Path:
    """Return a model that a version made: of states of another size it serves no other."""
    make = "from pathlib import Path; from models.model_directory import save; from streams.benchmark import workload; "
    make += f"save(workload.random_model(items={ITEMS}), Path({str(folder)!r}))"
    subprocess.run([sys.executable, "-P", "-c", make], env=os.environ | {"PYTHONPATH": str(code)}, check=True)
    return folder


def work_with(code: Path, shop: Shop, model: Path | None = None) -> None:
    """Have a worker of another version, and its model, handle all there is, and stop it in good order."""
    settings = shop.settings.model_copy(update={"model": model or shop.model})
    with OldWorker(code, settings, shop.folder / "old.log") as worker:
        worker.wait_until(lambda _: True, PATIENCE_S)
        wait_until_committed(shop.settings)
        assert worker.stop() == 0


def rows_of_layout(layout: int, settings: Settings) -> dict[bytes, Rows]:
    """The last row of each user, each of this layout."""
    last = {key: value[ID_BYTES:] for key, value in records(settings, changelog(settings).name) if key != MARKER}
    found = {}
    for key, row in last.items():
        assert len(row) == {1: 784, 2: 768, 3: 768}[layout]
        rows = migrated(np.frombuffer(row, np.uint8)[None])
        assert rows is not None
        found[key] = rows[0]
    return found


@pytest.mark.parametrize(("version", "layout"), OLDER.items())
def test_upgrade_from_rows_of_another_layout_and_the_way_back(
    shop: Shop, tmp_path: Path, version: str, layout: int
) -> None:
    old = code_of(version, tmp_path / "old")
    model = model_of(old, tmp_path / "old-model")
    make_topics, new_group = blocks(PAGE, "An upgrade")
    shop.send(shoppers(0, 12, now_ms() - HOUR_MS))
    work_with(old, shop, model)
    shop.assert_all_counts_once(rows_of_layout(layout, shop.settings), LOST)
    shop.shell.type(make_topics)
    shop.send(shoppers(10_000, 6, now_ms(), HOUR_MS))
    shop.work()
    shop.assert_all_counts_once(but_for=LOST)
    shop.send(shoppers(20_000, 3, now_ms(), HOUR_MS // 2))
    theirs = shop.settings.model_copy(update={"model": model})
    with OldWorker(old, theirs, tmp_path / "refused.log") as worker, pytest.raises(ProcessEnded):
        worker.wait_until(lambda _: False, PATIENCE_S)
    assert worker.code == 2
    assert "changelog" in worker.last_words()
    forward = shop.settings
    shop.shell.type(new_group)
    shop.follow()
    assert shop.settings.group != forward.group
    work_with(old, shop, model)
    shop.assert_all_counts_once(rows_of_layout(layout, shop.settings), LOST)
    shop.settings = forward
    shop.work()
    shop.assert_all_counts_once(but_for=LOST)


def test_upgrade_from_rows_of_the_same_layout_and_straight_back(shop: Shop, tmp_path: Path) -> None:
    old = code_of(SAME_LAYOUT, tmp_path / "old")
    [make_topics, _] = blocks(PAGE, "An upgrade")
    for number, new in enumerate((False, True, False)):
        shop.send(shoppers(10_000 * number, 6, now_ms() - (2 - number) * HOUR_MS, HOUR_MS))
        if new:
            shop.shell.type(make_topics)
            shop.work()
        else:
            work_with(old, shop)
        shop.assert_all_counts_once()


def test_upgrade_of_one_worker_after_another_where_rows_keep_their_layout(shop: Shop, tmp_path: Path) -> None:
    old = code_of(SAME_LAYOUT, tmp_path / "old")
    with ExitStack() as stack:
        workers: list[Worker] = [
            stack.enter_context(OldWorker(old, shop.settings, tmp_path / f"old-{number}.log")) for number in range(2)
        ]
        shop.send(shoppers(0, 6, now_ms() - 2 * HOUR_MS))
        for number in range(2):
            settled(workers)
            shop.send(shoppers(1000 * (number + 1), 2, now_ms() - HOUR_MS, HOUR_MS // 2))
            assert workers[number].stop() == 0
            workers[number] = stack.enter_context(shop.worker())
        settled(workers)
        shop.send(shoppers(9000, 2, now_ms(), HOUR_MS // 2))
        wait_until_committed(shop.settings)
        assert [worker.stop() for worker in workers] == [0, 0]
    shop.assert_all_counts_once()


def test_new_model_comes_and_goes_one_worker_after_another(shop: Shop, tmp_path: Path) -> None:
    other, model = tmp_path / "other", shop.model
    versions = {save(random_model(items=ITEMS, seed=1), other).card.version, load(model).card.version}
    assert len(versions) == 2
    with ExitStack() as stack:
        workers = [stack.enter_context(shop.worker()) for _ in range(2)]
        shop.send(shoppers(0, 6, now_ms() - 3 * HOUR_MS))
        for number, folder in enumerate((other, other, model, model)):
            settled(workers)
            shop.settings = shop.settings.model_copy(update={"model": folder})
            assert workers[number % 2].stop() == 0
            workers[number % 2] = stack.enter_context(shop.worker())
            shop.send(shoppers(1000 * (number + 1), 2, now_ms() - HOUR_MS // 2 * (4 - number), HOUR_MS // 2))
        settled(workers)
        shop.send(shoppers(9000, 1, now_ms(), HOUR_MS // 2))
        wait_until_committed(shop.settings)
        assert [worker.stop() for worker in workers] == [0, 0]
    said = [msgspec.json.decode(value)["model_version"] for _, value in records(shop.settings, NEXT_ACTIONS)]
    assert set(said) == versions
    shop.assert_all_counts_once()
    rows = final_rows(shop.settings)
    for table in as_if_there_had_been_no_other(shop).users.partitions.values():
        for key in table:
            expected = table.read([key])[0]
            assert expected["accepted"] < RING
            assert [name for name in OF_EVENTS if rows[key][name].tobytes() != expected[name].tobytes()] == [], key


def settled(workers: list[Worker]) -> None:
    for worker in workers:
        worker.wait_until(lambda samples: samples.get(("nextact_partitions",), 0) == 1, PATIENCE_S)


def as_if_there_had_been_no_other(shop: Shop) -> Backtest:
    events = pl.DataFrame([event | {"action": ACTION_OF_TOPIC[topic]} for topic, event in shop.sent]).sort("ts_ms")
    return backtest(events, Predictor(load(shop.model)), Options(), lambda _: None, partitions=PARTITIONS)
