"""EVENTS files: one form for every log, as Parquet, CSV or JSON lines (the last two also gzipped).

Columns `user_id, item_id, action` and `ts_ms` or `position` must be there; the others of `OPTIONAL` are known and may
be; what else is there is kept as it stands. docs/data.md has all of them.
"""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from models.event_checks import Rule, check, check_unit, readable, rules_of
from models.event_forms import SUFFIXES, EventsFileError, collect, scan, write
from models.log import By, Log, log
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


def read_log(
    path: Path, by: By | None = None, item: str = "item_id", action: str = "action", until_ms: int | None = None
) -> Log:
    """Read an EVENTS file as a log, as `log(read_events(path))` does, and without holding its text.

    The file is read in batches and each text kept as a number of 4 bytes, but for `event_id`, where the file has it.
    In `columns` texts are categories.

    Args:
        path: one of the forms of `SUFFIXES`.
        by: what a sequence is, as in `log`.
        item: column to take for `item_id`.
        action: column to take for `action`.
        until_ms: only events before this time.

    Raises:
        EventsFileError: as in `read_events` and `log`; no event lies before the time.
    """
    frame = _read(path, item, action, text=pl.Categorical())
    if until_ms is not None:
        frame = _before(path, frame, until_ms)
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
    path: Path, item: str, action: str, rules: list[Rule] | None = None, text: pl.DataType | None = None
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
        if not readable(schema[name], dtype):
            raise EventsFileError(f"{path}, column {name}: holds {schema[name]}, not {dtype}")
    check(path, rows, [*rules_of(known, schema, (item, action)), *(rules or [])])
    texts = [name for name in schema if name != "event_id" and known.get(name, schema[name]) == pl.String]
    rows = rows.cast({name: dtype for name, dtype in known.items() if schema[name] != dtype})
    frame = collect(path, rows if text is None else rows.cast(dict.fromkeys(texts, text)))
    if not len(frame):
        raise EventsFileError(f"{path} holds no events")
    check_unit(path, frame)
    for role, column in (("item_id", item), ("action", action)):
        if column != role:
            frame = frame.rename({role: f"file_{role}"}) if role in frame.columns else frame
            frame = frame.with_columns(pl.col(column).alias(role))
    return frame


def _before(path: Path, frame: pl.DataFrame, until_ms: int) -> pl.DataFrame:
    """Return the events before a time; those without an id keep their numbers in the file."""
    if "ts_ms" not in frame.columns:
        raise EventsFileError(f"{path} has no times: none lies before another")
    frame = _numbered(frame).filter(pl.col("ts_ms") < until_ms)
    if not len(frame):
        raise EventsFileError(
            f"{path} holds no event before {datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        )
    return frame


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    frame = _numbered(frame)
    return frame.sort("ts_ms", maintain_order=True) if "ts_ms" in frame.columns else frame


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    number = "r" + pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(6)
    if "event_id" in frame.columns:
        number = pl.when(pl.col("event_id").fill_null("") == "").then(number).otherwise(pl.col("event_id"))
    return frame.with_columns(event_id=number)
