"""The forms of EVENTS files: Parquet, CSV and JSON lines, the last two also gzipped. Scanned without being held."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import msgspec
import polars as pl

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
_GZIP = b"\x1f\x8b"


class EventsFileError(Exception):
    """An EVENTS file cannot be used; the message names file, line and column."""


def scan(path: Path) -> pl.LazyFrame:
    """Return the rows of a file, to be read when they are collected; cells of CSV are text.

    Raises:
        EventsFileError: the suffix is none of `SUFFIXES`, the file is missing or of another form.
    """
    suffix = suffix_of(path)
    try:
        if suffix == ".parquet":
            rows = pl.scan_parquet(path, glob=False)
        else:
            with path.open("rb") as file:
                start = file.read(len(_GZIP))
            if suffix.endswith(".gz") != (start == _GZIP):
                raise EventsFileError(f"{path} cannot be read: it is {'not ' * suffix.endswith('.gz')}gzipped")
            if not start:
                return pl.LazyFrame()
            is_csv = suffix.startswith(".csv")
            rows = (
                pl.scan_csv(path, infer_schema=False, glob=False)
                if is_csv
                else pl.scan_ndjson(path, infer_schema_length=None)
            )
        rows.collect_schema()
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise unreadable(path, error) from None
    return rows


def collect(path: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    """Read what was scanned, in batches.

    Raises:
        EventsFileError: the file is broken.
    """
    try:
        return rows.collect(engine="streaming")
    except (OSError, EOFError, pl.exceptions.PolarsError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> EventsFileError:
    """Return the error of a file that cannot be read, with the line of JSON that is none."""
    line = ""
    if isinstance(error, pl.exceptions.PolarsError) and suffix_of(path).startswith((".jsonl", ".ndjson")):
        line = _broken_line(path)
    return EventsFileError(f"{path}{line} cannot be read: {str(error).splitlines()[0]}")


def place(path: Path, row: int) -> str:
    """Return where a row stands in its file, as an editor counts lines: a quoted cell may go over several."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        return f"row {row + 1}"
    with _text(path) as file:
        if suffix.startswith(".csv"):
            reader = csv.reader(file)
            lines: Iterator[int] = (reader.line_num for _ in reader)
            return f"line {next(islice(lines, row + 1, None))}"
        lines = (number for number, line in enumerate(file, 1) if line.strip())
        return f"line {next(islice(lines, row, None))}"


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a file in the form that the path's suffix names; missing folders are made.

    Raises:
        EventsFileError: the suffix is none of `SUFFIXES`.
        OSError: the file cannot be written.
    """
    suffix = suffix_of(path)
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


def suffix_of(path: Path) -> str:
    """Return which of `SUFFIXES` a path has.

    Raises:
        EventsFileError: none.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise EventsFileError(f"{path}: the name must end in one of {', '.join(SUFFIXES)}")


def _text(path: Path) -> TextIO:
    file = gzip.open(path) if suffix_of(path).endswith(".gz") else path.open("rb")  # noqa: SIM115 - the caller closes
    return io.TextIOWrapper(file, errors="replace", newline="")


def _broken_line(path: Path) -> str:
    number = 0
    try:
        with _text(path) as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - of the line that is broken
                if line.strip():
                    msgspec.json.decode(line, type=dict)
    except msgspec.MsgspecError:
        return f", line {number}"
    except (OSError, EOFError, zlib.error):  # a gzipped file may be broken between lines
        return ""
    return ""
