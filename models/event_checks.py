"""What holds for the cells of an EVENTS file: what is wrong is named by file, line and column."""

from pathlib import Path
from typing import TypeAlias

import polars as pl

from models.event_forms import EventsFileError, collect, place
from models.log import SPLITS

END_MS = 1000 * 2**32
"""Times from here on (year 2106) are taken for another unit, such as microseconds."""

SECONDS = (946_684_800, 4_102_444_800)
"""The years 2000 to 2099 in seconds since 1970; taken for ms they are 12 January to 17 February 1970."""

_ROW = "row in the file"
Rule: TypeAlias = tuple[str, pl.Expr, str]
"""A column, what holds for its good cells, and what is said of others."""


def readable(found: pl.DataType, dtype: pl.DataType) -> bool:
    """Return whether cells of one type may be taken for another."""
    return (
        found in (dtype, pl.Null, pl.String)
        or found.is_integer()
        or (found.is_float() and dtype.is_float())
        or (isinstance(found, pl.Categorical | pl.Enum) and dtype == pl.String)
    )


def rules_of(known: dict[str, pl.DataType], schema: pl.Schema, roles: tuple[str, str]) -> list[Rule]:
    """Return what holds for the cells of every log, as they are before they are cast."""
    cast = {name: pl.col(name).cast(dtype, strict=False) for name, dtype in known.items()}
    rules = [
        (name, pl.col(name).is_null() | cast[name].is_not_null(), f"is not {dtype}")
        for name, dtype in known.items()
        if schema[name] != dtype
    ]
    rules += [(name, cast[name].fill_null("") != "", "is empty") for name in dict.fromkeys(("user_id", *roles))]
    for name, why in (
        ("ts_ms", "is not a time in ms since 1970"),
        ("position", "is empty"),
        ("split", f"is not one of {', '.join(SPLITS)}"),
        ("price", "is not a price"),
    ):
        if name in cast:
            value = cast[name]
            good = {
                "ts_ms": (value >= 0) & (value < END_MS),
                "position": value.is_not_null(),
                "split": value.is_in(SPLITS),
                "price": value.is_null() | (value.is_finite() & (value >= 0)),
            }[name]
            rules.append((name, good, why))
    return rules


def check(path: Path, rows: pl.LazyFrame, rules: list[Rule]) -> None:
    """Refuse the file for the first row with a bad cell."""
    good = pl.all_horizontal(good.fill_null(value=False) for _, good, _ in rules)
    bad = collect(path, rows.with_row_index(_ROW).filter(~good).head(1))
    if len(bad):
        for name, good, why in rules:
            if not bad.select(good.fill_null(value=False)).item():
                raise EventsFileError(f"{path}, {place(path, bad[_ROW][0])}, column {name}: {bad[name][0]!r} {why}")


def check_unit(path: Path, frame: pl.DataFrame) -> None:
    """Refuse times in seconds: some are of this century as seconds, and all others are of it as ms."""
    if "ts_ms" not in frame.columns:
        return
    times = frame["ts_ms"]
    seconds = times.is_between(*SECONDS, closed="left")
    if seconds.any() and (seconds | (times >= 1000 * SECONDS[0])).all():
        first, count = int(seconds.arg_true()[0]), int(seconds.sum())
        rows = "all rows" if count == len(frame) else f"{count:,} of {len(frame):,} rows"
        raise EventsFileError(
            f"{path}, {place(path, first)}, column ts_ms: {times[first]} looks like seconds, as in {rows}; "
            f"a time is in ms since 1970: multiply by 1000"
        )
