"""Slates as JSON, all users' at once."""

from functools import lru_cache

import numpy as np

from models.predictor import Predictor
from models.slate import Slates
from schemas.outputs import SlateItem, encode_output
from streams.columns import Bytes, Template, coded, decimal, fixed, slot
from streams.wide_names import Names, json_names

PLACE_BYTES = 110
"""Length of a place's JSON, about, without the name of the item."""

_ITEM = Template(
    encode_output(
        SlateItem(  # type: ignore[arg-type]
            item_id=slot("item"), rank=slot("rank"), score=slot("score"), propensity=1.0, reason=slot("reason")
        )
    )
    + b","
)


def slate_column(slates: Slates, model: Predictor) -> Bytes:
    """Return the slates as JSON [users, 1, width]: items one after another, places with nothing left to show empty."""
    users, places = slates.item.shape
    item = slates.item.reshape(-1)
    reason = np.where(slates.seen, 0, np.where(slates.known[:, None], 1, 2)).reshape(-1)
    rank = np.broadcast_to(np.arange(1, places + 1), slates.item.shape).reshape(-1, 1)
    columns = {
        "item": item_names(model).column[item],
        "rank": decimal(rank),
        "score": fixed(np.where(np.isfinite(slates.score), slates.score, 0).reshape(-1, 1)),
        "reason": coded(("seen_before", "predicted", "popular"), reason),
    }
    items = _ITEM.fill(columns)
    items[item < 0] = 0
    joined = np.zeros((users, 1, items.shape[1] * places + 2), np.uint8)
    joined[:, 0, 0] = ord("[")
    joined[:, 0, 1:-1] = items.reshape(users, -1)
    last = (slates.item >= 0).sum(axis=1) * items.shape[1]  # where the comma after the last item stands
    joined[np.flatnonzero(last), 0, last[last > 0]] = 0
    joined[:, 0, -1] = ord("]")
    return joined


@lru_cache(maxsize=2)
def item_names(model: Predictor) -> Names:
    """Return the names of the model's items."""
    return json_names(model.items, "item")
