"""The index against a dict, with hashes good and bad."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.state import Ints
from streams import key_index
from streams.growing import Growing
from streams.key_index import KeyIndex, Spans
from streams.siphash import Hashes
from streams.siphash import hashes as real_hashes
from streams.texts import Bytes

KEYS = st.lists(st.binary(max_size=3) | st.integers(0, 99).map(lambda n: b"user-%d" % n), max_size=40)
HASHES: dict[str, Callable[[bytes], int]] = {
    "one for all": lambda key: 7,
    "zero": lambda key: 0,
    "all ones": lambda key: 2**64 - 1,
    "five": lambda key: len(key) % 5 << 61,
    "one tag": lambda key: hash(key) & 0xFFFFFFFFFFFFFF00,
    "one slot": lambda key: hash(key) & 0xFF,
}


@pytest.fixture(params=["real", *HASHES])
def hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def hash_all(data: Bytes, start: Ints, end: Ints) -> Hashes:
        places = zip(start.tolist(), end.tolist(), strict=True)
        return np.array([HASHES[request.param](data[a:b].tobytes()) for a, b in places], np.uint64)

    monkeypatch.setattr(key_index, "hashes", real_hashes if request.param == "real" else hash_all)


@pytest.mark.usefixtures("hashes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(KEYS, KEYS), max_size=6))
def test_places_are_those_of_a_dict(steps: list[tuple[list[bytes], list[bytes]]]) -> None:
    index, plain = KeyIndex(), dict[bytes, int]()
    for added, asked in steps:
        expected = [plain.setdefault(key, len(plain)) for key in added]
        assert index.add(added).tolist() == expected
        assert index.find(asked).tolist() == [plain.get(key, -1) for key in asked]
        assert list(index) == list(plain)
        assert len(index) == len(plain)


@pytest.mark.usefixtures("hashes")
def test_many_keys_are_found_again_as_the_buckets_grow() -> None:
    index, keys = KeyIndex(), [b"u%d" % k for k in range(5000)]
    for start in range(0, len(keys), 321):
        index.add(keys[start : start + 321])
    assert index.find(keys).tolist() == list(range(5000))
    assert (index.find([b"v%d" % k for k in range(5000)]) == -1).all()
    assert index.find([b"u%d" % k for k in range(5000, 9000)]).max() == -1


def test_keys_that_differ_only_in_length_or_in_a_zero_byte_are_two() -> None:
    index, keys = KeyIndex(), [b"", b"\0", b"\0\0", b"a", b"a\0", b"ab", b"b" * 300]
    assert index.add(keys).tolist() == list(range(7))
    assert [index.key(place) for place in range(7)] == keys


def test_keys_are_found_where_they_lie_among_others() -> None:
    index, data = KeyIndex(), np.frombuffer(b"..annbob.ann", np.uint8)
    keys = Spans(data, np.array([2, 5, 9, 1], np.int64), np.array([5, 8, 12, 1], np.int64))
    assert index.add_spans(keys).tolist() == [0, 1, 0, 2]
    assert list(index) == [b"ann", b"bob", b""]


def test_slots_are_neither_full_nor_many() -> None:
    index = KeyIndex()
    for count in range(0, 20_000, 97):
        index.add([b"u%d" % k for k in range(count, count + 97)])
        assert len(index) / len(index._tag) <= 0.8
        assert len(index._tag) < len(index) / 0.64 + 20
        assert np.count_nonzero(index._tag) == len(index)


def test_array_grows_though_someone_looks_at_it() -> None:
    numbers = Growing(np.uint8)
    numbers.reserve(10)
    view = numbers.array[:10]
    view[:] = np.arange(10)
    numbers.reserve(1000)
    view[:] = 0
    assert numbers.array[:12].tolist() == [*range(10), 0, 0]


def test_array_keeps_what_it_holds_as_it_grows_again_and_again() -> None:
    numbers = Growing(np.int32)
    for length in range(0, 100_000, 777):
        numbers.reserve(length + 777)
        numbers.array[length : length + 777] = np.arange(length, length + 777)
    assert (numbers.array[:100_000] == np.arange(100_000)).all()


def test_text_of_keys_may_pass_four_gigabytes() -> None:
    """Tried with a start of one byte instead of four."""
    index = KeyIndex()
    index._start = Growing(np.uint8)
    index._start.reserve(1)
    keys = [b"user-%d" % k for k in range(200)]
    for start in range(0, 200, 10):
        index.add(keys[start : start + 10])
    assert list(index) == keys
    assert index.find(keys).tolist() == list(range(200))
