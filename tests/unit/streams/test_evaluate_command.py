"""`nextact evaluate`, run as a user runs it."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models.events_file import write_events
from models.floors.catalogue import CHURN, NEXT_ACTION, NEXT_ITEM, TIME_TO_NEXT
from models.simulator import Shop, log
from streams import extras
from streams.cli import app

END_MS = 1_750_000_000_000
DAY_MS = 86_400_000
FLOORS = {"next-item": NEXT_ITEM, "next-action": NEXT_ACTION, "churn": CHURN, "time-to-next": TIME_TO_NEXT}
FIGURES = {
    "next-item": {"recall", "mrr", "ndcg", "coverage", "novelty"},
    "next-action": {"log_loss", "macro_f1", "error", "ece", "parts", "confusion"},
    "churn": {"roc_auc", "average_precision", "log_loss", "brier", "ece", "mae_count", "roc_auc_of_count"},
    "time-to-next": {"log_loss", "concordance", "mae_h", "parts"},
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "events.csv.gz"
    write_events(log(Shop(users=30, items=40), END_MS, events=1500), path)
    return path


@pytest.fixture(scope="module")
def model(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models") / "shop"
    trained = CliRunner().invoke(app, ["train", str(file), "--out", str(directory), "--epochs", "1"])
    assert trained.exit_code == 0, trained.output
    return directory


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *(str(argument) for argument in arguments)])


def test_package_that_is_missing_is_said_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "sklearn" else True)
    result = run(file, "--task", "next-item")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.strip().endswith("evaluate needs sklearn: `pip install 'nextact[evaluation]'`")


def test_time_that_is_none_is_refused_by_the_name_of_its_option(file: Path) -> None:
    result = run(file, "--task", "churn", "--at", "junk", "--horizon-days", 7)
    assert result.exit_code == 2
    assert "--at junk" in result.stderr


def churn(file: Path) -> list[object]:
    times = log(Shop(users=30, items=40), END_MS, events=1500)["ts_ms"]
    at_ms = int(times.quantile(0.7) or 0)
    return ["--at", at_ms, "--horizon-days", max((END_MS - at_ms) // DAY_MS // 2, 1)]


@pytest.mark.parametrize("task", FLOORS)
def test_floors_alone_are_scored_as_one_line_of_json(file: Path, task: str) -> None:
    extra = churn(file) if task == "churn" else []
    result = run(file, "--task", task, "--json", "--replicates", 20, *extra)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1
    found = json.loads(result.stdout)
    assert (found["task"], found["model"], found["events"]) == (task, None, "events.csv.gz")
    assert found["rows"] > 0
    assert list(found["predictors"]) == list(FLOORS[task])
    for scores in found["predictors"].values():
        assert set(scores) - {"log_loss", "ece"} == FIGURES[task] - {"log_loss", "ece"}
        for figure in (scores[name] for name in FIGURES[task] - {"parts", "confusion", "coverage"}):
            assert figure["low"] <= figure["high"]


@pytest.mark.parametrize("task", FLOORS)
def test_tables_show_the_rows_and_every_floor(file: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = run(file, "--task", task, "--replicates", 20, *(churn(file) if task == "churn" else []))
    assert result.exit_code == 0, result.output
    assert all(name in result.stdout for name in FLOORS[task])
    assert f"{task}: " in result.stdout


def test_actions_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = [(f"u{k % 20}", "i", ("[/b]", "[red]")[k % 3 == 0], 1_700_000_000_000 + 60_000 * k) for k in range(400)]
    path = tmp_path / "events.csv"
    write_events(pl.DataFrame(rows, ["user_id", "item_id", "action", "ts_ms"], orient="row"), path)
    result = run(path, "--task", "next-action", "--replicates", 20)
    assert result.exit_code == 0, result.output
    assert "[/b]: " in result.stdout
    assert "[red]: " in result.stdout


def test_errors_of_minutes_are_shown_in_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events a quarter of an hour apart, then half of one: the error is of minutes, and in JSON of hours."""
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "events.csv"
    times = [(f"u{k % 20}", 1_700_000_000_000 + 900_000 * (k // 20) * (1 + k // 20 % 2)) for k in range(400)]
    path.write_text("user_id,item_id,action,ts_ms\n" + "".join(f"{user},i,view,{time}\n" for user, time in times))
    shown = run(path, "--task", "time-to-next", "--replicates", 20).stdout
    assert "mae min" in shown
    found = json.loads(run(path, "--task", "time-to-next", "--replicates", 20, "--json").stdout)
    hours = found["predictors"]["one curve"]["mae_h"]["value"]
    assert 1 / 60 <= hours < 1
    assert any(abs(float(number) - 60 * hours) < 0.001 for number in re.findall(r"\d+\.\d{3}", shown))


@pytest.mark.parametrize("task", ["next-item", "next-action", "time-to-next"])
def test_a_model_stands_below_the_floors_on_the_same_rows(file: Path, model: Path, task: str) -> None:
    result = run(model, file, "--task", task, "--json", "--replicates", 20)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["model"] == "shop"
    assert list(found["predictors"]) == [*FLOORS[task], "model"]
    alone = json.loads(run(file, "--task", task, "--json", "--replicates", 20).stdout)
    assert (found["rows"], found["predictors"][next(iter(FLOORS[task]))]) == (
        alone["rows"],
        alone["predictors"][next(iter(FLOORS[task]))],
    )


def test_a_model_behind_a_floor_is_said_to_be(file: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = run(model, file, "--task", "next-item", "--replicates", 20).stdout
    assert "The model is behind a floor: recall (" in shown, "it has seen the log once"
    assert "behind" not in run(file, "--task", "next-item", "--replicates", 20).stdout


def test_a_model_that_has_seen_what_comes_after_the_moment_is_refused(file: Path, model: Path) -> None:
    result = run(model, file, "--task", "churn", *churn(file))
    assert result.exit_code == 2
    assert "learned from what came after --at" in result.stderr


def test_a_model_of_other_items_or_none_is_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,action,position\n" + "".join(f"u{k % 30},other,view,{k}\n" for k in range(90)))
    for directory, message in ((model, "knows none of the items"), (tmp_path / "none", "none")):
        result = run(directory, path, "--task", "next-item")
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_other_columns_stand_for_the_item_and_the_action(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    events = log(Shop(users=10, items=40), END_MS, events=300)
    write_events(events.with_columns(kind="action", raw_action=pl.col("action") + "ed"), path)
    result = run(path, "--task", "next-action", "--action-column", "raw_action", "--json", "--replicates", 20)
    assert set(json.loads(result.stdout)["actions"]) <= {"viewed", "clicked", "purchaseed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "churn"], "--task churn needs --at TIME and --horizon-days H"),
        (["--task", "churn", "--at", "soon", "--horizon-days", 3], "soon: give a date"),
        (["--task", "churn", "--at", "1999-01-01", "--horizon-days", 3], "no event lies before the moment"),
        (["--task", "next-item", "--at", "2024-01-01"], "--at and --horizon-days are for --task churn"),
        (["--task", "next-item", "--split", "test"], "no test row of the log has a row before it"),
        (["--task", "next-item", "--item-column", "colour"], "colour"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(file: Path, arguments: list[object], message: str) -> None:
    result = run(file, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_a_log_lacks_is_said(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,action,position\n" + "".join(f"u{k % 30},i,view,{k}\n" for k in range(90)))
    for arguments, message in (
        (["--task", "time-to-next"], "only positions"),
        (["--task", "next-item", "--by", "session"], "no session_id"),
    ):
        result = run(path, *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


def test_more_than_a_model_and_a_log_are_too_many(file: Path) -> None:
    result = run(file, file, file, "--task", "next-item")
    assert result.exit_code == 2
    assert "[DIR] EVENTS" in result.stderr
