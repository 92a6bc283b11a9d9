"""What all commands that learn from a log, or judge by one, ask for in the same words."""

from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal, TypeAlias, get_args

import typer

By: TypeAlias = Annotated[
    Literal["user", "session"] | None,
    typer.Option(help="What a sequence is; by default a session if each user has one."),
]
ItemColumn: TypeAlias = Annotated[str, typer.Option(help="Column that stands for the item.")]
ActionColumn: TypeAlias = Annotated[str, typer.Option(help="Column that stands for the action.")]
UtcOffsetH: TypeAlias = Annotated[int, typer.Option(min=-12, max=14, help="Hours from UTC to the shop's time.")]
Split: TypeAlias = Annotated[
    Literal["validation", "test"] | None,
    typer.Option(help="Rows to score; by default test if there are any, else validation."),
]
Replicates: TypeAlias = Annotated[int, typer.Option(min=20, help="Draws of the bootstrap over sequences.")]
DrawSeed: TypeAlias = Annotated[int, typer.Option(min=0, help="Of these draws.")]

Network: TypeAlias = Literal["gru", "lstm", "transformer", "lru"]
NETWORKS: tuple[str, ...] = get_args(Network)


def positive(value: float | None) -> float | None:
    """Refuse an option that is not more than 0; a callback."""
    if value is not None and not value > 0:  # nan too
        raise typer.BadParameter("must be more than 0")
    return value


def parse_time(text: str, utc_offset_h: int, option: str = "--until") -> int:
    """Return a time in ms since 1970.

    Args:
        text: ISO date or time, or ms.
        utc_offset_h: zone of an ISO time that names none.
        option: that gave it.

    Raises:
        SettingsError: it is neither, or in seconds.

    >>> parse_time("2017-12-02", 8) == parse_time("2017-12-02T00:00:00+08:00", 0) == parse_time("1512144000000", 0)
    True
    """
    from models.event_checks import SECONDS
    from streams.errors import SettingsError

    if text.isdecimal() and len(text) > len("20260501"):
        if SECONDS[0] <= int(text) < SECONDS[1]:
            raise SettingsError(f"{option} {text} looks like seconds: in ms it is {text}000")
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{option} {text}: give a date, a time like 2026-05-01T12:00+02:00, or ms") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone(timedelta(hours=utc_offset_h)))
    return round(time.timestamp() * 1000)
