"""`nextact compare`, and trainings of networks that are not served, run as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models.cells.sizes import NETWORKS
from models.comparison import TITLES
from models.events_file import write_events
from models.simulator import Shop, log
from streams import step_cost
from streams.cli import app

END_MS = 1_750_000_000_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "events.csv.gz"
    write_events(log(Shop(users=30, items=40), END_MS, events=1500), path)
    return path


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_cost, "BLOCK_S", 0.0)


def run(*arguments: object) -> Result:
    before = signal.getsignal(signal.SIGINT)
    try:
        return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])
    finally:
        assert signal.getsignal(signal.SIGINT) is before, "the handler is put back"


def test_all_networks_are_compared_on_the_same_rows(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "networks.png"
    result = run(file, "--seeds", 2, "--epochs", 1, "--json", "--plot", picture)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
    found = json.loads(result.stdout)
    assert (found["events"], found["max_minutes"]) == ("events.csv.gz", None)
    assert list(found["networks"]) == list(NETWORKS)
    assert [(one["network"], one["seed"]) for one in found["runs"]] == [(n, s) for s in (0, 1) for n in NETWORKS]
    assert {kind: one["state_bytes"] for kind, one in found["networks"].items()} == {
        "gru": 128,
        "lstm": 256,
        "transformer": 32_257,
        "lru": 256,
    }
    losses = set()
    for kind, one in found["networks"].items():
        assert set(one["figures"]) == set(TITLES)
        mine = sorted(r["figures"]["loss"] for r in found["runs"] if r["network"] == kind)
        loss = one["figures"]["loss"]
        assert [loss["low"], loss["high"]] == mine
        assert mine[0] < mine[1], "seeds differ"
        assert loss["middle"] == pytest.approx(sum(mine) / 2)
        assert min(one["step_us"].values()) > 0
        losses.update(mine)
    assert len(losses) == 8
    assert set(found["floors"]) == {"action_log_loss", "recall_at_20", "time_log_loss", "purchase_log_loss"}
    assert found["floors"]["recall_at_20"]["name"] in ("popularity", "own recency", "Markov-1")
    assert 0 < found["floors"]["recall_at_20"]["value"] < 1
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_comparison_is_the_training_that_train_does(file: Path, tmp_path: Path) -> None:
    compared = json.loads(run(file, "--networks", "lru", "--seeds", 1, "--epochs", 1, "--json").stdout)
    options = ["--network", "lru", "--epochs", "1", "--threads", "1", "--json"]
    trained = CliRunner().invoke(app, ["train", str(file), "--out", str(tmp_path / "m"), *options])
    assert trained.exit_code == 0, trained.output
    validation = json.loads(trained.stdout)["metrics"]["validation"]
    assert validation["loss"] == compared["runs"][0]["figures"]["loss"]
    card = json.loads((tmp_path / "m" / "model.json").read_bytes())
    assert (card["network"], "--network lru" in card["command"]) == ("lru", True)
    judged = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "m"), str(file), "--task", "next-action", "--json", "--replicates", "20"]
    )
    assert judged.exit_code == 0, judged.output
    assert "model" in json.loads(judged.stdout)["predictors"]
    served = CliRunner().invoke(app, ["backtest", str(tmp_path / "m"), str(file), "--out", str(tmp_path / "out")])
    assert served.exit_code == 2
    assert "holds a network lru, and only gru is served: train one with" in served.output


def test_a_table_and_progress_are_for_people(file: Path) -> None:
    result = run(file, "--networks", "gru,lru,gru", "--seeds", 1, "--max-minutes", 1e-9)
    assert result.exit_code == 0, result.output
    assert "1 of 2: gru, seed 0: loss" in result.stderr
    assert "1 epochs, out of time" in result.stderr
    for text in ("state of a user, bytes", "next item, NDCG at 20", "in integers", "128", "256"):
        assert text in result.stdout


def test_a_network_behind_the_floor_is_marked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(file, "--networks", "gru", "--seeds", 1, "--max-minutes", 1e-9).stdout
    recall = next(line for line in shown.splitlines() if "recall at 20" in line)
    assert "own recency" in recall or "Markov-1" in recall
    said = " ".join(shown.split()).partition("gru is behind the floor: ")[2]
    assert "next item, recall at 20" in said, "one update knows less than who remembers"
    assert "NDCG" not in said, "of which there is no floor"


def test_a_log_without_times_has_no_time_to_compare(file: Path, tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [f"u{k // 6}" for k in range(120)],
            "item_id": [f"i{k % 5}" for k in range(120)],
            "action": ["look", "like"] * 60,
            "position": list(range(120)),
        }
    )
    frame.write_parquet(tmp_path / "positions.parquet")
    result = run(tmp_path / "positions.parquet", "--networks", "lstm", "--seeds", 1, "--epochs", 1, "--json")
    assert result.exit_code == 0, result.output
    assert "time_log_loss" not in json.loads(result.stdout)["networks"]["lstm"]["figures"]


def test_what_cannot_be_compared_is_said_in_one_line(file: Path, tmp_path: Path) -> None:
    for arguments, wanted in (
        ((file, "--networks", "gru,rnn"), "'rnn' is none of gru, lstm, transformer, lru"),
        ((file, "--max-minutes", 0), "must be more than 0"),
        ((file, "--plot", tmp_path / "a.txt"), "must end in one of .png, .svg, .pdf"),
        ((file, "--plot", tmp_path / "none" / "a.png"), "there is no folder"),
        ((tmp_path / "none.csv",), "none.csv"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        assert wanted in " ".join(result.output.replace("│", " ").split()), result.output
    moment = pl.DataFrame({"user_id": ["u"] * 9, "item_id": ["i"] * 9, "action": ["view"] * 9, "ts_ms": [5] * 9})
    moment.write_parquet(tmp_path / "one.parquet")
    result = run(tmp_path / "one.parquet", "--networks", "gru")
    assert result.exit_code == 2, result.output
    assert "one.parquet: learning needs events of at least two moments" in result.output


def test_an_interrupt_ends_all_of_it_and_shows_what_has_ended(file: Path) -> None:
    command = [sys.executable, "-m", "streams", "compare", str(file), "--networks", "gru", "--epochs", "1"]
    with subprocess.Popen(
        [*command, "--seeds", "1000", "--json"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    ) as running:
        assert running.stderr is not None
        assert "seed 0" in running.stderr.readline(), "a training has ended"
        time.sleep(0.2)
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(60) == 130
        assert "Traceback" not in running.stderr.read()
        assert running.stdout is not None
        [line] = running.stdout.read().splitlines()
        assert 1 <= len(json.loads(line)["runs"]) < 1000
