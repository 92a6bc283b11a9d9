"""Processes started here: in a session of their own, stopped by us, and never longer alive than we are."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_TIMEOUT_S = 15.0
HURRY_TIMEOUT_S = 3.0
"""How long a process may take to stop when its block ends with an error, a Ctrl-C for example."""

_PR_SET_PDEATHSIG = 1


class Process:
    """A running process. Use it in a `with` block: it is stopped at the end, whatever happens.

    Args:
        command: what to run.
        log: file that its output is added to.
        environment: variables beside ours.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for us: we stop what we started, in our order
                preexec_fn=_die_with_parent(),
            )

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Its number, also that of the group of all that it starts."""
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Stop it in good order, by force after some time or when we are interrupted; return its exit code."""
        try:
            if self.code is None:
                self._process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout_s)
        finally:
            code = self.kill()
        return code

    def kill(self) -> int:
        """Kill it and all that it started as `kill -9` does; return its exit code."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def last_words(self) -> str:
        """Return the last line that it printed."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else "it printed nothing"

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; with little patience after an error."""
        self.stop(STOP_TIMEOUT_S if error is None else HURRY_TIMEOUT_S)


def nextact(*arguments: str) -> list[str]:
    """Return the command line of a `nextact` command."""
    return [sys.executable, "-m", "streams", *arguments]


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes a child end when the thread that started it ends, however it ends (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody is left to insist after a SIGTERM
