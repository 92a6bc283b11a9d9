"""CDNOW purchases to EVENTS (Fader and Hardie, Forecasting Repeat Sales at CDNOW, Interfaces 2001).

Rows are customer, date, number of CDs and what they cost in USD, from January 1997 to June 1998.
"""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from models.convert.source import EVENT_ID, Converted, filled, number, scan, whole

FIRST = datetime(1997, 1, 1, tzinfo=UTC)
CALIBRATION_DAYS = 39 * 7
TEST_FROM_MS = int(FIRST.timestamp() * 1000) + CALIBRATION_DAYS * 86_400_000
ITEM = "cd"
_CHECKS = {
    "customer_id": filled("customer_id"),
    "date": (pl.col("date").str.to_date("%Y%m%d", strict=False).is_not_null(), "is not a date as 19970101"),
    "number_of_cds": whole("number_of_cds"),
    "dollar_value": number("dollar_value"),
}


def convert(path: Path) -> Converted:
    """Convert the master file, with or without a header line; all purchases are of one item.

    They stand at the beginning of their day, and several of a customer may have one day. The first 39 weeks are for
    training, the last 39 for testing. `price` is that of one CD.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    rows = scan(path, _CHECKS, lambda line: line.str.extract_all(r"\S+"), header=None).collect()
    ts_ms = pl.col("date").str.to_datetime("%Y%m%d", time_unit="ms").cast(pl.Int64)
    pieces = pl.col("number_of_cds").cast(pl.Int64)
    return Converted(
        rows.select(
            pl.col("customer_id").alias("user_id"),
            pl.lit(ITEM).alias("item_id"),
            pl.lit("purchase").alias("action"),
            ts_ms.alias("ts_ms"),
            EVENT_ID,
            pl.when(pieces > 0).then(pl.col("dollar_value").cast(pl.Float64) / pieces).alias("price"),
            pl.lit("USD").alias("currency"),
            pieces.alias("quantity"),
            pl.when(ts_ms < TEST_FROM_MS).then(pl.lit("train")).otherwise(pl.lit("test")).alias("split"),
        ),
        {},
    )
