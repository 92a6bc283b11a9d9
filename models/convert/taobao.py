"""Taobao UserBehavior to EVENTS (Zhu et al., Learning Tree-based Deep Model for Recommender Systems, KDD 2018).

Rows are user, item, category, behaviour and time in unix seconds, from 25 November to 3 December 2017 in China.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from models.events_file import EventsFileError

ACTION = {"pv": "view", "cart": "click", "fav": "click", "buy": "purchase"}
UTC_OFFSET_H = 8
FIRST_S = int((datetime(2017, 11, 25, tzinfo=UTC) - timedelta(hours=UTC_OFFSET_H)).timestamp())
END_S = FIRST_S + 9 * 86_400
DAYS = "25 November to 3 December 2017"
_COLUMNS = ("user_id", "item_id", "category_id", "action", "ts")


def convert(path: Path) -> tuple[pl.DataFrame, int]:
    """Read a UserBehavior file, with or without a header line, and return its events and how many rows were dropped.

    Dropped are rows outside the log's days: their clock was wrong. `raw_action` keeps pv, cart, fav or buy; `event_id`
    numbers the rows of the source from 1 on.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    try:
        rows = pl.read_csv(path, infer_schema=False, has_header=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EventsFileError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if rows.width != len(_COLUMNS):
        raise EventsFileError(
            f"{path} has {rows.width} columns, a UserBehavior log has {len(_COLUMNS)}: {', '.join(_COLUMNS)}"
        )
    rows = rows.rename(dict(zip(rows.columns, _COLUMNS, strict=True)))
    header = rows.row(0) == _COLUMNS
    rows = rows[int(header) :].with_row_index("line", 1)
    ts_s = pl.col("ts").cast(pl.Int64, strict=False)
    known = pl.col("action").is_in(list(ACTION)) & ts_s.is_not_null()
    known &= (pl.col("user_id") != "") & (pl.col("item_id") != "")
    bad = rows.filter(~known.fill_null(value=False))
    if len(bad):
        line, *cells = bad.row(0)
        raise EventsFileError(
            f"{path}, line {line + int(header)}: {','.join(map(str, cells))} is not a row of such a log"
        )
    kept = rows.filter((ts_s >= FIRST_S) & (ts_s < END_S))
    events = kept.select(
        "user_id",
        "item_id",
        pl.col("action").replace_strict(ACTION).alias("action"),
        (ts_s * 1000).alias("ts_ms"),
        pl.concat_str(pl.lit("r"), pl.col("line").cast(pl.String).str.zfill(6)).alias("event_id"),
        pl.col("category_id").alias("category"),
        pl.col("action").alias("raw_action"),
    )
    return events.sort("ts_ms", maintain_order=True), len(rows) - len(kept)
