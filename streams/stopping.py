"""Ctrl-C and SIGTERM as something that long work may look at, so that it ends in good order with its own exit code."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType

_CODE = 128
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Asked:
    """Whether a signal has asked for the end.

    Fields:
        code: exit code that says so, 130 or 143; 0: nobody has asked.
        why: what asked.
        bears: signals that the work takes note of by itself; one more ends it where it stands, by `SystemExit`.
    """

    def __init__(self) -> None:
        self.code, self.why, self.bears = 0, "", 0.0
        self._signals = 0

    def ask(self, number: int = signal.SIGINT, frame: FrameType | None = None) -> None:  # noqa: ARG002 - signal's
        """Take a signal in."""
        self._signals += 1
        if not self.code:
            self.code, self.why = _CODE + number, _NAMES[signal.Signals(number)]
        if self._signals > self.bears:
            raise SystemExit(self.code)

    def look(self) -> bool:
        """Return whether nobody has asked; from now on the work looks often enough for the first signal to wait."""
        self.bears = max(self.bears, 1)
        return not self.code

    def finish(self) -> None:
        """Let no signal break what follows."""
        self.bears = inf


@contextmanager
def stopping() -> Iterator[Asked]:
    """Take Ctrl-C and SIGTERM; what took them before does so again afterwards."""
    asked = Asked()
    before = {number: signal.signal(number, asked.ask) for number in _NAMES}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
