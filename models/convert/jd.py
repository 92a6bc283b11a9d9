"""JD micro-behaviours to EVENTS.

Gu et al., Hierarchical User Profiling for E-commerce Recommender Systems, WSDM 2020. Rows are session, place in it,
product, one of ten actions, category, and two columns that describe the FUTURE of their row: the seconds until the next
row, and how long the product was looked at, maybe in later rows.
"""

from pathlib import Path

import polars as pl

from models.convert.source import Converted, by_separator, filled, one_of, scan, whole

ACTION = {
    "1": "home_page",
    "2": "list_page",
    "3": "promotion",
    "4": "cart_page",
    "5": "search",
    "6": "comments",
    "7": "specification",
    "8": "page_bottom",
    "9": "add_to_cart",
    "10": "order",
}
FIRST_MS = 4 * 86_400_000
WEEK_MS = 7 * 86_400_000
TRAIN_SHARE = 0.8
_CHECKS = {
    "session": whole("session"),
    "pos": whole("pos"),
    "sku": filled("sku"),
    "action": one_of("action", list(ACTION)),
    "category": filled("category"),
    "interval_to_next_s": whole("interval_to_next_s"),
    "dwell_s": whole("dwell_s"),
}


def convert(path: Path) -> Converted:
    """Convert a file of sessions.

    A row's time is the sum of the intervals of the rows BEFORE it in its session. The log has no times of day: the
    n-th session begins n weeks after Monday, 5 January 1970, so that no two overlap. Intervals tell nothing else, and
    dwell times are left out: they may hold what the user does later. The first 80 % of the sessions, as the file has
    them, are for training, the others for testing.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    rows = scan(path, _CHECKS, by_separator(",")).drop("dwell_s").collect()
    rows = rows.with_columns(pl.col("pos", "interval_to_next_s").cast(pl.Int64))
    numbers = rows.select("session").unique(maintain_order=True).with_row_index("number").cast({"number": pl.Int64})
    rows = rows.join(numbers, on="session", how="left").sort("number", "pos")
    before_s = pl.col("interval_to_next_s").shift(1, fill_value=0).cum_sum().over("number")
    return Converted(
        rows.select(
            pl.col("session").alias("user_id"),
            pl.col("sku").alias("item_id"),
            pl.col("action").replace_strict(ACTION),
            (FIRST_MS + pl.col("number") * WEEK_MS + before_s * 1000).alias("ts_ms"),
            pl.col("session").alias("session_id"),
            pl.col("pos").alias("position"),
            "category",
            pl.when(pl.col("number") < TRAIN_SHARE * len(numbers))
            .then(pl.lit("train"))
            .otherwise(pl.lit("test"))
            .alias("split"),
        ),
        {},
    )
