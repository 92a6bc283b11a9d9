"""What happened when: said on stderr as it happens, kept for the report and for the search after a difference."""

import sys
import time
from datetime import UTC, datetime
from typing import NamedTuple


class Line(NamedTuple):
    """Something that happened."""

    at_s: float  # by the wall clock
    text: str

    def __str__(self) -> str:
        return f"{clock(self.at_s)} {self.text}"


class Journal:
    """All lines of a run."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def say(self, text: str) -> None:
        """Add a line."""
        line = Line(time.time(), text)
        self.lines.append(line)
        sys.stderr.write(f"{line}\n")


def clock(at_s: float) -> str:
    """Return a moment as the workers' logs have it, without the date.

    >>> clock(1_700_000_000.25)
    '22:13:20.250Z'
    """
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S.%f")[:-3] + "Z"
