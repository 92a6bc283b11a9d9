"""`nextact train --from-topics`: what cannot be is said in one line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a file of events, or --from-topics"),
        (["events.csv", "--from-topics"], "give a file of events, or --from-topics, not both"),
        (["events.csv", "--from", "2026-05-01"], "--from and --to are for --from-topics; a file has --until"),
        (["--from-topics", "--until", "2026-05-01"], "are for a file; topics have --from and --to"),
        (["--from-topics", "--action-column", "kind"], "are for a file; topics have --from and --to"),
        (["--from-topics", "--from", "2026-05-02", "--to", "2026-05-01"], "--from 2026-05-02 is not before --to 2026"),
        (["--from-topics", "--from", "yesterday"], "--from yesterday: give a date"),
        (["--from-topics"], "no broker is named: set KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_one_line_says_what_is_wrong(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    result = CliRunner().invoke(app, ["train", *arguments, "--out", str(tmp_path / "model")])
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert said in line
    assert not (tmp_path / "model").exists()
