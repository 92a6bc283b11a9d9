"""EVENTS files: one form for every log, as Parquet, CSV or JSON lines (the last two also gzipped).

Columns `user_id, item_id, action` and `ts_ms` or `position` must be there; the others of `OPTIONAL` are known and may
be; what else is there is kept as it stands. docs/data.md has all of them.
"""

import csv
import gzip
import io
from pathlib import Path

import msgspec
import polars as pl

from models.log import SPLITS
from models.state import ACTIONS

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
SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
END_MS = 1000 * 2**32
"""Times from here on (year 2106) are taken for another unit, such as microseconds."""


class EventsFileError(Exception):
    """An EVENTS file cannot be used; the message names file, line and column."""


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
    return _sorted(_checked(path, _read(path), item, action))


def read_serving_events(path: Path) -> pl.DataFrame:
    """Read an EVENTS file, as `read_events` does, for what serves: every event has a time and one of `ACTIONS`.

    Raises:
        EventsFileError: as in `read_events`; there are no times, or an action is none of `ACTIONS`.
    """
    frame = _checked(path, _read(path), "item_id", "action")
    if "ts_ms" not in frame.columns:
        raise EventsFileError(f"{path}, line 1: column ts_ms is missing; without times events can be learned from only")
    _refuse(path, frame, "action", ~pl.col("action").is_in(ACTIONS), f"is not one of {', '.join(ACTIONS)}")
    return _sorted(frame)


def _checked(path: Path, frame: pl.DataFrame, item: str, action: str) -> pl.DataFrame:
    """Return the events in the file's order, in the types of `REQUIRED` and `OPTIONAL`."""
    needed = dict.fromkeys(("user_id", item, action, "position" if "position" in frame.columns else "ts_ms"))
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise EventsFileError(
            f"{path}, line 1: column {', '.join(missing)} is missing; an event needs {', '.join(needed)}"
        )
    if not len(frame):
        raise EventsFileError(f"{path} holds no events")
    types = OPTIONAL | dict.fromkeys((item, action), pl.String) | REQUIRED
    for name, dtype in types.items():
        if name in frame.columns:
            frame = frame.with_columns(_cast(path, frame, name, dtype()))
    for name in ("user_id", item, action):
        _refuse(path, frame, name, pl.col(name).fill_null("") == "", "is empty")
    time = pl.col("ts_ms")
    not_ms = time.is_null() | (time < 0) | (time >= END_MS)
    position = pl.col("position").is_null()
    split = ~pl.col("split").fill_null("").is_in(SPLITS)
    price = ~pl.col("price").is_finite() | (pl.col("price") < 0)
    for name, bad, why in (
        ("ts_ms", not_ms, "is not a time in ms since 1970"),
        ("position", position, "is empty"),
        ("split", split, f"is not one of {', '.join(SPLITS)}"),
        ("price", price, "is not a price"),
    ):
        if name in frame.columns:
            _refuse(path, frame, name, bad, why)
    for role, column in (("item_id", item), ("action", action)):
        if column != role:
            kept = frame.rename({role: f"file_{role}"}) if role in frame.columns else frame
            frame = kept.with_columns(pl.col(column).alias(role))
    return frame


def _sorted(frame: pl.DataFrame) -> pl.DataFrame:
    number = "r" + pl.int_range(1, pl.len() + 1).cast(pl.String).str.zfill(6)
    if "event_id" in frame.columns:
        number = pl.when(pl.col("event_id").fill_null("") == "").then(number).otherwise(pl.col("event_id"))
    frame = frame.with_columns(event_id=number)
    return frame.sort("ts_ms", maintain_order=True) if "ts_ms" in frame.columns else frame


def write_events(frame: pl.DataFrame, path: Path) -> None:
    """Write an EVENTS file in the form that the path's suffix names, one of `SUFFIXES`; missing folders are made.

    Raises:
        EventsFileError: the suffix is none of them.
        OSError: the file cannot be written.
    """
    suffix = _suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".parquet":
        with path.open("wb") as file:
            frame.write_parquet(file)
        return
    buffer = io.BytesIO()
    if suffix.startswith(".csv"):
        frame.write_csv(buffer)
    else:
        frame.write_ndjson(buffer)
    content = buffer.getvalue()
    path.write_bytes(gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content)


def _suffix(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise EventsFileError(f"{path}: the name must end in one of {', '.join(SUFFIXES)}")


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.lower().endswith(".gz") else content


def _read(path: Path) -> pl.DataFrame:
    suffix = _suffix(path)
    try:
        if suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        content = _content(path)
        if not content.strip():
            return pl.DataFrame(schema=REQUIRED)
        if suffix.startswith(".csv"):
            return pl.read_csv(content, infer_schema=False)
        return pl.read_ndjson(content, infer_schema_length=None)
    except (OSError, EOFError) as error:
        raise EventsFileError(f"{path} cannot be read: {error}") from None
    except pl.exceptions.PolarsError as error:
        line = _broken_line(content) if suffix.startswith((".jsonl", ".ndjson")) else ""
        raise EventsFileError(f"{path}{line} cannot be read: {str(error).splitlines()[0]}") from None


def _broken_line(content: bytes) -> str:
    for number, line in enumerate(content.splitlines(), 1):
        try:
            if line.strip():
                msgspec.json.decode(line, type=dict)
        except msgspec.MsgspecError:
            return f", line {number}"
    return ""


def _cast(path: Path, frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    column = frame[name]
    if column.dtype == dtype:
        return column
    readable = (
        column.dtype == pl.Null
        or column.dtype == pl.String
        or column.dtype.is_integer()
        or (column.dtype.is_float() and dtype.is_float())
        or (isinstance(column.dtype, pl.Categorical | pl.Enum) and dtype == pl.String)
    )
    if not readable:
        raise EventsFileError(f"{path}, column {name}: holds {column.dtype}, not {dtype}")
    cast = column.cast(dtype, strict=False)
    bad = (cast.is_null() & column.is_not_null()).arg_true()
    if len(bad):
        raise EventsFileError(f"{path}, {_place(path, bad[0])}, column {name}: {column[bad[0]]!r} is not {dtype}")
    return cast


def _refuse(path: Path, frame: pl.DataFrame, name: str, bad: pl.Expr, why: str) -> None:
    rows = frame.select(bad.fill_null(value=False).arg_true()).to_series()
    if len(rows):
        value = frame[name][rows[0]]
        raise EventsFileError(f"{path}, {_place(path, rows[0])}, column {name}: {value!r} {why}")


def _place(path: Path, row: int) -> str:
    suffix = _suffix(path)
    if suffix == ".parquet":
        return f"row {row + 1}"
    text = _content(path).decode(errors="replace")
    if suffix.startswith(".csv"):
        reader = csv.reader(io.StringIO(text, newline=""))
        ends = [reader.line_num for cells in reader if cells]  # a quoted cell may go over several lines
        return f"line {ends[row + 1]}"
    return f"line {[number for number, line in enumerate(text.splitlines(), 1) if line.strip()][row]}"
