"""A published log as cells of text, each row with its line; what is wrong is said with file, line and column."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import polars as pl

from models.events_file import EventsFileError

Check: TypeAlias = tuple[pl.Expr, str]
"""What holds for a good cell, and what is said of one for which it does not."""


class Converted(NamedTuple):
    """What a log became.

    Fields:
        events: in the form of `events_file`, in the file's order.
        dropped: number of rows of the source that have no events, by reason.
    """

    events: pl.DataFrame
    dropped: dict[str, int]


def filled(column: str) -> Check:
    """Return the check that a cell is not empty."""
    return pl.col(column) != "", "is empty"


def whole(column: str) -> Check:
    """Return the check that a cell is a whole number, not below 0."""
    return pl.col(column).cast(pl.Int64, strict=False) >= 0, "is not a whole number"


def number(column: str) -> Check:
    """Return the check that a cell is a number."""
    return pl.col(column).cast(pl.Float64, strict=False).is_finite(), "is not a number"


def one_of(column: str, names: Sequence[str]) -> Check:
    """Return the check that a cell is one of the names."""
    return pl.col(column).is_in(names), f"is not one of {', '.join(names)}"


def one_id(column: str) -> Check:
    """Return the check that a cell is digits."""
    return pl.col(column).str.contains(r"^\d+$"), "is not a whole number"


def ids(column: str) -> Check:
    """Return the check that a cell holds whole numbers with single spaces between them."""
    return pl.col(column).str.contains(r"^\d+( \d+)*$"), "is not a list of whole numbers"


EVENT_ID = pl.concat_str(pl.lit("r"), pl.col("row").cast(pl.String).str.zfill(6)).alias("event_id")
"""The row's number in the source, written as `events_file.read_events` writes the number of a row of EVENTS."""


def by_separator(separator: str) -> Callable[[pl.Expr], pl.Expr]:
    """Return what cuts lines at each separator: cells have no quotes."""
    return lambda line: line.str.split(separator)


def scan(
    path: Path,
    checks: Mapping[str, Check],
    cells: Callable[[pl.Expr], pl.Expr],
    *,
    header: bool | None = True,
) -> pl.LazyFrame:
    """Check all cells of a log and return them as text, with the number of the `row` from 1 on.

    What is returned reads the file again each time that it is collected.

    Args:
        path: lines of text, also gzipped.
        checks: of each column, in order.
        cells: cuts lines into lists of cells.
        header: whether the first line names the columns; None: it may or may not.

    Raises:
        EventsFileError: the file cannot be read, holds no rows, or a row is none of such a log.
    """
    try:
        lines = pl.scan_lines(path, name="text", row_index_name="line", row_index_offset=1, glob=False)
        lines = lines.with_columns(cells(pl.col("text").str.strip_chars_end("\r")).alias("cells"))
        start = lines.head(1).select(pl.col("cells")).collect().to_series().to_list()
        headers = int(bool(start) and header is not False and start[0] == list(checks))
        if start and header and not headers:
            raise EventsFileError(f"{path}, line 1: {','.join(start[0])!r} is not the header {','.join(checks)}")
        rows = lines.filter(pl.col("line") > headers).with_columns(
            pl.col("cells").list.get(place, null_on_oob=True).alias(name) for place, name in enumerate(checks)
        )
        _check(path, rows, checks)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EventsFileError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    return rows.select((pl.col("line") - headers).alias("row"), *checks)


def _check(path: Path, rows: pl.LazyFrame, checks: Mapping[str, Check]) -> None:
    fits = pl.col("cells").list.len() == len(checks)
    good = pl.all_horizontal(fits, *(check.fill_null(value=False) for check, _ in checks.values()))
    bad = rows.filter(~good).head(1).collect(engine="streaming")
    if len(bad):
        place = f"{path}, line {bad['line'][0]}"
        cells = bad["cells"][0]
        if len(cells) != len(checks):
            raise EventsFileError(f"{place}: {len(cells)} columns, not the {len(checks)} of {','.join(checks)}")
        for name, (check, why) in checks.items():
            if not bad.select(check.fill_null(value=False)).item():
                raise EventsFileError(f"{place}, column {name}: {bad[name][0]!r} {why}")
    if not len(rows.head(1).collect()):
        raise EventsFileError(f"{path} holds no rows")
