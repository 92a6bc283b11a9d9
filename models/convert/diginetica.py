"""Diginetica, in the split of SR-GNN, to EVENTS.

Wu et al., Session-based Recommendation with Graph Neural Networks, AAAI 2019. Training sessions are lines of items;
test lines are a prefix of a session's items and the item that comes next, each session's longest prefix first.
"""

from pathlib import Path

import polars as pl

from models.convert.source import Converted, by_separator, ids, one_id, scan


def convert(train: Path, test: Path) -> Converted:
    """Convert the two files of the split: positions only, all actions are clicks.

    The test lines of a session are put together again: its first items, those that are no line's next item, are
    context, the others are targets for testing, one a line.

    Raises:
        EventsFileError: a file cannot be read as such a log.
    """
    sessions = scan(train, {"items": ids("items")}, lambda line: pl.concat_list(line), header=False).collect()
    lines = scan(test, {"prefix": ids("prefix"), "label": one_id("label")}, by_separator("\t"), header=False).collect()
    whole = pl.concat_str("prefix", "label", separator=" ")
    begins = (whole != pl.col("prefix").shift(1)).fill_null(value=True)
    tests = (
        lines.with_columns(items=whole, session=begins.cum_sum())
        .group_by("session", maintain_order=True)
        .agg(pl.col("items").first(), pl.len().alias("targets"))
    )
    return Converted(
        pl.concat(
            [
                _events(sessions.select("items", name=pl.concat_str(pl.lit("train"), "row")), pl.lit("train")),
                _events(
                    tests.select("items", "targets", name=pl.concat_str(pl.lit("test"), "session")),
                    pl.when(pl.col("position") > pl.col("length") - pl.col("targets"))
                    .then(pl.lit("test"))
                    .otherwise(pl.lit("context")),
                ),
            ]
        ),
        {},
    )


def _events(sessions: pl.DataFrame, split: pl.Expr) -> pl.DataFrame:
    items = sessions.with_columns(pl.col("items").str.split(" ")).with_columns(length=pl.col("items").list.len())
    place = items.with_columns(position=pl.int_ranges(1, pl.col("length").cast(pl.Int64) + 1))
    return place.explode("items", "position").select(
        pl.col("name").alias("user_id"),
        pl.col("items").alias("item_id"),
        pl.lit("click").alias("action"),
        "position",
        pl.col("name").alias("session_id"),
        split.alias("split"),
    )
