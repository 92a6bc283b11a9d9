"""Lines of docs/operations.md typed into a shell beside a Kafka; those of procedures are typed by `test_drill_*.py`."""

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from builders import event_json
from drilled import DAY_MS, HOUR_MS, PAGE, Shop, now_ms, shoppers, small_shop
from typed import blocks, lines
from workers import PATIENCE_S, final_rows

from models.events_file import write_events
from schemas.topics import ACTION_OF_TOPIC
from streams.clients import producer
from streams.processes import Process

BLOCKS = {"Start": 1, "Capacity": 1, "Dead letters": 1, "A new model": 2, "Forget a user": 1}
"""Blocks of docs/operations.md that are typed here, by their heading."""


def test_every_block_of_the_pages_is_typed() -> None:
    drilled = set()
    for path in Path(__file__).parent.glob("test_drill_*.py"):
        drilled |= set(re.findall(r'blocks\(PAGE, "([^"]+)"\)', path.read_text()))
    counted = {heading: len(blocks(PAGE, heading)) for heading in {*BLOCKS, *drilled}}
    assert {heading: counted[heading] for heading in BLOCKS} == BLOCKS
    assert sum(counted.values()) == len(blocks(PAGE))


@pytest.fixture(scope="module")
def shop(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path_factory.mktemp("shop")) as made:
        yield made


@pytest.mark.broker
@pytest.mark.long
def test_start_capacity_and_a_new_model(shop: Shop) -> None:
    [start], [plan], [evaluate, _] = (blocks(PAGE, heading) for heading in ("Start", "Capacity", "A new model"))
    folder = shop.shell.folder
    for name in ("shop-model", "new-model"):
        shutil.copytree(shop.model, folder / name)
    newer = [event | {"action": ACTION_OF_TOPIC[topic]} for topic, event in shoppers(0, 60, now_ms(), DAY_MS)]
    write_events(pl.DataFrame(newer), folder / "newer.parquet")
    assert "partitions" in shop.shell.type(plan)
    assert "validation rows" in shop.shell.type(evaluate)
    create, work = lines(start)
    shop.shell.type(create)
    environment = shop.shell.environment | {"NEXTACT_METRICS_PORT": "0", "NEXTACT_GROUP": shop.settings.group}
    with Process(["env", "-C", str(folder), *work.split()], shop.folder / "typed.log", environment) as typed:
        deadline_s = time.monotonic() + PATIENCE_S
        while "worker starts" not in typed.log.read_text():
            assert typed.code is None, typed.last_words()
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
        assert typed.stop() in (0, 143)


@pytest.mark.broker
@pytest.mark.long
def test_dead_letters_are_listed_corrected_and_sent_again(shop: Shop) -> None:
    [block] = blocks(PAGE, "Dead letters")
    *first, last = lines(block)
    bad = {
        "future_time": (b"ann", event_json("ann", "i1", now_ms() + 10 * HOUR_MS)),
        "key_mismatch": (b"bob", event_json("ann", "i1", now_ms())),
        "empty_id": (b"ann", event_json("ann", "", now_ms())),
        "wrong_type": (b"ann", event_json("ann", "i1", now_ms()).replace(b'"i1"', b"7")),
    }
    with producer(shop.settings) as sender:
        for key, value in bad.values():
            sender.send("clicks", value, key)
        sender.flush()
    shop.work()
    listed, future, rekeyed, emptied, corrected = (shop.shell.type(line) for line in first)
    assert all(reason in listed for reason in bad)
    assert "1" in future
    assert "clicks" in rekeyed
    assert "1" in emptied
    assert corrected == ""
    letters = shop.shell.folder / "letters"
    letters.write_text(letters.read_text().replace(":7,", ':"i7",'))
    shop.shell.type(last)
    open_now = shop.shell.type("nextact dead-letters list --open --json")
    assert {msgspec.json.decode(line)["reason"] for line in open_now.splitlines()} == {"future_time", "key_mismatch"}
    shop.work()
    rows = final_rows(shop.settings)
    assert rows[b"ann"]["total"].tolist() == [0, 2, 0]


@pytest.mark.broker
@pytest.mark.long
def test_user_is_forgotten(shop: Shop) -> None:
    [forget] = blocks(PAGE, "Forget a user")
    with producer(shop.settings) as sender:
        sender.send("views", event_json("u-81723", "i1", now_ms()), b"u-81723")
        sender.flush()
    shop.work()
    assert "u-81723" in shop.shell.type("nextact user show u-81723 --kafka")
    shop.shell.type(forget)
    code, said = shop.shell.tried("nextact user show u-81723 --kafka")
    assert (code, "knows nothing of user u-81723" in said) == (2, True)
    with producer(shop.settings) as sender:
        sender.send("views", event_json("u-81723", "i2", now_ms()), b"u-81723")
        sender.flush()
    shop.work()
    assert final_rows(shop.settings)[b"u-81723"]["total"].tolist() == [1, 0, 0]
