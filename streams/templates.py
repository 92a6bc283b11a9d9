r"""Texts with slots, filled in for all users of a chunk in one compiled loop.

A slot stands in a text as `NUL kind:name NUL`; JSON holds no NUL, it writes `\u0000`. A name may stand there often: its
column then has as many values for each user, in order.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np

from models.compiled import compiled
from models.state import Floats, Ints
from streams.texts import Bytes, Picked, Texts, texts, write_bytes
from streams.varint import write_varint

Kind: TypeAlias = Literal["number", "fixed", "moment", "text", "length"]
"""How a value is written: a whole number in decimal, a number with six decimals, ms since 1970 as RFC 3339 has it, a
text as it is, the length of a text as a varint of Kafka's."""

Column: TypeAlias = Ints | Floats | Texts | Picked

_NUMBER, _FIXED, _MOMENT, _TEXT, _LENGTH, _END = range(6)
_KINDS = {"number": _NUMBER, "fixed": _FIXED, "moment": _MOMENT, "text": _TEXT, "length": _LENGTH}
_SLOT = re.compile(rb"\x00([a-z]+):([a-z_]+)\x00")
MOMENT_BYTES = 24
"""Length of a moment."""

_WIDEST = MOMENT_BYTES  # of all values but texts
_TEXTS = 4  # columns of texts that a template may have: the compiled loop takes a fixed number
_MILLION = 1_000_000
_EXACT = 2.0**53
_DAY_MS = 86_400_000
_NOTHING = texts([]).arrays()


def slot(kind: Kind, name: str) -> bytes:
    """Return what stands in a text for a value: the name is of a-z and _."""
    return f"\0{kind}:{name}\0".encode()


def value_slot(kind: Kind, name: str) -> Any:  # noqa: ANN401 - stands for a value of any type
    """Return what stands in a struct to be encoded as JSON for a value."""
    return msgspec.Raw(slot(kind, name))


def string_slot(name: str) -> Any:  # noqa: ANN401 - as above
    """Return what stands in a struct to be encoded as JSON for a string: its column is of JSON without the quotes."""
    return msgspec.Raw(b'"%b"' % slot("text", name))


def slot_of(text: bytes) -> tuple[Kind, str] | None:
    """Return the kind and the name of the slot, if the text is one and no more."""
    match = _SLOT.fullmatch(text)
    return match and (match[1].decode(), match[2].decode())  # type: ignore[return-value]


class Template:
    r"""A text with slots.

    Args:
        text: the text.

    >>> letter = Template(b"Dear " + slot("text", "name") + b", " + slot("number", "n") + b" of " + slot("number", "n"))
    >>> letter.fill({"name": texts([b"Ann", b"Bob"]), "n": np.array([[1, 2], [-3, 10]])}).strings()
    [b'Dear Ann, 1 of 2', b'Dear Bob, -3 of 10']
    >>> Template(slot("fixed", "p")).fill({"p": np.array([[0.25], [-0.0000014]])}).strings()
    [b'0.250000', b'-0.000001']
    >>> Template(slot("moment", "at")).fill({"at": np.array([[1_700_000_000_123]])}).strings()
    [b'2023-11-14T22:13:20.123Z']
    """

    def __init__(self, text: bytes) -> None:
        *parts, last = _SLOT.split(text)  # constant, kind, name, constant, kind, name, ..., constant
        self._slots: dict[str, dict[str, int]] = {"ints": {}, "floats": {}, "texts": {}}  # number by name
        named = [(parts[k], _KINDS[parts[k + 1].decode()], parts[k + 2].decode()) for k in range(0, len(parts), 3)]
        for _, kind, name in named:
            mine = self._slots[_array(kind)]
            mine[name] = mine.get(name, 0) + 1
        used: dict[str, int] = {}
        program, constants = [], b""
        for constant, kind, name in named:
            mine = self._slots[_array(kind)]
            before = list(mine)[: list(mine).index(name)]
            column = len(before)
            if kind not in (_TEXT, _LENGTH):
                column = sum(mine[other] for other in before) + used.get(name, 0)
                used[name] = used.get(name, 0) + 1
            program.append((kind, column, len(constants), len(constants) + len(constant)))
            constants += constant
        program.append((_END, 0, len(constants), len(constants) + len(last)))
        self._program = np.array(program, np.int64)
        self._constants = np.array(list(constants + last), np.uint8)
        if len(self._slots["texts"]) > _TEXTS:
            raise ValueError(f"a template has at most {_TEXTS} columns of texts")

    def fill(self, columns: Mapping[str, Column]) -> Texts:
        """Return a text for each user.

        Args:
            columns: for each name its values: of numbers and moments [users, slots], of a text [users].

        Raises:
            ValueError: a number to be written with six decimals is not finite, or so large (2**53 millionths) that not
                all of its digits are known.
        """
        count = len(next(iter(columns.values())))
        ints: Ints = _side_by_side(columns, self._slots["ints"], count, np.int64)
        floats: Floats = _side_by_side(columns, self._slots["floats"], count, np.float64)
        given, size = [], count * (len(self._constants) + len(self._program) * _WIDEST)
        for name, times in self._slots["texts"].items():
            column = columns[name]
            if not isinstance(column, Texts | Picked) or len(column) != count:
                raise ValueError(f"{name}: wanted are texts of {count} users")
            size += times * column.size()
            given.append(column.arrays())
        data, ends = np.empty(size, np.uint8), np.empty(count, np.int64)
        given += [_NOTHING] * (_TEXTS - len(given))
        sources, their_ends, index = zip(*given, strict=True)
        bad = _fill(self._program, self._constants, ints, floats, sources, their_ends, index, data, ends)
        if bad >= 0:
            raise ValueError(f"{floats[bad].tolist()}: too large for six decimals")
        return Texts(data[: ends[-1] if count else 0], ends)


