"""What the demo shows in a terminal: the rate, the latency, and a few shoppers with what is predicted for them."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from schemas.topics import ACTION_OF_TOPIC, CHURN_RISK, DEAD_LETTERS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.answers import Answers
from streams.demo import Summary, Viewer

LINES = 4
"""Lines of a shopper."""

STAY_S = 4.0
"""A shopper who does nothing for so long makes room for another."""

SILENT = 2
"""Silent shoppers at the bottom, where there is room: the longest silent of those that are followed."""

FOLLOWED = 300
"""Shoppers who are looked at, shown or not: the first ones."""


_PICTURE_WIDTH = 120
_RECENT = 2000
_NARROWEST_BAR, _WIDEST_BAR = 5, 20
_WIDTH_WITHOUT_BARS = 70
_ACTION_STYLES = {"view": "cyan", "click": "yellow", "purchase": "green", "leave": "dim"}
_BAND_STYLES = {"low": "green", "medium": "yellow", "high": "red"}


@dataclass
class _Shopper:
    seen_s: float
    newest_ms: int = 0
    actions: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=LINES))  # newest first
    next_actions: dict[str, float] = field(default_factory=dict)
    slate: list[str] = field(default_factory=list)
    silent_for: dict[str, float] = field(default_factory=dict)
    band: str = ""


class TextViewer(Viewer):
    """Says what begins, one line a step."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, style="dim", highlight=False, soft_wrap=True)


