"""`nextact train` that is stopped: one line says so, the best so far is kept, and the exit code is always the same."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models import checkpoint
from models.events_file import write_events
from models.model_directory import load
from models.simulator import Shop, log
from models.training import Progress
from streams.cli import app

END_MS = 1_750_000_000_000
SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "past events.csv.gz"
    write_events(log(Shop(users=20, items=40), END_MS, events=800), path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *(str(argument) for argument in arguments)])


def shown(monkeypatch: pytest.MonkeyPatch, show: Callable[[Progress], None]) -> None:
    """Let something see the progress in place of the bar."""

    @contextmanager
    def bar(**_: object) -> Iterator[Callable[[Progress], None]]:
        yield show

    monkeypatch.setattr("streams.training_view.training_bar", bar)


def send(monkeypatch: pytest.MonkeyPatch, number: int, epoch: int, *, ended: bool = False) -> None:
    """Send a signal at the beginning of an epoch, or at its end, once."""
    sent: list[Progress] = []

    def show(progress: Progress) -> None:
        if progress.epoch == epoch and (not ended or progress.share == 1) and not sent:
            sent.append(progress)
            signal.raise_signal(number)

    shown(monkeypatch, show)


@SIGNALS
def test_a_stop_keeps_the_best_so_far_and_says_how_to_go_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    before = signal.getsignal(signal.SIGINT)
    send(monkeypatch, number, 3)
    result = run(file, "--out", tmp_path / "m", "--epochs", 9)
    assert result.exit_code == code, result.output
    why = {130: "Ctrl-C", 143: "SIGTERM"}[code]
    [line] = result.stderr.splitlines()
    assert line.startswith(f"stopped by {why} at epoch 3: the best so far, of epoch ")
    assert line.endswith(f"is kept in {tmp_path / 'm'}; the same command with --resume goes on")
    assert signal.getsignal(signal.SIGINT) is before
    card = load(tmp_path / "m").card
    assert card.metrics["stopped"]
    assert [epoch["epoch"] for epoch in card.metrics["history"]] == [1, 2, 3]
    shown(monkeypatch, lambda _: None)
    resumed = run(file, "--out", tmp_path / "m", "--epochs", 9, "--resume")
    assert (resumed.exit_code, resumed.stderr) == (0, "")
    assert not load(tmp_path / "m").card.metrics["stopped"]


def test_a_stop_between_epochs_is_seen_before_the_next_begins(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(monkeypatch, signal.SIGINT, 2, ended=True)
    result = run(file, "--out", tmp_path, "--epochs", 9, "--json")
    assert result.exit_code == 130
    [line] = result.stdout.splitlines()
    assert len(json.loads(line)["metrics"]["history"]) == 2
    assert "at epoch 2" in result.stderr


def test_a_stop_in_the_first_epoch_keeps_what_there_is_and_tells_that_resume_cannot_go_on(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(monkeypatch, signal.SIGINT, 1)
    result = run(file, "--out", tmp_path, "--epochs", 9)
    assert result.exit_code == 130
    assert result.stderr.endswith("no epoch had ended, so that --resume has nothing to go on from\n")
    assert len(load(tmp_path).card.metrics["history"]) == 1
    refused = run(file, "--out", tmp_path, "--resume")
    assert refused.exit_code == 2
    assert "was stopped before its first epoch had ended: train without --resume" in refused.stderr


@SIGNALS
def test_a_stop_before_anything_is_learnt_leaves_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    monkeypatch.setattr("models.events_file.read_log", lambda *_: signal.raise_signal(number))
    result = run(file, "--out", tmp_path / "new" / "deep")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"stopped by {signal_name(code)} before an epoch had ended: nothing of it is kept\n"
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("kept")
    assert run(file, "--out", tmp_path / "mine").exit_code == code
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["note"]


def signal_name(code: int) -> str:
    return {130: "Ctrl-C", 143: "SIGTERM"}[code]


def test_a_second_signal_does_not_wait_and_leaves_what_can_be_resumed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(progress: Progress) -> None:
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    shown(monkeypatch, show)
    result = run(file, "--out", tmp_path, "--epochs", 9)
    assert result.exit_code == 130
    assert f"{tmp_path} is as it was after the last whole epoch, from where --resume goes on" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]
    shown(monkeypatch, lambda _: None)
    assert run(file, "--out", tmp_path, "--epochs", 9, "--resume").exit_code == 0


def test_a_signal_while_the_model_is_written_breaks_nothing(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models import model_directory

    save = model_directory.save

    def interrupted(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("models.model_directory.save", interrupted)
    result = run(file, "--out", tmp_path, "--epochs", 1)
    assert result.exit_code == 130
    assert f"stopped by Ctrl-C when the training had ended: nothing is missing in {tmp_path}" in result.stderr
    load(tmp_path)


def test_a_training_out_of_time_says_so_and_ends_well(file: Path, tmp_path: Path) -> None:
    result = run(file, "--out", tmp_path, "--max-minutes", 1e-9)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "stopped by --max-minutes at epoch 1" in result.stdout
    assert "--max-minutes 1e-09" in load(tmp_path).card.command
    assert load(tmp_path).card.command.startswith("nextact train 'past events.csv.gz' --name shop")


def test_a_training_that_has_ended_is_not_resumed(file: Path, tmp_path: Path) -> None:
    assert run(file, "--out", tmp_path, "--epochs", 1).exit_code == 0
    refused = run(file, "--out", tmp_path, "--epochs", 1, "--resume")
    assert refused.exit_code == 2
    assert "holds a training that has ended: nothing is left to resume; train without --resume" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    load(tmp_path)


def test_a_refused_log_leaves_no_empty_folder(tmp_path: Path) -> None:
    assert run(tmp_path / "none.csv", "--out", tmp_path / "new").exit_code == 2
    assert not (tmp_path / "new").exists()


def test_an_interrupt_from_outside_does_the_same(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams", "train", str(file), "--out", str(tmp_path), "--epochs", "100000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        end_s = time.monotonic() + 120
        while not (tmp_path / checkpoint.FILE).exists() and time.monotonic() < end_s:
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    [line] = said.splitlines()
    assert line.startswith("stopped by Ctrl-C at epoch ")
    assert line.endswith("--resume goes on")
