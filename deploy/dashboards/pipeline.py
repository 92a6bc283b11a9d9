"""Pipeline: what becomes of each event, and where the time goes."""

from grafana_foundation_sdk.models.common import StackingMode

from deploy.dashboards.board import Board, Section
from deploy.dashboards.overview import LATENCY
from deploy.dashboards.panels import About, Query, above, number, series, spread
from deploy.dashboards.promql import SHOWN, of, or_0, quantile, rate, share

_BUSY = rate("nextact_stage_seconds_sum", by="stage", where='stage!="publish"')
_EVENTS = rate("nextact_events_total", window=SHOWN)


def _of_events(metric: str, where: str = "") -> Query:
    return Query(share(or_0(rate(metric, where=where, window=SHOWN)), _EVENTS))


_BECAME = (
    number(
        "Events each second",
        Query(rate("nextact_events_total", where='outcome="applied"')),
        "eps",
        About(
            "Valid, new events applied to their user's state.",
            "the pace of your shop.",
            "less than comes in (Overview) means duplicates or refusals.",
        ),
        ((None, "orange"), (0.001, "green")),
    ),
    number(
        "Refused, of all records",
        Query(share(or_0(rate("nextact_rejected_total", window=SHOWN)), rate("nextact_records_total", window=SHOWN))),
        "percentunit",
        About(
            "Share of records that went to dead-letters, in the time shown.",
            "under 0.1 %.",
            "see the reasons below, and Producers for who sends them.",
            "NextactRejects",
        ),
        above(0.001, 0.01),
        decimals=2,
    ),
    number(
        "Duplicates",
        _of_events("nextact_events_total", 'outcome="duplicate"'),
        "percentunit",
        About(
            "Share of events that had been sent before, in the time shown: they are dropped.",
            "under 1 %.",
            "a producer sends twice: Producers says which. Nothing is counted twice.",
        ),
        above(0.01, 0.1),
        decimals=2,
    ),
    number(
        "Too late for the ring",
        _of_events("nextact_late_total"),
        "percentunit",
        About(
            "Share of events older than the last 16 of their user: they count in windows and totals alone.",
            "under 0.1 %.",
            "a producer far behind, or one that does not partition by murmur2.",
        ),
        above(0.001, 0.01),
        decimals=2,
    ),
    number(
        "Put in order",
        _of_events("nextact_reordered_total"),
        "percentunit",
        About(
            "Share of events that came after a later one of their user, and were put in their place.",
            "a few per cent, more in a backlog.",
            "if it stays high, a producer sends in batches or with wrong clocks.",
        ),
        above(0.1, 0.3),
        decimals=2,
    ),
    number(
        "Share an answer",
        _of_events("nextact_conflated_total"),
        "percentunit",
        About(
            "Share of events answered together with a later one of the same user in their chunk.",
            "near 0 while workers keep up, high in a backlog.",
            "it is how a backlog is caught up; if it stays high with no backlog, one user floods: a bot.",
            "NextactLagGrows",
        ),
        above(0.5),
        decimals=2,
    ),
    series(
        "What became of events",
        [Query(rate("nextact_events_total", by="outcome"), "{{outcome}}")],
        "eps",
        About(
            "Valid events each second: applied, dropped as duplicates, or known to have been applied before a restart.",
            "nearly all applied; redelivered ones for seconds after a restart.",
            "redelivered without a restart: offsets are not committed, see the log.",
            "NextactLagGrows",
        ),
        width=8,
        stacked=StackingMode.NORMAL,
    ),
    series(
        "Refused, by reason",
        [Query(f"{rate('nextact_rejected_total', by='reason')} > 0", "{{reason}}")],
        "eps",
        About(
            "Records that went to dead-letters each second, by what of them is wrong.",
            "none; the line is the 1,000 in an hour of the alert.",
            "it is the producer's mistake: nextact dead-letters list has the reason of each record, docs/contract.md"
            " explains it, nextact contract check finds it before it is sent.",
            "NextactDeadLetters",
        ),
        above(1000 / 3600),
        width=8,
        stacked=StackingMode.NORMAL,
        empty="none refused",
    ),
    series(
        "Late, put in order, of unknown items",
        [
            Query(rate("nextact_late_total"), "too late"),
            Query(rate("nextact_reordered_total"), "put in order"),
            Query(rate("nextact_unknown_items_total"), "unknown item"),
        ],
        "eps",
        About(
            "Events each second that were too late for their user's ring, out of order, or of an item that the model"
            " does not know.",
            "low and even.",
            "unknown items that rise: the catalogue moved on, train anew.",
            "NextactInputDrift",
        ),
        width=8,
    ),
)

