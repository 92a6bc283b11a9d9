"""When alerts began to fire and when they ceased, and the table of faults and alerts."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from threading import Event as Flag
from threading import Thread

from ops.prometheus import PrometheusProcess

_NAP_S = 0.1

STEADY_S = 2.0
"""For so long it must not fire, to have cleared: eight evaluations of the rules."""


@dataclass
class Line:
    """One alert and the fault that was to fire it; seconds are of a clock that only goes forward."""

    alert: str
    fault: str
    began_s: float
    undone_s: float | None = None
    cleared_after_s: float | None = None


@dataclass
class Journal:
    """Notes what fires, ten times a second, from `start` to `stop`.

    Attributes:
        prometheus: is asked.
        lines: faults that were made.
        began_s: when it was started.
    """

    prometheus: PrometheusProcess
    lines: list[Line] = field(default_factory=list)
    began_s: float = math.inf
    _spans: dict[str, list[list[float]]] = field(default_factory=dict)  # by alert, from and to
    _over: Flag = field(default_factory=Flag)

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._watch, name="journal", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.began_s = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    @contextmanager
    def fault(self, name: str, alerts: Sequence[str], patience_s: float) -> Iterator[None]:
        """Do harm in the block, which is left when all these alerts have fired, and undo it behind the block."""
        self._wait(lambda: self.firing().isdisjoint(alerts), f"none of {alerts} fires before: {name}", patience_s)
        lines = [Line(alert, name, time.monotonic()) for alert in alerts]
        self.lines += lines
        yield
        for line in lines:
            what = f"{line.alert} fires: {name}"
            self._wait(partial(self._has_fired, line), what, patience_s)

    def undone(self, name: str) -> None:
        """Note that a fault is over."""
        for line in self.lines:
            if line.fault == name:
                line.undone_s = time.monotonic()

    def wait_until_cleared(self, name: str, patience_s: float) -> None:
        """Wait until none of the alerts of a fault fires any more."""
        for line in self.lines:
            if line.fault == name:
                self._wait(partial(self._has_cleared, line), f"{line.alert} clears: {name}", patience_s)

    def fired_s(self, line: Line) -> float | None:
        """Return how long after the fault began an alert began to fire; None: it did not."""
        starts = [start - line.began_s for start, _ in self._spans.get(line.alert, ()) if start >= line.began_s]
        return min(starts, default=None)

    def firing(self) -> set[str]:
        """Return what fired when it was last asked."""
        return {alert for alert, spans in list(self._spans.items()) if math.isinf(spans[-1][1])}

    def fired(self) -> set[str]:
        """Return what has ever fired."""
        return set(self._spans)

    def table(self) -> list[str]:
        """Return a line for each alert, as a table of Markdown."""
        rows = [("alert", "fault", "fired after", "cleared after"), ("---",) * 4]
        for line in self.lines:
            rows.append((line.alert, line.fault, _seconds(self.fired_s(line)), _seconds(line.cleared_after_s)))
        return [f"| {' | '.join(row)} |" for row in rows]

    def _watch(self) -> None:
        while not self._over.wait(_NAP_S):
            with suppress(OSError, HTTPException):
                firing, now_s = self.prometheus.firing(), time.monotonic()
                for alert in firing - self.firing():
                    self._spans.setdefault(alert, []).append([now_s, math.inf])
                for alert in self.firing() - firing:
                    self._spans[alert][-1][1] = now_s

    def _has_fired(self, line: Line) -> bool:
        return self.fired_s(line) is not None

    def _has_cleared(self, line: Line) -> bool:
        assert line.undone_s is not None
        ended_s = max((end for _, end in self._spans.get(line.alert, ())), default=line.undone_s)
        if ended_s > time.monotonic() - STEADY_S:
            return False
        line.cleared_after_s = max(ended_s - line.undone_s, 0.0)
        return True

    def _wait(self, condition: Callable[[], bool], what: str, patience_s: float) -> None:
        deadline_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {patience_s:.0f} s: {what}"
            time.sleep(_NAP_S)


def _seconds(value: float | None) -> str:
    return "not" if value is None else f"{value:.1f} s"
