"""How many partitions, workers and bytes a load asks for, from what was measured: `nextact plan`."""

from math import ceil

import msgspec

MIB, GIB = 2**20, 2**30
DAY_S = 86_400


class Figures(msgspec.Struct, frozen=True):
    """What was measured of one worker; docs/operations.md has the command and the date of each."""

    event_us: float = 9.0  # of a worker's time, no slates
    item_ns: float = 1.9  # more of it for each item that a slate is chosen from
    program_mib: float = 440.0  # a worker in a backlog, without users and items
    slates_mib: float = 80.0  # more if it makes slates
    item_bytes: float = 1900.0  # of its memory
    user_bytes: float = 816.0  # of its memory, beside the user's id
    input_bytes: float = 99.0  # an event on the broker
    output_bytes: float = 753.0  # next action and churn risk of an event, in chunks of 10
    slot_bytes: float = 55.0  # more for each item of its slate
    changelog_bytes: float = 369.0  # of an event, in chunks of 10
    row_bytes: float = 487.0  # a user in the changelog once it is compacted
    recovered_users_per_s: float = 228_887.0


MEASURED = Figures()
BUSY = 0.6
"""Share of its rate that a worker is planned for: the rest catches up with a backlog."""

PARTITIONS_PER_WORKER = 4
"""The number of partitions is for good: room for four times the load, and shares that differ little."""

LEAST_PARTITIONS = 8
COMPACTION_LAG_S = 3600
"""`min.compaction.lag.ms` of the changelog."""

SEGMENT_BYTES = GIB
SEGMENT_S = 7 * DAY_S
"""The broker's `segment.bytes` and `log.roll.hours`: a segment that is written to is not compacted."""


class Load(msgspec.Struct, frozen=True):
    """What is to be carried."""

    events_per_s: float  # of the three topics together, in the busiest hour
    users: int  # all that ever come: none is forgotten
    items: int = 10_000  # that the model knows
    slate_size: int = 10  # 0: no recommendations
    user_id_bytes: int = 16
    replicas: int = 3  # of each topic
    retention_days: float = 7.0  # of events and outputs


class Plan(msgspec.Struct, frozen=True):
    """What carries it. Rates and bytes are those of the busiest hour, sizes are upper bounds."""

    partitions: int
    workers: int  # of one core each
    worker_events_per_s: float  # that one can do
    worker_busy: float  # share of that
    worker_memory_mib: float  # each, while another one is missing
    worker_in_mb_per_s: float  # each
    worker_out_mb_per_s: float
    brokers_in_mb_per_s: float  # all together, replicas included
    brokers_out_mb_per_s: float
    disk_events_gib: float  # all brokers together, replicas included
    disk_outputs_gib: float
    disk_changelog_gib: float
    recovery_s: float  # reading back a lost worker's users, after the session's end


def plan(load: Load, figures: Figures = MEASURED) -> Plan:
    """Work out what a load asks for, by the formulas of docs/operations.md.

    Raises:
        ValueError: a number of the load makes no sense.

    >>> small = plan(Load(events_per_s=1000, users=1_000_000))
    >>> small.workers, small.partitions
    (2, 8)
    >>> plan(Load(events_per_s=250_000, users=10_000_000, slate_size=0)).workers
    4
    """
    if load.events_per_s <= 0 or min(load.users, load.items, load.replicas) < 1:
        raise ValueError("events per second, users, items and replicas must be above 0")
    if min(load.slate_size, load.user_id_bytes) < 0 or load.retention_days < 0:
        raise ValueError("slate size, bytes and days must not be below 0")
    rate = load.events_per_s
    slates = load.slate_size > 0
    worker_rate = 1e6 / (figures.event_us + (load.items * figures.item_ns / 1000 if slates else 0))
    workers = max(ceil(rate / (BUSY * worker_rate)), ceil(rate / worker_rate) + 1)  # one may be missing
    partitions = max(LEAST_PARTITIONS, _power_of_two(PARTITIONS_PER_WORKER * workers))

    program = figures.program_mib + (figures.slates_mib if slates else 0) + load.items * figures.item_bytes / MIB
    user_bytes = figures.user_bytes + load.user_id_bytes
    memory_mib = program + load.users * user_bytes / (workers - 1) / MIB

    in_bytes = rate * figures.input_bytes
    out_bytes = rate * (figures.output_bytes + load.slate_size * figures.slot_bytes)
    log_bytes = rate * figures.changelog_bytes
    copied = (load.replicas - 1) * (in_bytes + out_bytes + log_bytes)
    kept_s = load.retention_days * DAY_S
    open_bytes = min(partitions * SEGMENT_BYTES, log_bytes * SEGMENT_S)
    changelog = 2 * load.users * figures.row_bytes + log_bytes * COMPACTION_LAG_S + open_bytes
    return Plan(
        partitions=partitions,
        workers=workers,
        worker_events_per_s=worker_rate,
        worker_busy=rate / workers / worker_rate,
        worker_memory_mib=memory_mib,
        worker_in_mb_per_s=in_bytes / workers / 1e6,
        worker_out_mb_per_s=(out_bytes + log_bytes) / workers / 1e6,
        brokers_in_mb_per_s=(in_bytes + out_bytes + log_bytes + copied) / 1e6,
        brokers_out_mb_per_s=(in_bytes + out_bytes + copied) / 1e6,
        disk_events_gib=load.replicas * in_bytes * kept_s / GIB,
        disk_outputs_gib=load.replicas * out_bytes * kept_s / GIB,
        disk_changelog_gib=load.replicas * changelog / GIB,
        recovery_s=load.users / workers / figures.recovered_users_per_s,
    )


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
