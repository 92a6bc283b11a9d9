"""The command line as a user meets it: help at once, one line for what is wrong, codes that scripts can read."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import TopicPartition
from typer.testing import CliRunner

from streams.cli import app
from streams.clients import consumer
from streams.commands.log_options import parse_time
from streams.errors import SettingsError
from streams.local_broker import free_ports
from streams.settings import read_settings

HEAVY = ("torch", "polars", "faust", "aiokafka", "kafka", "matplotlib", "numpy", "pydantic")


def nextact(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def _written(broker: str, topic: str) -> int:
    """Return the number of records of a topic."""
    with consumer(read_settings(bootstrap_servers=broker)) as reader:
        places = [TopicPartition(topic, number) for number in reader.partitions_for_topic(topic) or ()]
        return sum(reader.end_offsets(places).values())


def test_help_imports_nothing_heavy() -> None:
    code = f"import sys, streams.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        ("demo",),
        ("broker",),
        ("topics", "create"),
        ("worker",),
        ("simulate",),
        ("replay",),
        ("tail",),
        ("dead-letters", "list"),
        ("dead-letters", "replay"),
        ("train",),
        ("backtest",),
        ("convert",),
    ],
)
def test_every_command_has_help_with_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output


def test_version_is_printed() -> None:
    assert CliRunner().invoke(app, ["--version"]).output.startswith("nextact")


def test_no_broker_is_one_line() -> None:
    assert_one_line(nextact("tail", "views"), "KAFKA_BOOTSTRAP_SERVERS")


def test_broker_that_does_not_answer_is_one_line() -> None:
    address = f"127.0.0.1:{free_ports(1)[0]}"
    assert_one_line(nextact("topics", "create", KAFKA_BOOTSTRAP_SERVERS=address), address, "connection refused")


def test_wrong_variable_is_one_line() -> None:
    assert_one_line(nextact("tail", "views", NEXTACT_PARTITIONS="many"), "NEXTACT_PARTITIONS")


def test_missing_topics_are_one_line(embedded_broker: str) -> None:
    done = nextact("simulate", KAFKA_BOOTSTRAP_SERVERS=embedded_broker, NEXTACT_TOPIC_PREFIX="nobody.")
    assert_one_line(done, "nobody.views", "nextact topics create")


def test_file_that_is_no_log_is_one_line(tmp_path: Path, embedded_broker: str) -> None:
    (tmp_path / "log.csv").write_text("user_id,ts_ms\nu,1\n")
    done = nextact("replay", str(tmp_path / "log.csv"), KAFKA_BOOTSTRAP_SERVERS=embedded_broker)
    assert_one_line(done, "log.csv", "item_id")


def test_wrong_speed_is_one_line(tmp_path: Path) -> None:
    assert_one_line(nextact("replay", str(tmp_path / "log.csv"), "--speed", "fast"), "--speed fast")


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("simulate", "--past-days", "100000"),
        ("simulate", "--past-days", "nan"),
        ("simulate", "--rate", "nan"),
        ("train", "--max-minutes", "0"),
        ("train", "--max-minutes", "-1"),
        ("train", "--max-minutes", "nan"),
        ("train", "--threads", "0"),
        ("train", "--threads", "100000"),
        ("train", "--name", ""),
    ],
)
def test_number_out_of_bounds_is_refused_by_its_option(command: str, option: str, value: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "none.csv"), "--out", str(tmp_path / "new")] if command == "train" else []
    shown = CliRunner().invoke(app, [command, *arguments, option, value])
    assert shown.exit_code == 2
    assert option in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("evaluate", "FILE", "--task", "next-itm"), "'--task': 'next-itm' is not one of 'next-item', 'next-action'"),
        (
            ("evaluate", "FILE"),
            "Missing option '--task'. Choose from: next-item, next-action, churn, time-to-next; see",
        ),
        (("train", "FILE", "--out", "x", "--network", "rnn"), "'rnn' is not one of 'gru', 'lstm'"),
        (("train", "FILE", "--out", "x", "--by", "visit"), "'visit' is not one of 'user', 'session'"),
        (("convert", "taobo", "FILE", "--out", "x.csv"), "'taobo' is not one of 'taobao'"),
        (("train", "FILE", "--out", "x", "--max-minutes", "0"), "'--max-minutes': must be more than 0; see"),
        (("train", "FILE"), "Missing option '--out'; see"),
        (("train", "FILE", "--uot", "x"), "No such option: --uot"),
        (("trian", "FILE"), "No such command 'trian'"),
        (("user", "shwo"), "No such command 'shwo'"),
        (("--verson",), "No such option: --verson"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, [str(tmp_path) if word == "FILE" else word for word in arguments])
    assert (shown.exit_code, shown.stdout) == (2, "")
    [line] = shown.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert line.endswith("--help`")


@pytest.mark.parametrize("command", [(), ("user",), ("topics",), ("benchmark",)])
def test_no_command_shows_the_help(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 2
    assert "Usage" in shown.output
    assert "error" not in shown.output


def test_time_in_seconds_is_refused() -> None:
    with pytest.raises(SettingsError, match="--at 1511544070 looks like seconds: in ms it is 1511544070000"):
        parse_time("1511544070", 0, "--at")


def test_replay_says_which_clock_an_old_log_wants() -> None:
    assert "NEXTACT_CLOCK=stream" in CliRunner().invoke(app, ["replay", "--help"]).output


def test_missing_model_is_one_line(tmp_path: Path, embedded_broker: str) -> None:
    done = nextact("worker", "--model", str(tmp_path / "none"), KAFKA_BOOTSTRAP_SERVERS=embedded_broker)
    assert_one_line(done, "none", "nextact train")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_a_command_and_the_broker_that_it_started(number: signal.Signals, code: int) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    command = [sys.executable, "-m", "streams", "broker"]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().rpartition("=")[2]
        process.send_signal(number)
        _, complaints = process.communicate(timeout=20)
    assert (process.returncode, complaints) == (code, "")
    assert_one_line(nextact("tail", "views", KAFKA_BOOTSTRAP_SERVERS=address), "connection refused")


def test_simulate_counts_what_it_sent_when_it_is_interrupted(embedded_broker: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    prefix = f"s{time.time_ns()}."
    kept |= {"KAFKA_BOOTSTRAP_SERVERS": embedded_broker, "NEXTACT_TOPIC_PREFIX": prefix}
    subprocess.run([sys.executable, "-m", "streams", "topics", "create"], env=kept, capture_output=True, check=True)
    command = [sys.executable, "-m", "streams", "simulate", "--rate", "100", "--users", "50", "--items", "64"]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline_s = time.monotonic() + 60
        while not _written(embedded_broker, prefix + "views") and time.monotonic() < deadline_s:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (0, "")
    assert "all acknowledged" in printed
