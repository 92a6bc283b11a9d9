"""Slates as JSON, all users' at once."""

import msgspec
import numpy as np

from models.compiled import compiled
from models.predictor import Predictor
from models.slate import Slates
from models.state import Ints
from schemas.outputs import SlateItem
from streams.names import item_names
from streams.templates import Template, string_slot, value_slot
from streams.texts import Bytes, Picked, Texts, texts, write_bytes

REASONS = ("seen_before", "predicted", "popular")
"""Why an item is in a slate: of the user's last events, predicted from them, or none of these is known."""

_REASONS = texts([reason.encode() for reason in REASONS])
_ITEM = Template(
    msgspec.json.encode(
        SlateItem(
            item_id=string_slot("item"),
            rank=value_slot("number", "rank"),
            score=value_slot("fixed", "score"),
            propensity=1.0,
            reason=string_slot("reason"),
        )
    )
)


def slates_json(slates: Slates, model: Predictor) -> Texts:
    """Return the slate of each user as JSON [users]; a place with nothing left to show is left out."""
    user, place = np.nonzero(slates.item >= 0)
    reason = np.where(slates.seen, 0, np.where(slates.known[:, None], 1, 2))
    items = _ITEM.fill(
        {
            "item": Picked(item_names(model), slates.item[user, place]),
            "rank": place[:, None] + 1,
            "score": slates.score[user, place][:, None],
            "reason": Picked(_REASONS, reason[user, place]),
        }
    )
    return lists(items, np.bincount(user, minlength=len(slates.item)))


def places_by_reason(slates: Slates) -> tuple[int, ...]:
    """Return the number of places in slates for each of REASONS; one with nothing left to show has none."""
    shown = slates.item >= 0
    seen, known = (shown & slates.seen), shown[slates.known]  # of what was seen something is known
    counts = [int(np.count_nonzero(each)) for each in (seen, known, shown)]
    return counts[0], counts[1] - counts[0], counts[2] - counts[1]


def lists(items: Texts, lengths: Ints) -> Texts:
    """Return JSON lists of these lengths, of items one after another.

    >>> lists(texts([b"1", b"2", b"3"]), np.array([2, 0, 1])).strings()
    [b'[1,2]', b'[]', b'[3]']
    """
    data = np.empty(len(items.data) + len(items) + 2 * len(lengths), np.uint8)
    ends = np.empty(len(lengths), np.int64)
    _join(items.data, items.ends, lengths, data, ends)
    return Texts(data[: ends[-1] if len(ends) else 0], ends)


@compiled
def _join(data: Bytes, ends: Ints, lengths: Ints, out: Bytes, out_ends: Ints) -> None:
    at = item = start = 0
    for number in range(len(lengths)):
        out[at] = 91  # "["
        at += 1
        for k in range(lengths[number]):
            if k:
                out[at] = 44  # ","
                at += 1
            at = write_bytes(out, at, data, start, ends[item])
            start = ends[item]
            item += 1
        out[at] = 93  # "]"
        at += 1
        out_ends[number] = at
