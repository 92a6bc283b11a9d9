"""The watchdog: ends a worker that is alive and gets nowhere, so that whoever restarts workers sees it.

Kafka's own check does not see it: heartbeats come from the consumer's thread, however stuck the rest is.
"""

import faulthandler
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from mode import Service

from streams.chunk.failure import EXIT_RESTART, fail_stop

LAST_WORDS_S = 5.0
"""How long the end may take to say why: the log may be what is stuck."""


class Watchdog(Service):
    """Ends the process if its event loop does not run, or a chunk in work is not acknowledged, for too long.

    It counts its own looks, not seconds of a clock: a process that was paused gets time to catch up.

    Args:
        patience_s: how long is too long.
        underway: tells whether chunks are in work.
        acknowledged: tells how many chunks have been acknowledged.
        look_s: seconds between two looks.
    """

    def __init__(
        self,
        patience_s: float,
        underway: Callable[[], bool],
        acknowledged: Callable[[], int],
        look_s: float = 1.0,
        **kwargs: Any,  # noqa: ANN401 - mode's
    ) -> None:
        super().__init__(**kwargs)
        self._looks = max(1, round(patience_s / look_s))
        self._patience_s, self._look_s = patience_s, look_s
        self._underway, self._acknowledged = underway, acknowledged
        self._turns = 0
        self._turned_s = self._moved_s = math.inf
        self._over = threading.Event()

    async def on_start(self) -> None:
        """Begin to watch."""
        self._turned_s = self._moved_s = time.monotonic()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    async def on_stop(self) -> None:
        """End the watch."""
        self._over.set()

    def trouble(self) -> str | None:
        """Say what has not moved for too long; None: nothing. Any thread may ask.

        It goes by the clock, so that it also tells of an end that hangs, when nobody watches any more.
        """
        now_s = time.monotonic()
        if now_s - self._turned_s >= self._patience_s:
            return f"the event loop has not run for {now_s - self._turned_s:.0f} s"
        if self._underway() and now_s - self._moved_s >= self._patience_s:
            return f"a chunk in work was not acknowledged for {now_s - self._moved_s:.0f} s"
        return None

    @Service.task
    async def _turn(self) -> None:
        while not self.should_stop:
            self._turns += 1
            self._turned_s = time.monotonic()
            await self.sleep(self._look_s)

    def _watch(self) -> None:
        seen = turns, done = self._turns, self._acknowledged()
        still = waiting = 0
        while not self._over.wait(self._look_s):
            seen, (turns, done) = (self._turns, self._acknowledged()), seen
            still = still + 1 if seen[0] == turns else 0
            waiting = waiting + 1 if seen[1] == done and self._underway() else 0
            if not waiting:
                self._moved_s = time.monotonic()
            if still >= self._looks:
                self._end("the event loop has not run")
            if waiting >= self._looks:
                self._end("a chunk in work was not acknowledged")

    def _end(self, what: str) -> NoReturn:
        speaker = threading.Thread(target=self._speak, args=(what,), daemon=True)
        speaker.start()
        speaker.join(LAST_WORDS_S)
        os._exit(EXIT_RESTART)

    def _speak(self, what: str) -> None:
        with suppress(Exception):
            faulthandler.dump_traceback(sys.stderr)  # where each thread stands
        fail_stop(f"{what} for {self._patience_s:.0f} s")