def _array(kind: int) -> str:
    return "ints" if kind in (_NUMBER, _MOMENT) else "floats" if kind == _FIXED else "texts"


def _side_by_side(columns: Mapping[str, Column], slots: Mapping[str, int], count: int, dtype: type) -> Any:  # noqa: ANN401
    parts = []
    for name, times in slots.items():
        part = columns[name]
        if not isinstance(part, np.ndarray) or part.shape != (count, times):
            raise ValueError(f"{name}: wanted are numbers of {count} users, {times} each")
        parts.append(part)
    if not parts:
        return np.zeros((count, 0), dtype)
    return np.ascontiguousarray(np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0], dtype)


@compiled
def _fill(
    program: Ints,
    constants: Bytes,
    ints: Ints,
    floats: Floats,
    data: tuple[Bytes, ...],
    ends: tuple[Ints, ...],
    index: tuple[Ints, ...],
    out: Bytes,
    out_ends: Ints,
) -> int:
    """Write the text of each user; return the first user who has a number that cannot be written, -1 if none has."""
    at = 0
    for user in range(len(out_ends)):
        for step in range(len(program)):
            kind, column, start, end = program[step]
            at = write_bytes(out, at, constants, start, end)
            if kind == _NUMBER:
                at = _write_number(out, at, ints[user, column])
            elif kind == _FIXED:
                millionths = np.rint(floats[user, column] * _MILLION)
                if not abs(millionths) < _EXACT:  # so is what is no number
                    return user
                at = _write_fixed(out, at, int(millionths))
            elif kind == _MOMENT:
                at = _write_moment(out, at, ints[user, column])
            elif kind != _END:
                place = index[column][user] if len(index[column]) else user
                first = ends[column][place - 1] if place else 0
                if kind == _LENGTH:
                    at = write_varint(out, at, ends[column][place] - first)
                else:
                    at = write_bytes(out, at, data[column], first, ends[column][place])
        out_ends[user] = at
    return -1


@compiled
def _write_number(out: Bytes, at: int, value: int) -> int:
    rest = np.uint64(value)
    if value < 0:
        out[at] = 45  # "-"
        at += 1
        rest = np.uint64(-(value + 1)) + np.uint64(1)  # the least int64 has no absolute value of its type
    size, higher = 1, rest // np.uint64(10)
    while higher:
        size += 1
        higher //= np.uint64(10)
    for k in range(at + size - 1, at - 1, -1):
        higher = rest // np.uint64(10)
        out[k] = np.uint8(48 + rest - higher * np.uint64(10))
        rest = higher
    return at + size


@compiled
def _write_digits(out: Bytes, at: int, value: int, count: int) -> int:
    for k in range(at + count - 1, at - 1, -1):
        out[k] = np.uint8(48 + value % 10)
        value //= 10
    return at + count


@compiled
def _write_fixed(out: Bytes, at: int, millionths: int) -> int:
    if millionths < 0:
        out[at] = 45  # "-"
        at, millionths = at + 1, -millionths
    at = _write_number(out, at, millionths // _MILLION)
    out[at] = 46  # "."
    return _write_digits(out, at + 1, millionths % _MILLION, 6)


@compiled
def _write_moment(out: Bytes, at: int, ms: int) -> int:
    """Write a moment of the years 1970 to 9999.

    Source of the date: Howard Hinnant, chrono-compatible low-level date algorithms, civil_from_days.
    """
    days, rest = ms // _DAY_MS, ms % _DAY_MS
    days += 719_468  # from 1 March of the year 0, when eras of 400 years begin
    of_era = days % 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * of_year + 2) // 153  # from March
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year = year_of_era + days // 146_097 * 400 + (1 if month <= 2 else 0)
    at = _write_digits(out, at, year, 4)
    out[at] = 45
    at = _write_digits(out, at + 1, month, 2)
    out[at] = 45
    at = _write_digits(out, at + 1, day, 2)
    out[at] = 84  # "T"
    at = _write_digits(out, at + 1, rest // 3_600_000, 2)
    out[at] = 58
    at = _write_digits(out, at + 1, rest // 60_000 % 60, 2)
    out[at] = 58
    at = _write_digits(out, at + 1, rest // 1000 % 60, 2)
    out[at] = 46
    at = _write_digits(out, at + 1, rest % 1000, 3)
    out[at] = 90  # "Z"
    return at + 1
