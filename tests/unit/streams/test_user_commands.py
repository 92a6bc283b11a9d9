"""`nextact user`, run as a user runs it: over a log and over the changelog of a cluster, which say the same."""

import json
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import random_model
from typer.testing import CliRunner, Result

from models.events_file import write_events
from models.model_directory import Model, load, save
from models.predictor import Predictor
from models.state import OLDER_KEY_BITS, RING
from schemas.partitioner import partition
from streams.chunk.changelog import ID_BYTES
from streams.chunk.logged_rows import MARKER
from streams.cli import app
from streams.clients import producer
from streams.explanation import known, known_tables
from streams.one_user import from_log, last_row
from streams.settings import read_settings
from streams.topics import changelog, create_topics

START_MS = 1_760_000_000_000
EVENTS = 20
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty events of ann, half a minute apart: views and clicks of i0 to i4 and, at last, a purchase of "new"."""
    path = tmp_path_factory.mktemp("log") / "events.csv"
    rows = [("ann", f"i{k % 5}", ("view", "click")[k % 2], START_MS + k * MINUTE_MS // 2) for k in range(EVENTS - 1)]
    rows += [("ann", "new", "purchase", START_MS + EVENTS * MINUTE_MS), ("bob", "i1", "view", START_MS)]
    write_events(pl.DataFrame(rows, ["user_id", "item_id", "action", "ts_ms"], orient="row"), path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "random"
    save(random_model(seed=1), directory)
    return directory


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["user", *(str(argument) for argument in arguments)])


def told(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    [line] = result.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize("target", ["purchase", "view", "click", "leave", "churn", "item:i3"])
def test_every_event_of_the_ring_is_told_with_its_change(file: Path, model: Path, target: str) -> None:
    found = told("explain", "ann", "--model", model, "--events", file, "--target", target)
    assert (found["user_id"], found["target"], found["earlier_events"]) == ("ann", target, EVENTS - RING)
    assert [event["ts_ms"] for event in found["events"]] == sorted(event["ts_ms"] for event in found["events"])
    assert [event["item_id"] for event in found["events"]] == [f"i{k % 5}" for k in range(4, EVENTS - 1)] + ["new"]
    for event in found["events"]:
        assert event["change"] == pytest.approx(found["probability"] - event["without"], abs=2e-6)
        assert event["change"] * event["log_odds_change"] >= 0
    assert any(event["change"] for event in found["events"])


def test_events_before_a_time_lead_to_the_prediction_at_that_time(file: Path, model: Path) -> None:
    until_ms = START_MS + 3 * MINUTE_MS // 2
    found = told("explain", "ann", "--model", model, "--events", file, "--until", until_ms)
    assert [event["action"] for event in found["events"]] == ["view", "click", "view"]
    longer = told("explain", "ann", "--model", model, "--events", file, "--until", until_ms + 1)
    assert longer["events"][-1]["without"] == found["probability"]


def test_chosen_items_get_their_probabilities(file: Path, model: Path) -> None:
    every = [f"i{k}" for k in range(20)]
    asked = [word for item in every for word in ("--item", item)]
    found = told("explain", "ann", "--model", model, "--events", file, *asked)["items"]
    assert [item["item_id"] for item in found] == every
    assert sum(item["next_item"] for item in found) == pytest.approx(1, abs=1e-4)
    buys = told("explain", "ann", "--model", model, "--events", file)["probability"]
    assert sum(item["purchase_next"] for item in found) == pytest.approx(buys, abs=1e-4)


def test_tables_are_for_people(file: Path, model: Path) -> None:
    shown = run("explain", "ann", "--model", model, "--events", file, "--item", "i1", "--item", "i2")
    assert shown.exit_code == 0
    for words in ("next a purchase", "4 earlier events", "2025-10-09 09:13:20", "purchase of it next", "█"):
        assert words in shown.stdout
    shown = run("show", "ann", "--model", model, "--events", file)
    newest = "2025-10-09 09:13:20"
    for words in ("user ann: 20 events", f"as of {newest}", f"until {newest}", "last 1h", "the last 16 events", "new"):
        assert words in shown.stdout
    assert "items from before, the last first: i3, i2, i1, i0" in " ".join(shown.stdout.split())
    assert "from before" not in run("show", "bob", "--model", model, "--events", file).stdout


def test_ids_are_shown_as_they_are(model: Path, tmp_path: Path) -> None:
    write_events(
        pl.DataFrame({"user_id": ["[b]ann"], "item_id": ["[red]:cat:"], "action": ["view"], "ts_ms": [START_MS]}),
        tmp_path / "odd.csv",
    )
    for command in ("show", "explain"):
        shown = run(command, "[b]ann", "--model", model, "--events", tmp_path / "odd.csv").stdout
        assert "user [b]ann" in shown
        assert "[red]:cat:" in shown


def test_older_items_are_named_as_far_as_they_are_known(file: Path, model: Path) -> None:
    who = from_log(file, "ann", Predictor(load(model)), read_settings())
    assert who.older_items() == ["i3", "i2", "i1", "i0"]
    items = {7: "seven", 7 + (1 << OLDER_KEY_BITS): "its twin"}
    who.row["older_low"][0, :3], who.row["older_high"][0, :3] = (7, 9, 0), 0
    assert who._replace(items=items).older_items()[:2] == ["seven or its twin", "#..000009"]


def test_what_is_known_is_shown(file: Path, model: Path) -> None:
    found = told("show", "ann", "--model", model, "--events", file)
    assert found["totals"] == {"view": 10, "click": 9, "purchase": 1}
    assert found["windows"]["1h"] == found["totals"]
    assert len(found["events"]) == RING
    assert found["older_items"] == ["i3", "i2", "i1", "i0"]
    assert found["churn_band_as_of_ms"] == found["newest_ms"] == START_MS + EVENTS * MINUTE_MS


def test_a_band_that_silence_changed_is_as_of_that_silence(file: Path, model: Path) -> None:
    who = from_log(file, "ann", Predictor(load(model)), read_settings())
    who.row["band"], who.row["silent_s"] = 2, 86_400
    found = known(who)
    assert found["churn_band_as_of_ms"] == found["newest_ms"] + 86_400_000
    title = str(next(known_tables(found)).title)
    assert title.endswith("churn risk medium as of 2025-10-10 09:13:20")


def test_an_id_with_a_comma_is_one_item(file: Path, tmp_path: Path) -> None:
    made = random_model()
    save(Model(made.card, [*made.items[:-1], "red, size 9"], made.weights), tmp_path)
    found = told("explain", "ann", "--model", tmp_path, "--events", file, "--item", "red, size 9", "--item", "i1")
    assert [item["item_id"] for item in found["items"]] == ["red, size 9", "i1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "eve", "--events", "FILE"], "no events of user eve; it has those of ann"),
        (["explain", "ann", "--events", "FILE", "--target", "item:new"], "the model does not know item new"),
        (["explain", "ann", "--events", "FILE", "--target", "love"], "--target love: give one of view, click"),
        (["explain", "ann", "--events", "FILE", "--item", "i1,i2"], "--item: the model does not know item i1,i2"),
        (["explain", "ann", "--events", "FILE", "--until", "2001-01-01"], "no events before --until"),
        (["explain", "ann"], "give --events FILE or --kafka"),
        (["show", "ann", "--events", "FILE", "--kafka"], "and not both"),
        (["show", "ann", "--kafka", "--until", "2026-01-01"], "--until goes with --events"),
    ],
)
def test_wrong_input_is_one_line(file: Path, model: Path, arguments: list[str], words: str) -> None:
    result = run(*(str(file) if word == "FILE" else word for word in arguments), "--model", model)
    assert (result.exit_code, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([], None),
        ([(b"bob", b"writer-1bob")], None),
        ([(b"ann", b"writer-1old"), (b"ann", b"writer-1new")], b"new"),
        ([(b"ann", b"writer-1mine"), (MARKER, b"writer-2"), (b"ann", b"writer-1zombie")], b"mine"),
        ([(MARKER, b"writer-2"), (b"ann", b"writer-2mine"), (b"ann", b"writer-1zombie")], b"mine"),
        ([(b"ann", b"writer-1gone"), (b"ann", None)], None),
    ],
)
def test_last_row_of_the_owner_counts(records: list[tuple[bytes, bytes | None]], found: bytes | None) -> None:
    assert last_row(records, b"ann") == found


def test_changelog_tells_what_the_log_does(
    file: Path, model: Path, embedded_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"u{time.time_ns()}."
    for variable, text in (("KAFKA_BOOTSTRAP_SERVERS", embedded_broker), ("NEXTACT_TOPIC_PREFIX", prefix)):
        monkeypatch.setenv(variable, text)
    settings = read_settings()
    create_topics(settings)
    row = from_log(file, "ann", Predictor(load(model)), settings).row
    number, name = partition(b"ann", settings.partitions), changelog(settings).name
    with producer(settings) as client:
        for key, value in (
            (MARKER, b"writer-1"),
            (b"ann", b"writer-1" + row.tobytes()),
            (b"ann", b"zombie-0" + bytes(row.itemsize)),
        ):
            assert len(value[:ID_BYTES]) == ID_BYTES
            client.send(name, value, key, partition=number)
        client.flush()
    live = told("explain", "ann", "--model", model, "--kafka")
    past = told("explain", "ann", "--model", model, "--events", file)
    assert live["events"][-1].pop("item_id") == "#6be34445"  # no item of the model's: the row has its hash alone
    past["events"][-1].pop("item_id")
    assert live == past
    unknown = run("explain", "eve", "--model", model, "--kafka")
    assert (unknown.exit_code, unknown.stderr.strip()) == (2, f"error: {name} knows nothing of user eve")
