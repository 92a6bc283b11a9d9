"""Rows in arrays against rows in a dict."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.state import ROW, Rows, empty_rows
from streams.user_rows import PartitionRows, UserRows

KEYS = st.lists(st.sampled_from([b"a", b"b", b"c", b"\xff\x00", b""]), max_size=6)


def numbered(start: int, count: int) -> Rows:
    rows = empty_rows(count)
    rows["newest_ms"] = np.arange(start, start + count)
    return rows


@given(st.lists(st.tuples(KEYS, KEYS), max_size=10))
def test_rows_read_are_those_written_last(steps: list[tuple[list[bytes], list[bytes]]]) -> None:
    rows, plain, number = PartitionRows(), dict[bytes, int](), 1
    for written, read in steps:
        rows.write(written, numbered(number, len(written)))
        for key in written:
            plain[key] = number
            number += 1
        assert rows.read(read)["newest_ms"].tolist() == [plain.get(key, 0) for key in read]
        assert list(rows) == list(plain)
        assert len(rows) == len(plain)
        assert rows.rows["newest_ms"].tolist() == list(plain.values())


def test_unknown_user_has_an_empty_row() -> None:
    rows = PartitionRows()
    assert rows.read([b"a"]).tobytes() == empty_rows(1).tobytes()
    rows.write([b"b"], numbered(1, 1))
    assert rows.read([b"a", b"b", b"c"])[[0, 2]].tobytes() == empty_rows(2).tobytes()
    assert len(rows) == 1


def test_what_is_read_is_a_copy() -> None:
    rows = PartitionRows()
    rows.write([b"a"], numbered(1, 1))
    rows.read([b"a"])["newest_ms"] = 99
    assert rows.read([b"a"])["newest_ms"].tolist() == [1]


def test_what_is_written_is_copied() -> None:
    rows, mine = PartitionRows(), numbered(1, 1)
    rows.write([b"a"], mine)
    mine["newest_ms"] = 99
    assert rows.read([b"a"])["newest_ms"].tolist() == [1]


def test_many_users_keep_their_rows_as_the_array_grows() -> None:
    rows = PartitionRows()
    keys = [str(k).encode() for k in range(10_000)]
    for start in range(0, 10_000, 777):
        part = keys[start : start + 777]
        rows.write(part, numbered(start, len(part)))
    assert rows.read(keys)["newest_ms"].tolist() == list(range(10_000))
    assert len(rows.rows) == 10_000


def test_partitions_do_not_share_users() -> None:
    users = UserRows()
    users.write(0, [b"a"], numbered(1, 1))
    users.write(3, [b"a", b"b"], numbered(2, 2))
    assert users.read(0, [b"a"])["newest_ms"].tolist() == [1]
    assert users.read(3, [b"a"])["newest_ms"].tolist() == [2]
    assert users.read(1, [b"a"])["newest_ms"].tolist() == [0]
    assert len(users) == 3


def test_users_are_counted_by_churn_band() -> None:
    users, rows = UserRows(), empty_rows(50_000)
    rows["band"] = np.arange(50_000) % 4
    users.write(0, [b"%d" % k for k in range(50_000)], rows)
    users.write(1, [b"a", b"b"], numbered(0, 2))
    assert users.bands().tolist() == [12_502, 12_500, 12_500, 12_500]
    assert UserRows().bands().tolist() == [0, 0, 0, 0]


def test_memory_is_that_of_rows_and_keys() -> None:
    users = UserRows()
    users.write(0, [b"%05d" % k for k in range(10_000)], empty_rows(10_000))
    per_user = users.nbytes / 10_000
    assert ROW.itemsize + 5 + 4 + 5 / 0.8 <= per_user <= ROW.itemsize + 5 + 4 + 5 / 0.6
