"""What is logged, how, and how often."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.logs import OncePerInterval, configure_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def record(name: str, line: int) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file.py", line, "gone", None, None)


def test_kafka_clients_say_the_same_thing_once_an_interval() -> None:
    passes = OncePerInterval(interval_s=1000).filter
    assert [passes(record("aiokafka.conn", 7)) for _ in range(3)] == [True, False, False]
    assert passes(record("aiokafka.conn", 8))
    assert passes(record("kafka.conn", 7))


def test_our_own_lines_always_pass() -> None:
    passes = OncePerInterval(interval_s=1000).filter
    assert all(passes(record("nextact", 7)) for _ in range(3))


def test_json_is_one_object_a_line_for_us_and_for_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger("nextact").info("worker starts", partitions=8)
    logging.getLogger("faust").warning("odd %s", "thing")
    ours, theirs = map(json.loads, capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["partitions"], ours["level"]) == ("worker starts", 8, "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("odd thing", "faust", "warning")


def test_exception_stays_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("nextact").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "broken" in line
    assert json.loads(line)["event"] == "failed"


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "console")
    structlog.get_logger("nextact").info("not this")
    logging.getLogger("aiokafka").info("nor this")
    assert capsys.readouterr().err == ""
