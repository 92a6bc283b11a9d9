"""Names of users and items as JSON, side by side: one that is far wider than the others widens no text but its own.

In the column a mark stands for such a name. Texts with marks are few, and get their names one by one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from streams.columns import Bytes, Mask, text, texts

_WIDE = 66  # bytes: a SHA-256 in hex, in quotes, is not wide
_MARK = 1  # a character that JSON writes as `\u0001`
_MARKED = re.compile(rb"\x01[a-z]+\d+\x01")
_encoder = msgspec.json.Encoder()


class Names(NamedTuple):
    """Names as JSON [names, 1, width], a mark in the place of each wide one; and the wide ones by mark."""

    column: Bytes
    wide: dict[bytes, bytes]


def json_names(names: Sequence[str], kind: str) -> Names:
    r"""Return names as JSON; wide is one of more than twice the mean length.

    Args:
        names: ids.
        kind: what they name (a-z): tells marks of several columns apart.

    >>> names = json_names(["ann", "x" * 256, "bob"], "user")
    >>> names.column.shape, names.wide.keys()
    ((3, 1, 7), dict_keys([b'\x01user1\x01']))
    """
    json = _encoder.encode_lines(names).split(b"\n")[:-1]
    wide: dict[bytes, bytes] = {}
    if max(map(len, json), default=0) > _WIDE:
        limit = max(_WIDE, 2 * sum(map(len, json)) // len(json))
        for number, name in enumerate(json):
            if len(name) > limit:
                json[number] = b"\1%b%d\1" % (kind.encode(), number)
                wide[json[number]] = name
    return Names(text(json), wide)


def marked(column: Bytes) -> Mask:
    """Tell which texts hold a mark [texts]: the column is [texts, width]."""
    return np.asarray((column == _MARK).any(axis=1))


def named(column: Bytes, wide: Mapping[bytes, bytes]) -> list[bytes]:
    """Return texts with names in the places of their marks: the column is [texts, width]."""
    return [_MARKED.sub(lambda mark: wide[mark[0]], string) for string in texts(column).strings()]