class LiveViewer(TextViewer):
    """Shows shoppers while they shop; use it in a `with` block."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._started = False
        self._picture: RenderableType = ""
        self._shoppers: dict[bytes, _Shopper] = {}
        self._followed: dict[bytes, _Shopper] = {}  # those in the places, and the first FOLLOWED
        places = max(2, (console.height - 9) // (LINES + 1))
        self._silent_places = min(SILENT, places - 2)
        self._places = places - self._silent_places
        spare = (console.width - _WIDTH_WITHOUT_BARS) // 2
        self._bar = min(max(spare, _NARROWEST_BAR), _WIDEST_BAR)
        self._newest_ms = 0
        self._rate_of: deque[tuple[float, int]] = deque(maxlen=12)

    def see(self, topic: str, key: bytes, value: bytes) -> None:
        """Take a record; those of shoppers who are not followed are not looked at."""
        shopper = self._followed.get(key)
        if topic in ACTION_OF_TOPIC:
            shopper = shopper or _Shopper(time.monotonic())
            if self._admit(key, shopper) or len(self._followed) < FOLLOWED:
                self._followed[key] = shopper
            shopper = self._followed.get(key)
            if shopper is not None:
                event = msgspec.json.decode(value, type=dict[str, Any])
                shopper.seen_s = time.monotonic()
                shopper.actions.appendleft((ACTION_OF_TOPIC[topic], event["item_id"]))
                shopper.newest_ms = event["ts_ms"]
                self._newest_ms = max(self._newest_ms, event["ts_ms"])
        elif shopper is not None and topic != DEAD_LETTERS:
            output = msgspec.json.decode(value, type=dict[str, Any])
            if topic == NEXT_ACTIONS:
                shopper.next_actions = output["actions"]
            elif topic == RECOMMENDATIONS:
                shopper.slate = [item["item_id"] for item in output["slate"]]
            elif topic == CHURN_RISK:
                shopper.silent_for, shopper.band = output["silent_for"], output["band"]

    def refresh(self, answers: Answers) -> None:
        """Draw."""
        if not self._started:
            self._live.start()
            self._started = True
        self._rate_of.append((time.monotonic(), answers.events))
        self._picture = Group(self._headline(answers), self._table())
        self._live.update(self._picture, refresh=True)

    def close(self) -> None:
        """Leave the last picture standing."""
        if self._started:
            self._live.stop()

    def save(self, file: Path) -> None:
        """Keep the last picture as SVG."""
        page = Console(record=True, width=_PICTURE_WIDTH, file=StringIO())
        page.print(self._picture)
        page.save_svg(str(file), title="nextact demo")

    def _admit(self, key: bytes, shopper: _Shopper) -> bool:
        """Tell whether there is a place for a shopper who acts."""
        if key not in self._shoppers and len(self._shoppers) >= self._places:
            idle = min(self._shoppers, key=lambda user: self._shoppers[user].seen_s)
            if time.monotonic() - self._shoppers[idle].seen_s < STAY_S:
                return False
            del self._shoppers[idle]
            if len(self._followed) > FOLLOWED:
                del self._followed[idle]
        self._shoppers[key] = shopper
        return True

    def _headline(self, answers: Answers) -> RenderableType:
        (then_s, before), (now_s, now) = self._rate_of[0], self._rate_of[-1]
        rate = (now - before) / (now_s - then_s) if now_s > then_s else 0.0
        latency, counts = answers.latency(_RECENT), answers.counts()
        moment = datetime.fromtimestamp(self._newest_ms / 1000, UTC).strftime("%a %d %b %H:%M")
        return Text.assemble(
            (f"{answers.events:>9,} events", "bold"),
            f"  {rate:>6,.0f}/s   answered after {latency.p50_ms:>4.0f} ms (p99 {latency.p99_ms:>4.0f} ms)\n",
            f"{counts['users']:>9,} users   {counts['dead_letters']:>6} dead letters   shop time {moment}",
            no_wrap=True,
        )

    def _table(self) -> Table:
        widths = {
            "shopper": 8,
            "did last": 15,
            "does next": 14 + self._bar,
            "is shown": 8,
            "stays away for": 9 + self._bar,
        }
        columns = (Column(name, width=width, no_wrap=True) for name, width in widths.items())
        table = Table(*columns, show_lines=True)
        for key, shopper in self._shoppers.items():
            table.add_row(*self._row(key, shopper, ""))
        others = (each for each in self._followed.items() if each[0] not in self._shoppers)
        for key, shopper in sorted(others, key=lambda each: each[1].newest_ms)[: self._silent_places]:
            table.add_row(*self._row(key, shopper, f"silent\n{_duration(self._newest_ms - shopper.newest_ms)}"))
        return table

    def _row(self, key: bytes, shopper: _Shopper, remark: str) -> list[Text]:
        name = Text.assemble((key.decode(errors="replace"), "bold"), "\n", (remark, "dim"))
        name.append("\n" * (LINES - 1 - name.plain.count("\n")))  # all rows are of one height
        return [
            name,
            _lines((f"{action} {item}", _ACTION_STYLES.get(action, "")) for action, item in shopper.actions),
            _bars(shopper.next_actions, _ACTION_STYLES, self._bar),
            _lines((f"{rank} {item}", "") for rank, item in enumerate(shopper.slate[:LINES], 1)),
            _bars(shopper.silent_for, dict.fromkeys(shopper.silent_for, _BAND_STYLES.get(shopper.band, "")), self._bar),
        ]


def in_words(summary: Summary) -> str:
    """Return how it went, for people."""
    answered = "every one answered" if summary.ok else "not all of them answered"
    return "\n".join(
        [
            f"{summary.events:,} events, {answered}: {summary.users:,} users, {summary.events_per_s:,.0f} events/s",
            f"p50 {summary.latency_ms['p50']:.0f} ms, p99 {summary.latency_ms['p99']:.0f} ms from an event to the last"
            " of its answers",
            f"{summary.next_actions:,} next-actions, {summary.recommendations:,} recommendations,"
            f" {summary.churn_risk:,} churn-risk, {summary.dead_letters:,} dead-letters on {summary.broker}",
            "A user gets one answer for all events of a chunk: there are fewer answers than events.",
        ]
    )


def _duration(ms: int) -> str:
    """Return a duration in its two largest units.

    >>> _duration(93_600_000), _duration(3_900_000)
    ('1d 2h', '1h 5m')
    """
    minutes = ms // 60_000
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m"


def _lines(lines: Any) -> Text:  # noqa: ANN401 - an iterable of pairs
    return Text("\n").join(Text(text, style=style, no_wrap=True) for text, style in lines)


def _bars(probabilities: dict[str, float], styles: dict[str, str], longest: int) -> Text:
    width = max(map(len, probabilities), default=0)
    return _lines(
        (f"{name:<{width}} {p:>4.0%} {'█' * round(p * longest)}", styles.get(name, ""))
        for name, p in probabilities.items()
    )
