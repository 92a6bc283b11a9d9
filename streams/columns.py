r"""Many texts at once: columns of bytes, side by side, so that numpy writes the messages of a chunk in a few calls.

A text is a row of a `Bytes` array [texts, width], padded on either side with NUL, which stands for "no character": JSON
holds none, it writes `\u0000`. Bytes that may be anything carry a mask beside them: `Padded`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from models.state import Floats, Ints

Bytes: TypeAlias = npt.NDArray[np.uint8]
Mask: TypeAlias = npt.NDArray[np.bool_]

FEW = 64
"""So many numbers, or records, are sooner written one by one: a call of numpy costs as much as ten of them."""

_GROUP = 10_000  # four digits are looked up at once
_MILLION = 1_000_000
_EXACT = 2**53
_SLOT = re.compile(rb"\x00([a-z_]+)\x00")


def text(strings: Sequence[bytes] | npt.NDArray[np.bytes_]) -> Bytes:
    """Return byte strings without NUL, or none, as one column [texts, 1, width]."""
    column = np.array(strings, np.bytes_)
    return column.view(np.uint8).reshape(len(strings), 1, column.itemsize)


def _table(texts: Sequence[str]) -> Bytes:
    return text([one.encode() for one in texts])[:, 0]


_DIGITS = np.concatenate(
    [
        _table([f"{n:04}" for n in range(_GROUP)]),  # below a group that is not zero
        _table([str(n or "") for n in range(_GROUP)]),  # the first group, and empty ones before it
        _table([str(n) for n in range(_GROUP)]),  # the last group
    ]
)
_THREE_DIGITS = _table([f"{n:03}" for n in range(1000)])


class Padded(NamedTuple):
    """Byte strings of different lengths side by side: the bytes [strings, width], and which of them count."""

    data: Bytes
    keep: Mask

    def lengths(self) -> Ints:
        """Return the length of each string [strings]."""
        # a mask's bytes add up twice as fast as its truths
        return np.asarray(self.keep.view(np.uint8).sum(axis=1, dtype=np.uint32), np.int64)

    def strings(self) -> list[bytes]:
        """Return the strings one by one."""
        flat, ends = self.data[self.keep].tobytes(), np.cumsum(self.lengths()).tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def padded(strings: Sequence[bytes]) -> Padded:
    """Return any byte strings as columns."""
    lengths = np.fromiter(map(len, strings), np.int64, len(strings))
    width = max(int(lengths.max(initial=0)), 1)
    data = np.array(strings, f"S{width}").view(np.uint8).reshape(len(strings), width)
    return Padded(data, np.arange(width) < lengths[:, None])


def texts(column: Bytes) -> Padded:
    """Return texts without NUL as columns with their mask."""
    return Padded(column, column != 0)


def coded(names: Sequence[str | None], number: Ints) -> Bytes:
    """Return the JSON of names by number: [n] to [n, 1, width]."""
    return _json_texts(tuple(names))[number]


@lru_cache(maxsize=16)
def _json_texts(names: tuple[str | None, ...]) -> Bytes:
    return text([msgspec.json.encode(name) for name in names])


def decimal(values: Ints) -> Bytes:
    r"""Return whole numbers in decimal: values of any shape, [..., width].

    >>> [bytes(row).replace(b"\0", b"") for row in decimal(np.array([0, -1, 1234567, 10_000]))]
    [b'0', b'-1', b'1234567', b'10000']
    """
    if values.size <= FEW:
        return _written([b"%d" % value for value in values.ravel().tolist()], values.shape)
    # the least int64 has no absolute value of its type
    rest: Ints = np.abs(values.astype(np.int64, copy=False)).view(np.uint64)
    places: list[Ints] = []
    while True:
        higher = rest // _GROUP
        place = (rest - higher * _GROUP).view(np.int64)
        place += np.where(higher > 0, 0, _GROUP if places else 2 * _GROUP)
        places.append(place)
        rest = higher
        if not rest.any():
            break
    digits = _DIGITS[np.stack(places[::-1], axis=-1)].reshape(*values.shape, -1)
    return _signed(values < 0, digits)


def fixed(values: Floats) -> Bytes:
    r"""Return numbers with six decimals, rounded half to even: values of any shape, [..., width].

    >>> [bytes(row).replace(b"\0", b"") for row in fixed(np.array([0.25, 1.0, -0.0000014]))]
    [b'0.250000', b'1.000000', b'-0.000001']

    Raises:
        ValueError: a number is not finite, or so large (2**53 millionths) that not all of its digits are known.
    """
    scaled = np.rint(values * _MILLION)
    if values.size <= FEW:
        return _written([_fixed(value) for value in scaled.ravel().tolist()], values.shape)
    distance = np.abs(scaled)
    _check_exact(distance.max())
    size = distance.astype(np.int64)
    whole = size // _MILLION
    part = size - whole * _MILLION
    high = part // 1000
    point = np.broadcast_to(np.uint8(ord(".")), (*values.shape, 1))
    pieces = [decimal(whole), point, _THREE_DIGITS[high], _THREE_DIGITS[part - high * 1000]]
    return _signed(scaled < 0, np.concatenate(pieces, axis=-1))


def _fixed(millionths: float) -> bytes:
    _check_exact(abs(millionths))
    sign = b"-" if millionths < 0 else b""
    return b"%b%d.%06d" % (sign, *divmod(int(abs(millionths)), _MILLION))


def _check_exact(millionths: float) -> None:
    if not millionths < _EXACT:  # so is what is no number
        raise ValueError(f"{millionths / _MILLION} is too large for six decimals")


def _written(strings: list[bytes], shape: tuple[int, ...]) -> Bytes:
    column = text(strings)
    return column.reshape(*shape, column.shape[2])


def _signed(negative: Mask, digits: Bytes) -> Bytes:
    if not negative.any():
        return digits
    sign = np.where(negative, np.uint8(ord("-")), np.uint8(0))
    return np.concatenate([sign[..., None], digits], axis=-1)


def slot(name: str) -> Any:  # noqa: ANN401 - stands for a value of any type
    """Return what stands in a message for a value that a template fills in.

    >>> Template(msgspec.json.encode({"n": slot("count")})).fill({"count": decimal(np.array([[7], [12]]))}).shape
    (2, 8)
    """
    return msgspec.Raw(f"\0{name}\0".encode())


class Template:
    """A text with slots, to be filled in for many users at once.

    Args:
        text: the text; a slot is its name (a-z and _) between two NULs, and may stand there often.
    """

    def __init__(self, text: bytes) -> None:
        *self._pieces, self._last = _SLOT.split(text)  # constant, name, constant, name, ..., constant

    def fill(self, columns: Mapping[str, Bytes]) -> Bytes:
        """Return the texts [texts, width].

        Args:
            columns: for each name the texts of its slots, in order [texts, slots, width].
        """
        count = len(next(iter(columns.values())))
        layout: list[Any] = []
        used = dict.fromkeys(columns, 0)
        width = 0
        for constant, name in zip(self._pieces[::2], self._pieces[1::2], strict=True):
            column = columns[name.decode()]
            start = width + len(constant)
            width = start + column.shape[2]
            layout.append((constant, start, width, column[:, used[name.decode()]]))
            used[name.decode()] += 1
        row = b"".join(constant.ljust(len(constant) + end - start, b"\0") for constant, start, end, _ in layout)
        filled = np.empty((count, width + len(self._last)), np.uint8)
        filled[:] = np.frombuffer(row + self._last, np.uint8)
        for _, start, end, column in layout:
            filled[:, start:end] = column
        return filled
