"""What is logged, how, and how often."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

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


def fail_with(secret: list[str]) -> None:
    password = "".join(secret)  # never in a source line, so only the value of a variable can show it
    raise ValueError(f"refused after {len(password)} characters")


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("logger", ["ours", "a library's"])
def test_traceback_shows_no_local_variable(
    capsys: pytest.CaptureFixture[str], style: Literal["json", "console"], logger: str
) -> None:
    configure_logging("info", style)
    try:
        fail_with(["hun", "ter", "2"])
    except ValueError as error:
        if logger == "ours":
            structlog.get_logger("nextact").critical("a chunk failed", exc_info=error)
        else:
            logging.getLogger("faust").exception("crashed")
    written = capsys.readouterr().err
    assert "refused after 7 characters" in written
    assert "fail_with" in written
    assert "hunter2" not in written


def test_bug_in_a_command_shows_no_local_variable() -> None:
    code = """
import streams.cli

@streams.cli.app.command()
def buggy() -> None:
    password = "".join(["hun", "ter", "2"])
    raise ValueError(f"refused after {len(password)} characters")

streams.cli.app(["buggy"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ValueError: refused after 7 characters" in done.stderr
    assert "hunter2" not in done.stderr
