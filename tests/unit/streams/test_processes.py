"""What is started here does not outlive us."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from streams.processes import Process

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def wait_for(log: Path, words: str) -> None:
    deadline_s = time.monotonic() + 10
    while not (log.exists() and words in log.read_text()):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_process_that_does_not_listen_is_killed_when_the_wait_for_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process([sys.executable, "-c", DEAF], tmp_path / "log")
    wait_for(tmp_path / "log", "deaf")

    def interrupted(*_: object) -> int:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(process._process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.stop()
    assert process.code == -signal.SIGKILL


def test_process_that_does_not_listen_is_killed_soon_after_an_error(tmp_path: Path) -> None:
    began_s = time.monotonic()
    process = Process([sys.executable, "-c", DEAF], tmp_path / "log")
    wait_for(tmp_path / "log", "deaf")
    with pytest.raises(ZeroDivisionError), process:
        raise ZeroDivisionError
    assert process.code == -signal.SIGKILL
    assert time.monotonic() - began_s < 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_process_that_does_not_listen_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from streams.processes import Process
        print(Process([sys.executable, "-c", {DEAF!r}], Path({str(tmp_path / "log")!r}))._process.pid, flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(tmp_path / "log", "deaf")
        parent.kill()
    deadline_s = time.monotonic() + 5
    status = Path(f"/proc/{child}/status")
    while status.exists() and "\nState:\tZ" not in status.read_text():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
