"""MovieLens-1M, leave-one-out as in LRURec, to EVENTS.

Yue et al., Linear Recurrent Units for Sequential Recommendation, WSDM 2024. Rows are a user, the items of the user in
order, and the last two: for validation and for testing.
"""

from pathlib import Path

import polars as pl

from models.convert.source import Converted, by_separator, filled, ids, one_id, scan

_CHECKS = {"user": filled("user"), "train": ids("train"), "val": one_id("val"), "test": one_id("test")}


def convert(path: Path) -> Converted:
    """Convert a file of users: positions only, all actions are views.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    users = scan(path, _CHECKS, by_separator("\t")).collect()
    split = {"train": "train", "val": "validation", "test": "test"}
    rows = users.unpivot(list(split), index=["row", "user"]).with_columns(pl.col("value").str.split(" "))
    rows = rows.explode("value").sort("row", maintain_order=True)
    return Converted(
        rows.select(
            pl.col("user").alias("user_id"),
            pl.col("value").alias("item_id"),
            pl.lit("view").alias("action"),
            pl.int_range(1, pl.len() + 1).over("row").alias("position"),
            pl.col("variable").replace_strict(split).alias("split"),
        ),
        {},
    )
