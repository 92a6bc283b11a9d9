"""Kafka and recovery: what waits, who owns what, how state comes back."""

from grafana_foundation_sdk.models.common import StackingMode

from deploy.dashboards.board import Board, Section
from deploy.dashboards.panels import NEWLY_STARTED, PLAIN, About, Query, above, bars, number, series
from deploy.dashboards.promql import SHOWN, of, or_0, rate, share

_WAITING = f"max by (topic) ({of('nextact_group_lag_records')})"
_A_MINUTE_AGO = f"max by (topic) ({of('nextact_group_lag_records')} offset 1m)"

_LAG = (
    number(
        "Until caught up, at this pace",
        Query(share(f"sum({_WAITING})", rate("nextact_records_total", window="5m"))),
        "s",
        About(
            "Records that wait, over those handled in a second: how long it takes if nothing new comes.",
            "seconds.",
            "minutes: workers are behind; see whether all partitions have an owner, and whether it grows.",
            "NextactLagGrows",
        ),
        above(30, 300),
    ),
    number(
        "Backlog grows by",
        Query(f"(sum({_WAITING}) - sum({_A_MINUTE_AGO})) / 60"),
        "suffix: /s",
        About(
            "Records by which the backlog grew each second of the last minute; below 0 it shrinks.",
            "around 0, or below.",
            "above 0 for long: more comes than workers can take. More workers, up to one for each partition.",
            "NextactLagGrows",
        ),
        above(10, 1000),
        decimals=1,
        empty="broker silent",
    ),
    number(
        "Partitions with an owner",
        Query(f"sum({of('nextact_partitions')})"),
        "none",
        About(
            "Partitions that workers own, each with its three input topics.",
            "NEXTACT_PARTITIONS.",
            "fewer for longer than a rebalance: somebody's events wait. Look at the workers' states.",
            "NextactWorkerRestarts",
        ),
        ((None, "red"), (1, "blue")),
    ),
    number(
        "Rebalances",
        Query(f"max(increase({of('nextact_rebalances_total')}[{SHOWN}]))"),
        "none",
        About(
            "How often a worker was given partitions, in the time shown, the most of all workers.",
            "one for each start, stop or upgrade of any worker.",
            "again and again: a worker that is paused or too slow falls out of the group and comes back.",
            "NextactWorkerRestarts",
        ),
        above(5, 20),
        decimals=0,
    ),
    number(
        "Last interruption",
        Query(f"max({of('nextact_rebalance_seconds')})"),
        "s",
        About(
            "Time from when partitions were taken away to work again, reading back included; of each worker's last one,"
            " the longest.",
            "under 30 s.",
            "a large table or a slow broker: see what was read back, and nextact plan.",
            "NextactRecoveryLong",
        ),
        above(30, 120),
        decimals=1,
    ),
    number(
        "Left to read back",
        Query(f"sum({of('nextact_recovery_remaining_records')})"),
        "short",
        About(
            "Records of the changelog that workers have yet to read before they answer.",
            "0.",
            "it should fall by 100,000 and more each second; if it stands, the broker is slow or silent.",
            "NextactRecoveryLong",
        ),
        above(1, 10_000_000),
    ),
)

_WAITS = (
    series(
        "Waiting by topic",
        [Query(_WAITING, "{{topic}}")],
        "short",
        About(
            "Records behind the group's committed offsets, asked of the broker, of partitions of nobody too. Steps of a"
            " few seconds are those of commits.",
            "low, back to it after each peak.",
            "one topic alone: an open transaction of its producer holds it up; all: workers.",
            "NextactLagGrows",
        ),
        above(10_000, 100_000),
        width=8,
    ),
    series(
        "Waiting where nobody works",
        [
            Query(
                f"clamp_min(sum({_WAITING}) - sum({of('nextact_lag_records')}), 0)",
                "the broker's count, less the workers'",
            )
        ],
        "short",
        About(
            "Records that wait by the broker's account, less those that the owners of their partitions know of. Both"
            " are taken at different moments, so that small numbers come and go.",
            "near 0.",
            "a level above 0: partitions without an owner, or a worker whose fetching is stuck.",
            "NextactWorkerStuck",
        ),
        above(10_000, 100_000),
        width=8,
    ),
    series(
        "Partitions by worker",
        [Query(f"max by (instance) ({of('nextact_partitions')})", "{{instance}}")],
        "none",
        About(
            "Partitions that each worker owns.",
            "shares that differ by one at most, and lines without steps.",
            "steps that nobody made are rebalances: a worker fell out, its log says why.",
            "NextactWorkerRestarts",
        ),
        ((None, "red"), (1, "green")),
        width=8,
        stacked=StackingMode.NORMAL,
    ),
)

