"""Online Retail II, the first year, to EVENTS (Chen, Online Retail II, UCI Machine Learning Repository 2019).

Rows are invoice lines: invoice, product, purchase or return, pieces, time in Great Britain, price in GBP, customer and
country.
"""

from pathlib import Path

import polars as pl

from models.convert.source import EVENT_ID, Converted, by_separator, filled, number, one_of, scan

END = "2010-12-01 00:00:00"
_TIME = "%Y-%m-%d %H:%M:%S"
_CHECKS = {
    "invoice": filled("invoice"),
    "stock_code": filled("stock_code"),
    "action": one_of("action", ["purchase", "return"]),
    "quantity": (pl.col("quantity").cast(pl.Int64, strict=False).is_not_null(), "is not a whole number"),
    "ts": (pl.col("ts").str.to_datetime(_TIME, strict=False).is_not_null(), "is not a time as 2009-12-01 07:45:00"),
    "price": number("price"),
    "customer_id": (pl.col("customer_id").is_not_null(), "is missing"),
    "country": filled("country"),
}


def convert(path: Path) -> Converted:
    """Convert a file of invoice lines, each an event; the session is the invoice.

    Dropped are, in this order: lines from 1 December 2010 on, which stand in the second year's file too; lines that
    name no customer; returns: what is asked of this log is who buys again, what and when, and someone who brings goods
    back does not buy. What was bought stays, also if it was brought back later: at that time nobody knew. Times are
    kept as the shop's clock shows them.

    Raises:
        EventsFileError: the file cannot be read as such a log.
    """
    rows = scan(path, _CHECKS, by_separator(",")).collect()
    dropped = {}
    for reason, kept in (
        (f"from {END[:10]} on", pl.col("ts") < END),
        ("without a customer", pl.col("customer_id") != ""),
        ("returns", pl.col("action") != "return"),
    ):
        before, rows = len(rows), rows.filter(kept)
        dropped[reason] = before - len(rows)
    return Converted(
        rows.select(
            pl.col("customer_id").alias("user_id"),
            pl.col("stock_code").alias("item_id"),
            "action",
            pl.col("ts").str.to_datetime(_TIME, time_unit="ms").cast(pl.Int64).alias("ts_ms"),
            EVENT_ID,
            pl.col("invoice").alias("session_id"),
            pl.col("price").cast(pl.Float64),
            pl.lit("GBP").alias("currency"),
            pl.col("quantity").cast(pl.Int64),
            pl.col("country").alias("place"),
        ),
        dropped,
    )
