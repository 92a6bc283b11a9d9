"""EVENTS files: one form for every log, as Parquet, CSV or JSON lines (the last two also gzipped).

Columns `user_id, item_id, action` and `ts_ms` or `position` must be there; the others of `OPTIONAL` are known and may
be; what else is there is kept as it stands. docs/data.md has all of them.
"""

from pathlib import Path
from typing import TypeAlias

import polars as pl

from models.event_forms import SUFFIXES, EventsFileError, collect, place, scan, write
from models.log import SPLITS, By, Log, log
from models.state import ACTIONS

__all__ = ["SUFFIXES", "EventsFileError"]

REQUIRED: dict[str, type[pl.DataType]] = {
    "user_id": pl.String,
    "item_id": pl.String,
    "action": pl.String,
    "ts_ms": pl.Int64,
}
OPTIONAL: dict[str, type[pl.DataType]] = {
    "event_id": pl.String,
    "session_id": pl.String,
    "position": pl.Int64,
    "split": pl.String,
    "category": pl.String,
    "price": pl.Float64,
    "currency": pl.String,
    "quantity": pl.Int64,
    "device": pl.String,
    "place": pl.String,
    "title": pl.String,
}
END_MS = 1000 * 2**32
"""Times from here on (year 2106) are taken for another unit, such as microseconds."""

_ROW = "row in the file"
_Rule: TypeAlias = tuple[str, pl.Expr, str]
"""A column, what holds for its good cells, and what is said of others."""


def read_events(path: Path, item: str = "item_id", action: str = "action") -> pl.DataFrame:
    """Read an EVENTS file, sorted by `ts_ms`; events of the same time, and all without times, keep the file's order.

    Numbers in text columns become text. A missing `event_id` is made from the row's number in the file: "r000001" for
    the first. `ts_ms` may be missing where there is `position`.

    Args:
        path: one of the forms of `SUFFIXES`.
        item: column to take for `item_id`; what stood there is kept as `file_item_id`.
        action: column to take for `action`; what stood there is kept as `file_action`.

    Raises:
        EventsFileError: the file is missing, broken or empty, a column is missing or of another type, an id, an action
            or a position is empty, a split is none of `SPLITS`, a time is negative or not in ms.
    """
    return _sorted(_read(path, item, action))


def read_serving_events(path: Path) -> pl.DataFrame:
    """Read an EVENTS file, as `read_events` does, for what serves: every event has a time and one of `ACTIONS`.

    Raises:
        EventsFileError: as in `read_events`; there are no times, or an action is none of `ACTIONS`.
    """
    served = [("action", pl.col("action").is_in(ACTIONS), f"is not one of {', '.join(ACTIONS)}")]
    frame = _read(path, "item_id", "action", served)
    if "ts_ms" not in frame.columns:
        raise EventsFileError(f"{path}, line 1: column ts_ms is missing; without times events can be learned from only")
    return _sorted(frame)


def read_log(path: Path, by: By | None = None, item: str = "item_id", action: str = "action") -> Log:
    """Read an EVENTS file as a log, as `log(read_events(path))` does, and without holding its text.

    The file is read in batches and each text kept as a number of 4 bytes, but for `event_id`, where the file has it.
    In `columns` texts are categories.

    Args:
        path: one of the forms of `SUFFIXES`.
        by: what a sequence is, as in `log`.
        item: column to take for `item_id`.
        action: column to take for `action`.

    Raises:
        EventsFileError: as in `read_events` and `log`.
    """
    frame = _read(path, item, action, text=pl.Categorical())
    try:
        return log(frame, by)
    except ValueError as error:
        raise EventsFileError(f"{path}: {error}") from None


def write_events(frame: pl.DataFrame, path: Path) -> None:
    """Write an EVENTS file in the form that the path's suffix names, one of `SUFFIXES`; missing folders are made.

    Raises:
        EventsFileError: the suffix is none of them.
        OSError: the file cannot be written.
    """
    write(frame, path)


def _read(
    path: Path, item: str, action: str, rules: list[_Rule] | None = None, text: pl.DataType | None = None
) -> pl.DataFrame:
    """Return the events in the file's order, in the types of `REQUIRED` and `OPTIONAL`, checked.

    Args:
        path: of the file.
        item: column to take for `item_id`.
        action: column to take for `action`.
        rules: to check beside those of every log.
        text: type for text instead of String, but for ids of events.
    """
    rows = scan(path)
    schema = rows.collect_schema()
    order = "position" if "position" in schema else "ts_ms"
    needed = list(dict.fromkeys(("user_id", item, action, order)))
    missing = [name for name in needed if name not in schema]
    if not schema:
        raise EventsFileError(f"{path} holds no events")
    if missing:
        raise EventsFileError(
            f"{path}, line 1: column {', '.join(missing)} is missing; an event needs {', '.join(needed)}"
            + (", or position where there are no times" if "ts_ms" in missing else "")
        )
    types = OPTIONAL | dict.fromkeys((item, action), pl.String) | REQUIRED
    known = {name: types[name]() for name in schema if name in types}
    for name, dtype in known.items():
        if not _readable(schema[name], dtype):
            raise EventsFileError(f"{path}, column {name}: holds {schema[name]}, not {dtype}")
    _check(path, rows, [*_rules(known, schema, (item, action)), *(rules or [])])
    texts = [name for name in schema if name != "event_id" and known.get(name, schema[name]) == pl.String]
    rows = rows.cast({name: dtype for name, dtype in known.items() if schema[name] != dtype})
    frame = collect(path, rows if text is None else rows.cast(dict.fromkeys(texts, text)))
    if not len(frame):
        raise EventsFileError(f"{path} holds no events")
    for role, column in (("item_id", item), ("action", action)):
        if column != role:
            frame = frame.rename({role: f"file_{role}"}) if role in frame.columns else frame
            frame = frame.with_columns(pl.col(column).alias(role))
    return frame


def _readable(found: pl.DataType, dtype: pl.DataType) -> bool:
    return (
        found in (dtype, pl.Null, pl.String)
        or found.is_integer()
        or (found.is_float() and dtype.is_float())
        or (isinstance(found, pl.Categorical | pl.Enum) and dtype == pl.String)
    )


def _rules(known: dict[str, pl.DataType], schema: pl.Schema, roles: tuple[str, str]) -> list[_Rule]:
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


def _check(path: Path, rows: pl.LazyFrame, rules: list[_Rule]) -> None:
    """Refuse the file for the first row with a bad cell."""
    good = pl.all_horizontal(good.fill_null(value=False) for _, good, _ in rules)
    bad = collect(path, rows.with_row_index(_ROW).filter(~good).head(1))
    if len(bad):
        for name, good, why in rules:
            if not bad.select(good.fill_null(value=False)).item():
                raise EventsFileError(f"{path}, {place(path, bad[_ROW][0])}, column {name}: {bad[name][0]!r} {why}")


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    number = "r" + pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(6)
    if "event_id" in frame.columns:
        number = pl.when(pl.col("event_id").fill_null("") == "").then(number).otherwise(pl.col("event_id"))
    frame = frame.with_columns(event_id=number)
    return frame.sort("ts_ms", maintain_order=True) if "ts_ms" in frame.columns else frame
