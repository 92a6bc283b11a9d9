"""Texts written a column at a time are the texts that a plain writer makes one by one."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.columns import FEW, Template, decimal, fixed, padded, slot, text, texts

INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64 | st.integers(-20_000, 20_000), min_size=1))
def test_decimal_writes_what_str_writes(values: list[int]) -> None:
    for times in (1, FEW + 1):  # one by one, and all at once
        written = texts(decimal(np.array(values * times, np.int64))).strings()
        assert [string.decode() for string in written] == [str(value) for value in values * times]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_fixed_writes_the_nearest_number_of_six_decimals(values: list[float]) -> None:
    few, many = (texts(fixed(np.array(values * times))).strings() for times in (1, FEW + 1))
    assert many == few * (FEW + 1)  # what is written does not depend on how many there are
    for string, value in zip(few, values, strict=True):
        assert len(string.partition(b".")[2]) == 6
        assert abs(float(string) - value) <= 0.5e-6 + 1e-9 * abs(value)
        assert isinstance(msgspec.json.decode(string), float)


@pytest.mark.parametrize("size", [FEW, FEW + 1])
@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 0])
def test_decimal_writes_the_ends_of_int64(size: int, value: int) -> None:
    assert texts(decimal(np.full(size, value))).strings() == [b"%d" % value] * size


@pytest.mark.parametrize("size", [FEW, FEW + 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2**53 / 1e6, -(2**53) / 1e6, 1e12])
def test_fixed_refuses_what_has_no_six_decimals(size: int, value: float) -> None:
    values = np.zeros(size)
    values[-1] = value
    with pytest.raises(ValueError, match="too large"):
        fixed(values)
    values[-1] = 9_000_000_000.5
    assert texts(fixed(values)).strings()[-1] == b"9000000000.500000"


def test_no_texts_are_a_column_too() -> None:
    assert text([]).shape == (0, 1, 1)


def test_numbers_keep_the_shape_of_their_array() -> None:
    values = np.array([[1, 22], [333, 4]])
    assert decimal(values).shape[:2] == fixed(values / 2).shape[:2] == (2, 2)


@given(st.lists(st.binary(max_size=20), min_size=1))
def test_padded_keeps_any_bytes(strings: list[bytes]) -> None:
    columns = padded(strings)
    assert columns.strings() == strings
    assert columns.lengths().tolist() == [len(string) for string in strings]


def test_template_fills_each_slot_of_a_name_in_order() -> None:
    message = {"id": slot("id"), "of": {"a": slot("n"), "b": slot("n")}}
    names = text([b'"ann"', b'"bartholomew"'])
    filled = Template(msgspec.json.encode(message)).fill({"id": names, "n": decimal(np.array([[1, 20], [300, 4]]))})
    assert texts(filled).strings() == [
        b'{"id":"ann","of":{"a":1,"b":20}}',
        b'{"id":"bartholomew","of":{"a":300,"b":4}}',
    ]