_RECOVERY = (
    series(
        "Assignments",
        [Query(f"sum by (instance) (increase({of('nextact_rebalances_total')}[5m]))", "{{instance}}")],
        "none",
        About(
            "How often each worker was given partitions, in 5 minutes.",
            "0, but for starts and stops.",
            "one worker again and again: it is the one that falls out.",
            "NextactWorkerRestarts",
        ),
        above(3, 10),
        width=8,
    ),
    series(
        "Interruptions",
        [
            Query(f"max by (instance) ({of('nextact_rebalance_seconds')})", "{{instance}}, in all"),
            Query(f"max by (instance) ({of('nextact_recovery_seconds')})", "{{instance}}, reading back"),
        ],
        "s",
        About(
            "How long each worker's last interruption took, and how much of it was reading users back.",
            "seconds.",
            "reading back is most: fewer users for each worker; else the group waits: session timeout, slow stops.",
            "NextactRecoveryLong",
        ),
        above(30, 120),
        width=8,
    ),
    series(
        "Reading back",
        [
            Query(f"max by (instance) ({of('nextact_recovery_remaining_records')})", "{{instance}}"),
        ],
        "short",
        About(
            "Records of the changelog that each worker has yet to read.",
            "0, and steep falls after a restart.",
            "a slope that is flat: a slow broker or network.",
            "NextactRecoveryLong",
        ),
        above(1, 10_000_000),
        width=8,
    ),
    series(
        "Zombies' writes, and fetched for nothing",
        [
            Query(f"sum({of('nextact_stale_records')})", "stale records ignored"),
            Query(f"sum({of('nextact_repaired_rows')})", "rows written again"),
            Query(or_0(f"sum({of('nextact_dropped_records_total')})"), "fetched, left to the new owner"),
        ],
        "short",
        About(
            "Changelog records of workers that wrote after they had lost their partitions, ignored, and rows written"
            " again over them; and input records dropped at a rebalance, which the new owner fetches again.",
            "0; the last grows at rebalances.",
            "the first two above 0: a worker was paused for longer than its session. Nothing is lost.",
            "NextactWorkerRestarts",
        ),
        width=8,
    ),
    bars(
        "Rows read at start",
        Query(f"max by (instance) ({of('nextact_recovered_rows')})", "{{instance}}"),
        "short",
        About(
            "Changelog records that each worker has read since it was started.",
            "its share of the users, or a little more; 60 million take five minutes.",
            "many times the users: the changelog is not compacted, see its min.cleanable.dirty.ratio.",
            "NextactRecoveryLong",
        ),
        above(10_000_000, 60_000_000),
        width=8,
    ),
    bars(
        "Up for",
        Query(f"time() - max by (instance) ({of('process_start_time_seconds')})", "{{instance}}"),
        "s",
        About(
            "Time since each worker was started.",
            "since your last release; orange in the first hour.",
            "one much shorter than the others was restarted: its last lines before say why.",
            "NextactWorkerDown",
        ),
        NEWLY_STARTED,
        width=8,
    ),
)

_STATE = (
    series(
        "Users by worker",
        [Query(f"max by (instance) ({of('nextact_users')})", "{{instance}}")],
        "short",
        About(
            "Users in memory of each worker.",
            "even shares, below the lines: 1.9 million and the program are the 2 GiB that the chart allows.",
            "one with twice the others' owns twice their partitions, or keys are not spread: murmur2.",
            "NextactWorkerRestarts",
        ),
        above(1_500_000, 1_900_000),
        width=10,
    ),
    series(
        "State in memory",
        [Query(f"max by (instance) ({of('nextact_state_bytes')})", "{{instance}}")],
        "bytes",
        About(
            "Memory of rows and their index by worker.",
            "grows with users, by 0.8 KB each; 1.5 GiB, the red line, and the program are the chart's 2 GiB.",
            "nextact plan says how much a worker needs: more workers share it.",
            "NextactRecoveryLong",
        ),
        above(1.2 * 2**30, 1.5 * 2**30),
        width=10,
    ),
    number(
        "Memory of a user",
        Query(share(f"sum({of('nextact_state_bytes')})", f"sum({of('nextact_users')})")),
        "bytes",
        About(
            "Memory of rows and index for each user in memory; room for growth included.",
            "0.8 to 2 KB; more while there are few users.",
            "it only matters together with the number of users.",
        ),
        PLAIN,
        width=4,
        height=8,
        empty="no users",
    ),
    series(
        "Changelog written",
        [Query(rate("nextact_changelog_bytes_total", by="instance"), "{{instance}}")],
        "Bps",
        About(
            "Bytes of rows written to the changelog each second, before the broker compacts them.",
            "370 bytes an event in small chunks, less in a backlog.",
            "far more an event: see below.",
            "NextactRecoveryLong",
        ),
        stacked=StackingMode.NORMAL,
    ),
    series(
        "Changelog of an event",
        [Query(share(rate("nextact_changelog_bytes_total"), rate("nextact_events_total")), "bytes an event")],
        "bytes",
        About(
            "Bytes of the changelog for each event.",
            "150 in a backlog to 600 while events come one by one.",
            "0 while events come: rows are not written, recovery would lose them; keep the log, restart the worker.",
            "NextactRecoveryLong",
        ),
        ((None, "red"), (1, "green"), (1000, "orange")),
    ),
)

KAFKA = Board(
    "kafka",
    "nextact: Kafka and recovery",
    "What waits, who owns what, and how state comes back after a restart.",
    (
        Section("Now", _LAG),
        Section("Waiting", _WAITS),
        Section("Rebalances and recovery", _RECOVERY),
        Section("State", _STATE),
    ),
)
