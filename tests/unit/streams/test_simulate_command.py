"""`nextact simulate --out`: a log of the past, with no broker."""

from pathlib import Path

from typer.testing import CliRunner

from models.events_file import read_events
from streams.cli import app

SHOP = ["simulate", "--users", "20", "--items", "40"]


def test_log_of_the_past_is_written_with_no_broker(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*SHOP, "--events", "100", "--out", str(tmp_path / "past.parquet"), "--json"])
    assert done.exit_code == 0, done.output
    events = read_events(tmp_path / "past.parquet")
    assert len(events) == 100
    assert set(events["action"].unique()) <= {"view", "click", "purchase"}


def test_log_without_an_end_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*SHOP, "--out", str(tmp_path / "past.parquet")])
    assert done.exit_code == 2
    assert not (tmp_path / "past.parquet").exists()
