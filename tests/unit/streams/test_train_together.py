"""`nextact train` in two processes that torchrun starts: the model of one, one writer, and both end together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from together import LANES_A_THREAD, gradients
from typer.testing import CliRunner

from models import checkpoint, updates
from models.events_file import write_events
from models.model_directory import load
from models.simulator import Shop, log
from streams.cli import app

SCRIPT = Path(__file__).parents[2] / "together.py"
ROOT = SCRIPT.parent.parent
END_MS = 1_750_000_000_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "events.csv.gz"
    write_events(log(Shop(users=20, items=40), END_MS, events=800), path)
    return path


def torchrun(*arguments: object) -> list[str]:
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    return started + [str(argument) for argument in arguments]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_two_processes_make_the_model_of_one_with_two_threads(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each works on the lanes of one of the threads: two gradients have one sum, whichever is named first."""
    options = ("--epochs", 2, "--seed", 5)
    done = subprocess.run(
        torchrun("train", file, "--out", tmp_path / "two", *options, "--threads", 1),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left of gloo: []") == 2
    assert done.stdout.count("events held out") == 1, "the first alone speaks"
    monkeypatch.setattr(updates, "_LANES_A_THREAD", LANES_A_THREAD)
    arguments = ["train", str(file), "--out", str(tmp_path / "one"), *map(str, options), "--threads", "2"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    two, one = load(tmp_path / "two"), load(tmp_path / "one")
    assert two.items == one.items
    assert all(np.array_equal(two.weights[name], one.weights[name]) for name in one.weights)
    assert two.card.metrics["validation"] == one.card.metrics["validation"]
    assert two.card.metrics["calibration"] == one.card.metrics["calibration"]
    assert not (tmp_path / "two" / checkpoint.FILE).exists()


def test_gradients_of_two_processes_are_those_of_one_with_all_lanes(tmp_path: Path) -> None:
    """But for the order in which float32 adds up rows: 2^-24 of the largest term, some hundred times."""
    done = subprocess.run(
        torchrun("gradients", tmp_path / "found"), env=environment(), capture_output=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found, alone = load_file(tmp_path / "found"), gradients()
    assert found.keys() == alone.keys()
    for name, gradient in alone.items():
        assert float((found[name] - gradient).abs().max()) <= 2**-17 * float(gradient.abs().max()), name
    assert max(float(gradient.abs().max()) for gradient in alone.values()) > 0.01


def test_an_interrupt_ends_both_and_keeps_the_best(file: Path, tmp_path: Path) -> None:
    command = torchrun("train", file, "--out", tmp_path / "m", "--epochs", 100_000, "--threads", 1)
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        end_s = time.monotonic() + 200
        while not (tmp_path / "m" / checkpoint.FILE).exists() and time.monotonic() < end_s and run.poll() is None:
            time.sleep(0.1)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=80)
    assert len(children) == 2
    assert not any(Path("/proc", child).exists() for child in children)
    assert said.count("is kept in") == 1, said
    assert "the same command with --resume goes on" in said
    assert load(tmp_path / "m").card.metrics["stopped"]


def test_processes_that_read_different_logs_are_told(file: Path, tmp_path: Path) -> None:
    """As on two machines whose files differ, or with topics that grow and no --to."""
    (tmp_path / "0.csv").write_text("user_id,item_id,action,ts_ms\n" + "".join(f"u,i,view,{k}\n" for k in range(9)))
    (tmp_path / "1.csv").write_text("user_id,item_id,action,ts_ms\n" + "".join(f"u,j,view,{k}\n" for k in range(9)))
    script = tmp_path / "one_each.py"
    script.write_text(
        "import os\n"
        "from streams.cli import app\n"
        f"app(['train', {str(tmp_path)!r} + '/' + os.environ['RANK'] + '.csv', '--out', {str(tmp_path / 'm')!r}])\n"
    )
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(started, env=environment(), capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode != 0
    assert "1.csv: the processes have read different logs" in done.stderr
