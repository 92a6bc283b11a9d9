"""`nextact train` and `nextact convert`, run as a user runs them."""

import json
from pathlib import Path

import pytest
from builders import random_model
from typer.testing import CliRunner, Result

from models.events_file import read_events, write_events
from models.model_directory import load, load_any, save
from models.simulator import Shop, log
from streams.cli import app

END_MS = 1_750_000_000_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "events.csv.gz"
    write_events(log(Shop(users=20, items=40), END_MS, events=800), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_train_writes_a_model_and_shows_it_next_to_the_floors(file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--out", tmp_path, "--epochs", 1, "--name", "mine", "--utc-offset-h", 3)
    assert result.exit_code == 0, result.output
    model = load(tmp_path)
    assert (model.card.name, model.card.utc_offset_h, model.card.data["rows"]) == ("mine", 3, 800)
    assert model.card.version in result.output
    assert "next action, log-loss" in result.output, "in one line on a terminal of 80 columns"
    assert any(floor in result.output for floor in ("prior", "own recency", "Markov-1", "Markov-2"))
    assert str(file.parent) not in model.card.command


def test_a_model_behind_its_floor_is_marked(file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--out", tmp_path, "--max-minutes", 1e-9)
    assert "behind the floor: next action, log-loss" in result.stdout, "one update has learnt nothing"


def test_there_must_be_a_training_to_resume(file: Path, tmp_path: Path) -> None:
    result = run("train", file, "--out", tmp_path, "--epochs", 1, "--resume")
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{tmp_path} holds no training to resume: train without --resume\n")
    assert len(result.stderr.splitlines()) == 1


def test_any_log_is_learnt_and_what_serves_refuses_the_model(tmp_path: Path) -> None:
    rows = [f"s{k // 6},u{k // 6},x{k % 4},{('pv', 'fav')[k % 2]},{k},{k % 5}" for k in range(120)]
    source = tmp_path / "events.csv"
    source.write_text("\n".join(["session_id,user_id,item_id,kind,position,category", *rows]))
    columns = ("--item-column", "category", "--action-column", "kind", "--by", "session")
    result = run("train", source, "--out", tmp_path / "model", "--epochs", 2, "--dropout", 0.1, *columns)
    assert result.exit_code == 0, result.output
    model = load_any(tmp_path / "model")
    assert (model.card.actions, model.card.targets, sorted(model.items)) == (("fav", "pv"), (), list("01234"))
    assert model.card.data["item_column"] == "category"
    assert "--action-column kind --dropout 0.1" in model.card.command
    write_events(log(Shop(users=20, items=40), END_MS, events=50), tmp_path / "served.csv")
    refused = run("backtest", tmp_path / "model", tmp_path / "served.csv", "--out", tmp_path / "out")
    assert refused.exit_code == 2
    assert "learnt fav, pv and knows no times, and served are view, click, purchase" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_until_keeps_later_events_out(file: Path, tmp_path: Path) -> None:
    until_ms = int(read_events(file)["ts_ms"][500])
    result = run("train", file, "--out", tmp_path, "--epochs", 1, "--until", until_ms, "--json")
    summary = json.loads(result.stdout)
    assert summary["data"]["last_ms"] < until_ms
    assert summary["data"]["rows"] == 500
    assert load(tmp_path).card.version == summary["version"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--until", "tomorrow"], "--until tomorrow: give a date"),
        (["--until", "2001-01-01"], "holds no event before"),
    ],
)
def test_a_time_that_leaves_nothing_ends_with_one_line(
    file: Path, tmp_path: Path, extra: list[str], message: str
) -> None:
    result = run("train", file, "--out", tmp_path, *extra)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_log_ends_with_one_line(tmp_path: Path) -> None:
    for command in (["train", tmp_path / "none.csv"], ["convert", "taobao", tmp_path / "none.csv"]):
        result = run(*command, "--out", tmp_path / "out.parquet")
        assert result.exit_code == 2
        assert "none.csv" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_convert_counts_what_it_wrote_and_dropped(tmp_path: Path) -> None:
    source = tmp_path / "UserBehavior.csv"
    source.write_text("1,10,5,pv,1511544070\n1,11,5,buy,1511544071\n1,12,5,pv,7\n")
    result = run("convert", "taobao", source, "--out", tmp_path / "events.jsonl", "--json")
    assert json.loads(result.stdout) == {
        "events": 2,
        "dropped": {"outside 25 November to 3 December 2017": 1},
    }
    assert len((tmp_path / "events.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("out", ["taken/{}", "taken", "/proc/x/{}"])
@pytest.mark.parametrize("command", ["train", "backtest", "convert"])
def test_a_place_that_cannot_be_written_ends_with_one_line(
    command: str, out: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.training.train", lambda *_: pytest.fail("learned for nothing"))
    name = "events.parquet" if command == "convert" else "new"
    place = tmp_path / out.format(name)
    if command == "convert" and out == "taken":
        place = tmp_path / "taken.parquet"
        place.mkdir()
    (tmp_path / "taken").write_text("a file")
    source = tmp_path / "UserBehavior.csv"
    source.write_text("1,10,5,pv,1511544070\n")
    save(random_model(3), tmp_path / "model")
    before: dict[str, list[object]] = {
        "train": [file],
        "backtest": [tmp_path / "model", file],
        "convert": ["taobao", source],
    }
    result = run(command, *before[command], "--out", place)
    assert result.exit_code == 2, result.output
    assert "cannot" in result.stderr
    assert str(place.parent) in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_full_disk_ends_with_one_line(tmp_path: Path) -> None:
    source = tmp_path / "UserBehavior.csv"
    source.write_text("1,10,5,pv,1511544070\n")
    (tmp_path / "events.csv").symlink_to("/dev/full")
    result = run("convert", "taobao", source, "--out", tmp_path / "events.csv")
    assert (result.exit_code, result.stderr) == (2, "error: cannot write: No space left on device\n")


def test_convert_makes_missing_folders(tmp_path: Path) -> None:
    source = tmp_path / "UserBehavior.csv"
    source.write_text("1,10,5,pv,1511544070\n")
    for name in ("events.parquet", "events.csv.gz"):
        assert run("convert", "taobao", source, "--out", tmp_path / "new" / "deep" / name).exit_code == 0
        assert len(read_events(tmp_path / "new" / "deep" / name)) == 1
