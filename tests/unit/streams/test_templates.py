"""Texts filled in by a compiled loop are the texts that a plain writer makes one by one."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.names import json_names
from streams.slate_json import lists
from streams.templates import Column, Kind, Template, slot, slot_of, string_slot, value_slot
from streams.texts import Picked, texts
from streams.varint import varint_size

INT64 = st.integers(-(2**63), 2**63 - 1)
LAST_MS = 253_402_300_799_999  # of the year 9999


def written(kind: Kind, column: Column) -> list[bytes]:
    return Template(slot(kind, "n")).fill({"n": column}).strings()


@given(st.lists(INT64 | st.integers(-20_000, 20_000), min_size=1))
def test_number_is_written_as_str_writes_it(values: list[int]) -> None:
    assert written("number", np.array(values)[:, None]) == [str(value).encode() for value in values]


@pytest.mark.parametrize(
    "value", [-(2**63), 2**63 - 1, 0, *(10**k for k in range(19)), *(10**k - 1 for k in range(19))]
)
def test_number_of_any_length_is_written(value: int) -> None:
    assert written("number", np.array([[value]])) == [b"%d" % value]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_fixed_is_the_nearest_number_of_six_decimals(values: list[float]) -> None:
    for string, value in zip(written("fixed", np.array(values)[:, None]), values, strict=True):
        assert len(string.partition(b".")[2]) == 6
        assert abs(float(string) - value) <= 0.5e-6 + 1e-9 * abs(value)
        assert isinstance(msgspec.json.decode(string), float)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2**53 / 1e6, -(2**53) / 1e6, 1e12])
def test_number_without_six_decimals_is_an_error(value: float) -> None:
    with pytest.raises(ValueError, match="too large"):
        written("fixed", np.array([[0.0], [value]]))
    assert written("fixed", np.array([[9_000_000_000.5]])) == [b"9000000000.500000"]


@given(st.lists(st.integers(0, LAST_MS), min_size=1))
def test_moment_is_written_as_datetime_writes_it(moments_ms: list[int]) -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [(start + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") for ms in moments_ms]
    found = written("moment", np.array(moments_ms)[:, None])
    assert [string.decode().replace("Z", "+00:00") for string in found] == expected


@given(st.lists(st.binary(max_size=300), min_size=1))
def test_texts_keep_any_bytes_and_their_lengths(strings: list[bytes]) -> None:
    column = texts(strings)
    assert column.strings() == strings
    assert written("text", column) == strings
    back = Picked(column, np.arange(len(strings))[::-1])
    assert written("text", back) == strings[::-1]
    assert list(map(len, written("length", column))) == [varint_size(len(string)) for string in strings]


def test_slots_of_a_name_are_filled_in_order_beside_each_other() -> None:
    message = {"id": string_slot("id"), "of": {"a": value_slot("number", "n"), "b": value_slot("number", "n")}}
    template = Template(msgspec.json.encode(message | {"id_again": string_slot("id"), "p": value_slot("fixed", "p")}))
    filled = template.fill(
        {"p": np.array([[0.5], [0.25]]), "id": texts([b"ann", b"bartholomew"]), "n": np.array([[1, 20], [300, 4]])}
    )
    assert filled.strings() == [
        b'{"id":"ann","of":{"a":1,"b":20},"id_again":"ann","p":0.500000}',
        b'{"id":"bartholomew","of":{"a":300,"b":4},"id_again":"bartholomew","p":0.250000}',
    ]
    assert template.fill({"p": np.zeros((0, 1)), "id": texts([]), "n": np.zeros((0, 2), np.int64)}).strings() == []


@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (1, 2)])
def test_other_numbers_than_the_template_has_slots_are_an_error(shape: tuple[int, int]) -> None:
    template = Template(slot("text", "id") + slot("number", "n") * 2)
    with pytest.raises(ValueError, match="n: wanted"):
        template.fill({"id": texts([b"a", b"b"]), "n": np.zeros(shape, np.int64)})


@pytest.mark.parametrize("column", [texts([b"a"]), Picked(texts([b"a"]), np.zeros(3, np.int64)), np.zeros((2, 1))])
def test_other_texts_than_there_are_users_are_an_error(column: Column) -> None:
    with pytest.raises(ValueError, match="id: wanted"):
        Template(slot("number", "n") + slot("text", "id")).fill({"n": np.zeros((2, 1), np.int64), "id": column})


@pytest.mark.parametrize("number", [-1, 1, 2**40])
def test_number_of_no_text_is_an_error(number: int) -> None:
    with pytest.raises(IndexError, match="none of 1"):
        written("text", Picked(texts([b"a"]), np.array([0, number])))


def test_template_of_too_many_texts_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most"):
        Template(b"".join(slot("text", name) for name in "abcde"))


def test_slot_is_known_only_alone() -> None:
    assert slot_of(slot("moment", "time")) == ("moment", "time")
    assert slot_of(slot("moment", "time") + b"Z") is None


@given(st.lists(st.text(max_size=20)))
def test_names_stand_in_json_as_an_encoder_writes_them(names: list[str]) -> None:
    found = json_names(texts([name.encode() for name in names])).strings()
    assert [b'"%b"' % name for name in found] == [msgspec.json.encode(name) for name in names]


@given(st.lists(st.lists(st.integers(0, 999), max_size=5), max_size=6))
def test_lists_hold_their_own_items(rows: list[list[int]]) -> None:
    items = texts([str(number).encode() for row in rows for number in row])
    found = lists(items, np.array([len(row) for row in rows], np.int64)).strings()
    assert [msgspec.json.decode(one) for one in found] == rows
