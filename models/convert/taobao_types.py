"""Taobao, 17 types, to EVENTS.

Xue et al., HYPRO: A Hybridly Normalized Probabilistic Model for Long-Horizon Prediction of Event Sequences, NeurIPS
2022. Rows are sequence, its part of the split, time in unix seconds and type: a group of categories.
"""

from pathlib import Path

import polars as pl

from models.convert.source import Converted, by_separator, filled, one_of, scan, whole

SPLIT = {"train": "train", "dev": "validation", "test": "test"}
_CHECKS = {"seq_id": filled("seq_id"), "split": one_of("split", list(SPLIT)), "ts": whole("ts"), "type": filled("type")}


def convert(path: Path) -> Converted:
    """Convert a file of sequences; the type is both item and action, and the order is the file's.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    rows = scan(path, _CHECKS, by_separator(",")).collect()
    return Converted(
        rows.select(
            pl.col("seq_id").alias("user_id"),
            pl.col("type").alias("item_id"),
            pl.col("type").alias("action"),
            (pl.col("ts").cast(pl.Int64) * 1000).alias("ts_ms"),
            pl.int_range(1, pl.len() + 1).over("seq_id").alias("position"),
            pl.col("split").replace_strict(SPLIT),
        ),
        {},
    )
