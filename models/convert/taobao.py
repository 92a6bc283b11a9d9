"""Taobao UserBehavior to EVENTS (Zhu et al., Learning Tree-based Deep Model for Recommender Systems, KDD 2018).

Rows are user, item, category, behaviour and time in unix seconds, from 25 November to 3 December 2017 in China.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from models.convert.source import EVENT_ID, Converted, by_separator, filled, one_of, scan
from models.log import SPLITS
from models.state import ACTIONS

ACTION = {"pv": "view", "cart": "click", "fav": "click", "buy": "purchase"}
UTC_OFFSET_H = 8
FIRST_S = int((datetime(2017, 11, 25, tzinfo=UTC) - timedelta(hours=UTC_OFFSET_H)).timestamp())
TEST_FROM_S = FIRST_S + 7 * 86_400
END_S = FIRST_S + 9 * 86_400
DAYS = "25 November to 3 December 2017"


def convert(path: Path) -> Converted:
    """Convert a UserBehavior file, with or without a header line.

    Dropped are rows outside the log's days: their clock was wrong. `raw_action` keeps pv, cart, fav or buy; `event_id`
    numbers the rows of the source from 1 on; 2 and 3 December are for testing. Texts are kept as categories and the
    rows in the file's order: the log has 100 million.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    ts_s = pl.col("ts").cast(pl.Int64, strict=False)
    checks = {
        "user_id": filled("user_id"),
        "item_id": filled("item_id"),
        "category_id": filled("category_id"),
        "action": one_of("action", list(ACTION)),
        "ts": (ts_s.is_not_null(), "is not a time in seconds"),
    }
    rows = scan(path, checks, by_separator(","), header=None)
    count = rows.select(pl.len()).collect(engine="streaming").item()
    events = rows.filter((ts_s >= FIRST_S) & (ts_s < END_S)).select(
        pl.col("user_id").cast(pl.Categorical),
        pl.col("item_id").cast(pl.Categorical),
        pl.col("action").replace_strict(ACTION, return_dtype=pl.Enum(ACTIONS)),
        (ts_s * 1000).alias("ts_ms"),
        EVENT_ID,
        pl.col("category_id").cast(pl.Categorical).alias("category"),
        pl.col("action").cast(pl.Enum(list(ACTION))).alias("raw_action"),
        pl.when(ts_s < TEST_FROM_S)
        .then(pl.lit("train"))
        .otherwise(pl.lit("test"))
        .cast(pl.Enum(SPLITS))
        .alias("split"),
    )
    kept = events.collect(engine="streaming")
    return Converted(kept, {f"outside {DAYS}": count - len(kept)})
