"""What a user takes, in memory and in the changelog, and how the cost of an event grows with users and items."""

import ctypes
import gc
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import msgspec
import numpy as np

from models.predictor import Predictor
from models.state import ROW
from schemas.partitioner import partition
from streams.benchmark.growth import Cost, cost_by_items, cost_by_users
from streams.benchmark.histogram import PlotImpossible, plot_file
from streams.benchmark.known_users import known_users
from streams.benchmark.recovery import KnownUsers
from streams.benchmark.report import Spread, spread
from streams.benchmark.workload import random_model
from streams.clients import admin
from streams.settings import Settings
from streams.topics import changelog
from streams.user_rows import UserRows

_AT_ONCE = 20_000
_CHUNKS = 4
Say = Callable[[str], None]


class Summary(msgspec.Struct, frozen=True):
    """Bytes a user, and CPU time of an event."""

    users: int
    broker: str
    row_bytes: int
    table_bytes: float  # memory a user of a process that holds the table and nothing else
    worker_bytes: Spread  # memory a user of a worker that has just recovered the table
    changelog_bytes: float  # on the broker's disk, a row a user
    by_users: list[Cost]
    by_items: list[Cost]


def memory(settings: Settings, broker: str, folder: Path, *, users: int, items: int, repeat: int, say: Say) -> Summary:
    """Measure a process that holds the table, the changelog, workers that recover it, and the pipeline alone.

    Args:
        settings: a broker that answers; everything else by default, whatever the environment says.
        broker: its name.
        folder: for the model and the logs.
        users: number of users, at the most.
        items: number of items, at the most.
        repeat: number of repetitions.
        say: told what is going on.

    Raises:
        BenchmarkFailed: a worker did not recover what was written.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:  # a process of its own: nothing else grows
        table_bytes = pool.submit(table_memory, users, settings.partitions).result() / users
    say(f"table: {table_bytes:.0f} bytes a user")
    (folder / "empty").mkdir()
    empty = KnownUsers(settings, folder / "empty", 0, say)
    nobody = [empty.recover().memory_mb for _ in range(repeat)]
    known = KnownUsers(settings, folder, users, say)
    changelog_bytes = log_bytes(known.settings) / users
    say(f"changelog: {changelog_bytes:.0f} bytes a user")
    everybody = [known.recover().memory_mb for _ in range(repeat)]
    worker_bytes = spread([(all_mb - spread(nobody).median) * 2**20 / users for all_mb in everybody])
    say(f"worker: {worker_bytes.median:.0f} bytes a user")
    by_users, by_items = [], []
    for cost in cost_by_users(powers_of_ten(users), _CHUNKS, repeat):
        say(f"{cost.known:,} users: {cost.same_users_us.median:.1f} us an event")
        by_users.append(cost)
    for cost in cost_by_items(powers_of_ten(items), 1, repeat):
        say(f"{cost.known:,} items: {cost.same_users_us.median:.1f} us an event")
        by_items.append(cost)
    return Summary(users, broker, ROW.itemsize, table_bytes, worker_bytes, changelog_bytes, by_users, by_items)


def powers_of_ten(most: int) -> list[int]:
    """Return 1,000 and the powers of ten after it, and the most itself at the end.

    >>> powers_of_ten(20_000), powers_of_ten(500)
    ([1000, 10000, 20000], [500])
    """
    return [10**n for n in range(3, 12) if 10**n < most] + [most]


def table_memory(users: int, partitions: int) -> int:
    """Return by how many bytes this process grows while a table of it fills with users."""
    model = Predictor(random_model())
    _fill(UserRows(), min(users, _AT_ONCE), partitions, model)  # what it takes to make rows is there before
    before, table = _resident(), UserRows()
    _fill(table, users, partitions, model)
    after = _resident()
    assert len(table) == users  # noqa: S101 - and the table is alive
    return after - before


def _fill(table: UserRows, users: int, partitions: int, model: Predictor) -> None:
    for first in range(0, users, _AT_ONCE):
        keys, rows = known_users(first, min(_AT_ONCE, users - first), model)
        where = np.array([partition(key, partitions) for key in keys])
        for number in range(partitions):
            mine = np.flatnonzero(where == number)
            table.write(number, [keys[k] for k in mine.tolist()], rows[mine])


def _resident() -> int:
    """Return the bytes that are resident, without what the allocator keeps of what it took to make the rows."""
    gc.collect()
    with suppress(AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def log_bytes(settings: Settings) -> int:
    """Return the size of the changelog on the broker's disk."""
    name = changelog(settings).name
    with admin(settings) as client:
        brokers = client.describe_log_dirs([name])
    logs = [log for broker in brokers for folder in broker["log_dirs"] for log in folder["topics"]]
    return sum(part["partition_size"] for log in logs for part in log["partitions"])


def plot(summary: Summary, file: Path) -> None:
    """Draw the cost of an event over users and over items, and write it as the file's name says: .png or .svg.

    Raises:
        PlotImpossible: matplotlib is not installed, does not know the kind of file, or cannot write it.
    """
    figure = plot_file(file).Figure(figsize=(7, 5.2), layout="constrained")
    over_users, over_items = figure.subplots(2)
    known = [cost.known for cost in summary.by_users]
    over_users.plot(known, [c.as_drawn_us.median for c in summary.by_users if c.as_drawn_us], "o-", label="as drawn")
    same = [cost.same_users_us.median for cost in summary.by_users]
    over_users.plot(known, same, "o-", label="as many users in every chunk")
    over_users.set(xscale="log", xlabel="users known", ylabel="CPU us an event")
    over_users.set_ylim(bottom=0)
    over_users.legend()
    ranked = [cost.known for cost in summary.by_items]
    over_items.plot(ranked, [cost.same_users_us.median for cost in summary.by_items], "o-")
    over_items.set(xscale="log", yscale="log", xlabel="items that slates are chosen from", ylabel="CPU us an event")
    try:
        figure.savefig(file)
    except OSError as error:
        raise PlotImpossible(f"the plot cannot be written to {file}: {error}") from None
