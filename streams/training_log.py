"""The log that `nextact train` learns from: a file, or what stands in the input topics."""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from models.log import By, Log

Read = Callable[[], tuple[Log, dict[str, Any]]]
"""Puts a log in sequences; returns it with what a model's card says of where it came from."""


class Wanted(NamedTuple):
    """What to learn from.

    Fields:
        file: EVENTS, None: the input topics.
        by: what a sequence is.
        item_column, action_column: of a file: columns that stand for these.
        until_ms: of a file: only events before.
        from_ms, to_ms: of topics: records between.
    """

    file: Path | None
    by: By | None
    item_column: str
    action_column: str
    until_ms: int | None
    from_ms: int | None
    to_ms: int | None

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.file or "the input topics")

    def opened(self) -> Read:
        """Return what reads the file, or, when all of it has been read with a bar of its own, what orders the topics.

        Raises:
            NextactError: there is no broker, or nothing in the topics.
        """
        return self._of_topics() if self.file is None else partial(self._of_file, self.file)

    def _of_file(self, file: Path) -> tuple[Log, dict[str, Any]]:
        from models.events_file import read_log

        read = read_log(file, self.by, self.item_column, self.action_column, self.until_ms)
        return read, {"by": self.by, "item_column": self.item_column, "action_column": self.action_column}

    def _of_topics(self) -> Read:
        from models.log import log
        from streams.logs import configure_logging, silence_clients
        from streams.progress import counting
        from streams.settings import read_settings
        from streams.topic_log import read_topics, summary

        settings = read_settings()
        configure_logging("warning", settings.log_format)
        silence_clients()
        with counting("reading the input topics", 0) as report:
            found = read_topics(settings, self.from_ms, self.to_ms, time.time_ns() // 1_000_000, report)

        def ordered() -> tuple[Log, dict[str, Any]]:
            made = log(found.events, self.by)
            sys.stderr.write(f"{summary(found, len(found.events) - len(made.item))}\n")
            return made, {"by": self.by, "topics": found.offsets, "refused": dict(found.refused)}

        return ordered
