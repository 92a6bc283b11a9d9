"""Producers: who sends what, how late, how often twice, how often wrong."""

from deploy.dashboards.board import Board, Section
from deploy.dashboards.panels import About, Query, above, number, series
from deploy.dashboards.promql import RATE, SHOWN, of, or_0, quantile, rate, share
from deploy.dashboards.tables import Column, scorecard

_RECORDS = "nextact_producer_records_total"


def _by_source(metric: str, window: str) -> str:
    """Return a producer's share of records of a kind; 0 of one that sent none of these."""
    records = rate(_RECORDS, "source", window=window)
    return share(f"({rate(metric, 'source', window=window)} or 0 * {records})", records)


def _delay(window: str) -> str:
    return share(
        rate("nextact_producer_delay_seconds_total", "source", window=window), rate(_RECORDS, "source", window=window)
    )


_NOW = (
    number(
        "Producers",
        Query(f"count(sum by (source) (increase({of(_RECORDS)}[{SHOWN}])) > 0)"),
        "none",
        About(
            "Producers that sent in the time shown, by the header ce_source: the first 8, others together, and those"
            " without the header.",
            "as many as you know, up to 10.",
            "one fewer: it stopped; one more: somebody new sends, see that nextact contract check passes.",
        ),
        ((None, "red"), (1, "blue")),
        width=6,
    ),
    number(
        "Without a name",
        Query(share(or_0(rate(_RECORDS, where='source="none"', window=SHOWN)), rate(_RECORDS, window=SHOWN))),
        "percentunit",
        About(
            "Share of records without the header ce_source.",
            "0: every producer says who it is.",
            "ask producers to send it: docs/contract.md, headers.",
        ),
        above(0.5),
        width=6,
        decimals=1,
    ),
    number(
        "Arrive within a minute",
        Query(
            share(
                rate("nextact_arrival_delay_seconds_bucket", where='le="60.0"', window=SHOWN),
                rate("nextact_arrival_delay_seconds_count", window=SHOWN),
            )
        ),
        "percentunit",
        About(
            "Share of records that were made within a minute of what they tell of, in the time shown.",
            "99 % and more.",
            "the table says whose are late: a queue, a batch, or a phone that was offline.",
        ),
        ((None, "red"), (0.9, "orange"), (0.99, "green")),
        width=6,
        decimals=2,
    ),
    number(
        "Delay of half of them",
        Query(quantile(0.5, "nextact_arrival_delay_seconds", window=SHOWN)),
        "s",
        About(
            "Half of all records were made within this time of what they tell of, in the time shown.",
            "under a few seconds.",
            "all late: a queue before Kafka is slow. It adds to the time in which a shopper is answered.",
        ),
        above(5, 60),
        width=6,
    ),
)

_CARD = (
    scorecard(
        "Scorecard",
        "source",
        "producer",
        [
            Column("records/s", f"{rate(_RECORDS, 'source', window=SHOWN)} > 0", "short"),
            Column("refused", _by_source("nextact_producer_rejected_total", SHOWN), "percentunit", above(0.001, 0.01)),
            Column("twice", _by_source("nextact_producer_duplicates_total", SHOWN), "percentunit", above(0.01, 0.1)),
            Column("too late", _by_source("nextact_producer_late_total", SHOWN), "percentunit", above(0.001, 0.01)),
            Column("mean delay", _delay(SHOWN), "s", above(5, 60)),
        ],
        About(
            "Each producer in the time shown: records a second, shares refused, sent before, and too late for their"
            " user's ring, mean time from what happened to its record.",
            "green.",
            "nextact contract check on what it sends names each mistake; docs/contract.md is what to send it.",
        ),
        height=9,
    ),
)

_OVER_TIME = (
    series(
        "Records by producer",
        [Query(f"{rate(_RECORDS, 'source')} > 0", "{{source}}")],
        "eps",
        About(
            "Records each second by producer.",
            "the shape of each one's day.",
            "one line at 0: it stopped.",
        ),
    ),
    series(
        "Refused by producer",
        [Query(_by_source("nextact_producer_rejected_total", RATE), "{{source}}")],
        "percentunit",
        About(
            "Share of each producer's records that went to dead-letters.",
            "0.",
            "a step is a release of that producer: tell its owner the reason (Pipeline has it).",
            "NextactRejects",
        ),
        above(0.001, 0.01),
    ),
    series(
        "Duplicates by producer",
        [Query(_by_source("nextact_producer_duplicates_total", RATE), "{{source}}")],
        "percentunit",
        About(
            "Share of each producer's records that had been sent before.",
            "under 1 %.",
            "it retries without idempotence, or replays. They cost time and nothing else.",
        ),
        above(0.01, 0.1),
        width=8,
    ),
    series(
        "Too late by producer",
        [Query(_by_source("nextact_producer_late_total", RATE), "{{source}}")],
        "percentunit",
        About(
            "Share of each producer's records that were older than the last 16 of their user.",
            "0.",
            "it sends old events among new ones, or does not partition by murmur2.",
        ),
        above(0.001, 0.01),
        width=8,
    ),
    series(
        "Mean delay by producer",
        [Query(_delay(RATE), "{{source}}")],
        "s",
        About(
            "Mean time from what happened to its record, by producer.",
            "seconds, and level.",
            "a line that climbs: its queue grows; one at hours: its clock or its time zone is wrong.",
        ),
        above(5, 60),
        width=8,
        least=None,
    ),
)

PRODUCERS = Board(
    "producers",
    "nextact: Producers",
    "Who sends what, how late, how often twice, how often wrong.",
    (Section("Now", _NOW), Section("Each producer", _CARD), Section("Over time", _OVER_TIME)),
)
