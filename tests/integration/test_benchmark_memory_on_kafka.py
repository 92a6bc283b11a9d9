"""The benchmark of memory runs, and finds no less than there must be."""

from pathlib import Path

import pytest

from models.state import ROW
from streams.benchmark.growth import DISTINCT
from streams.benchmark.memory import memory, plot
from streams.chunk.changelog import LOGGED
from streams.settings import read_settings

pytestmark = pytest.mark.broker
USERS = 20_000


def test_bytes_are_those_of_the_rows_and_some(kafka: str, tmp_path: Path) -> None:
    settings = read_settings(bootstrap_servers=kafka, partitions=2)
    summary = memory(settings, "test", tmp_path, users=USERS, items=20, repeat=1, say=lambda _: None)
    assert ROW.itemsize <= summary.table_bytes < 1.5 * ROW.itemsize
    assert LOGGED.itemsize / 2 < summary.changelog_bytes < LOGGED.itemsize  # most of a row of hashes does not compress
    assert summary.worker_bytes.median > ROW.itemsize
    assert [cost.known for cost in summary.by_users] == [1000, 10_000, USERS]
    assert [cost.known for cost in summary.by_items] == [20]
    assert all(cost.same_users_us.median > 0 for cost in (*summary.by_users, *summary.by_items))
    distinct = [cost.users_of_a_chunk or 0 for cost in summary.by_users]
    assert 900 < distinct[0] <= DISTINCT < distinct[1] < distinct[2] < 5000
    plot(summary, tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").stat().st_size > 1000