_TIME = (
    spread(
        "From event to answer",
        rate(f"{LATENCY}_bucket", by="le"),
        "s",
        About(
            "How many events took how long from their record's timestamp to the acknowledged answer. Records older than"
            " an hour are left out: they are a backlog's.",
            "one bright band under 250 ms.",
            "a second band above it: some partitions or producers are slow; a band that climbs: a backlog.",
            "NextactLatencyBudgetBurnsFast",
        ),
    ),
    spread(
        "From what happened to its record",
        rate("nextact_arrival_delay_seconds_bucket", by="le"),
        "s",
        About(
            "How long after an event happened (its ts_ms) its record was made: what producers take.",
            "seconds.",
            "nothing here can make it shorter: Producers says whose it is.",
        ),
    ),
    series(
        "Where the time goes",
        [
            Query(
                _BUSY + f" / scalar(count({of('nextact_partitions')}))",
                "{{stage}}",
            )
        ],
        "percentunit",
        About(
            "Processor time by stage of chunks, as a share of one core, the mean of all workers.",
            "together under 60 %, so that a backlog can be caught up.",
            "near 100 %: more workers, up to one for each partition.",
            "NextactLagGrows",
        ),
        ((None, "transparent"), (0.6, "orange"), (0.9, "red")),
        stacked=StackingMode.NORMAL,
    ),
    series(
        "Time of a stage, 95 %",
        [Query(quantile(0.95, "nextact_stage_seconds", by="stage"), "{{stage}}")],
        "s",
        About(
            "Time that 95 % of chunks stay below, by stage.",
            "milliseconds; seconds in a backlog, as chunks are long then.",
            "the stage that grew is what changed: publish is the broker, answer the number of items.",
            "NextactLatencyBudgetBurnsFast",
        ),
        ((None, "transparent"), (0.1, "orange"), (0.25, "red")),
        log=True,
        least=None,
    ),
    spread(
        "Records in a chunk",
        rate("nextact_chunk_records_bucket", by="le"),
        "short",
        About(
            "How many records workers handle at once.",
            "a few; thousands in a backlog.",
            "always at the upper end: workers do not keep up.",
            "NextactLagGrows",
        ),
        width=8,
    ),
    series(
        "Chunk in work, for",
        [Query(f"max by (instance) ({of('nextact_chunk_underway_seconds')})", "{{instance}}")],
        "s",
        About(
            "Age of the oldest chunk in work of each worker, told by a thread that goes on when the rest is stuck.",
            "under a second.",
            "a line that climbs is a worker that is stuck, or waits for a broker; after NEXTACT_WATCHDOG_S, 120 s, it"
            " ends itself to be started again.",
            "NextactWorkerStuck",
        ),
        above(10, 120),
        width=8,
    ),
    series(
        "Processor time of an event",
        [
            Query(
                share(rate("process_cpu_seconds_total", by="instance"), rate("nextact_records_total", by="instance")),
                "{{instance}}",
            )
        ],
        "s",
        About(
            "Processor time of each worker for each record that it handled.",
            "tens of microseconds under load; more where little comes, as an idle worker also does something.",
            "twice of what it was at the same rate: more items, a new model, or a machine that is shared.",
            "NextactLagGrows",
        ),
        width=8,
    ),
)

_PROCESS = (
    series(
        "Processor",
        [Query(rate("process_cpu_seconds_total", by="instance"), "{{instance}}")],
        "percentunit",
        About(
            "Processor time that each worker takes, of one core.",
            "under 60 %.",
            "near 100 % it is the limit: more workers.",
            "NextactLagGrows",
        ),
        above(0.6, 0.9),
        width=8,
    ),
    series(
        "Memory",
        [Query(f"max by (instance) ({of('process_resident_memory_bytes')})", "{{instance}}")],
        "bytes",
        About(
            "Resident memory of each worker.",
            "what nextact plan says for your users and items; level when no new users come.",
            "near the limit of its container it will be killed: raise the limit, or run more workers.",
            "NextactRecoveryLong",
        ),
        above(1.5 * 2**30, 1.9 * 2**30),
        width=8,
    ),
    series(
        "Open files",
        [
            Query(
                f"max by (instance) ({of('process_open_fds')} / {of('process_max_fds')})",
                "{{instance}}",
            )
        ],
        "percentunit",
        About(
            "Open files and connections, of as many as the system lets each worker have.",
            "a few per cent.",
            "a line that climbs for hours is a leak: keep the log, restart the worker.",
        ),
        above(0.5, 0.8),
        width=8,
    ),
)

PIPELINE = Board(
    "pipeline",
    "nextact: Pipeline",
    "What becomes of each event, and where the time goes.",
    (Section("Events", _BECAME), Section("Time", _TIME), Section("Processes", _PROCESS)),
)
