"""One shopper from event to event: the state, the weights of what may come next, and the draw of it.

The funnel: a view may be followed by clicks on the same item; the item clicked last stays wished for until it is
bought, in this session or a later one; only a wished-for item is bought. Gaps inside a session are log-normal, cut at
`MAX_GAP_MS`; a new session never starts before `LEAVE_AFTER_MS` have passed. So "leave", no event within
`LEAVE_AFTER_MS`, is the end of the session, exactly. Times are rounded up to whole ms: a gap exceeds a whole number of
ms before rounding if and only if it does after.
"""

from bisect import bisect_right
from collections.abc import Callable
from math import ceil, exp, log, log1p
from statistics import NormalDist
from typing import NamedTuple, TypedDict

import numpy as np

from models.simulator.rhythm import activity, when
from models.simulator.shop import DEVICE_SHARES, DEVICES, FAVOURITES, Shop, Shopper
from models.state import ACTIONS

LEAVE_AFTER_MS = 30 * 60_000
MAX_GAP_MS = 20 * 60_000

VIEW, CLICK, PURCHASE, LEAVE = range(4)
NOTHING = -1
"""The wish of a shopper who wishes for nothing."""

GAPS = ((log(20_000), 1.0), (log(7_000), 0.8), (log(75_000), 0.7))
"""Mean and standard deviation of the log of the gap in ms before a view, a click, a purchase."""

WHOLE = tuple(NormalDist(mean, sd).cdf(log(MAX_GAP_MS)) for mean, sd in GAPS)
"""Share of each log-normal that lies below `MAX_GAP_MS`."""

SIMILAR = (0.5, 0.6, 0.15)
"""P(the next view is of a similar item) after a view, a click, a purchase; otherwise it is the shopper's own choice."""

RETURN = 0.3
"""P(a session starts at the wished-for item)."""

# view, click, purchase, leave after each action, for an item and a shopper without any shift
_WEIGHTS = ((0.52, 0.16, 0.012, 0.15), (0.40, 0.08, 0.14, 0.12), (0.40, 0.0, 0.0, 0.50))
_LIKING = (1.0, 0.6, 0.3)
_DEVICE_SHIFT = (-0.5, 0.5, 0.0)
_USUAL_DEVICE = 0.85
_FATIGUE = 0.04
_TIRED = 25
_LOYALTY = 0.4
_STANDARD = NormalDist()


class State(NamedTuple):
    """A shopper right after an event: with `Shop`, all that what comes next depends on."""

    shopper: Shopper
    ts_ms: int
    action: int  # index in `models.state.ACTIONS`
    item: int
    device: int
    wish: int  # item clicked and not bought, or `NOTHING`
    started_ms: int  # of the session
    steps: int  # events of the session so far
    bought: bool  # in this session


class Observed(TypedDict):
    """What a log shows of an event: the fields of the input topics, and the action."""

    event_id: str
    user_id: str
    item_id: str
    action: str
    ts_ms: int
    session_id: str
    device: str
    category: str
    price: float


def event(shop: Shop, state: State) -> Observed:
    """Return the event that led to a state; its id is unique, as a shopper has one event in a ms."""
    user_id = f"u{state.shopper.number:06d}"
    return {
        "event_id": f"{user_id}-{state.ts_ms}",
        "user_id": user_id,
        "item_id": f"i{state.item:05d}",
        "action": ACTIONS[state.action],
        "ts_ms": state.ts_ms,
        "session_id": f"{user_id}-s{state.started_ms}",
        "device": DEVICES[state.device],
        "category": shop.categories[shop.tables.category[state.item]],
        "price": shop.tables.price[state.item],
    }


def weights(shop: Shop, state: State) -> tuple[float, float, float, float]:
    """Return the weights of view, click, purchase and leave as the next outcome; they do not sum to 1."""
    shopper, tables = state.shopper, shop.tables
    view, click, purchase, leave = _WEIGHTS[state.action]
    category = tables.category[state.item]
    liking = _LIKING[shopper.favourites.index(category)] if category in shopper.favourites else 0.0
    click *= exp(tables.appeal[state.item] + liking)
    purchase *= (
        0.0 if state.wish == NOTHING else exp(shopper.lean + _DEVICE_SHIFT[state.device] + tables.pull[state.wish])
    )
    leave *= exp(shopper.haste + _FATIGUE * min(state.steps, _TIRED))
    return view, click, purchase, leave


def churn(state: State) -> float:
    """Return P(gone for good | this event was the last of the session)."""
    return state.shopper.churn * (_LOYALTY if state.bought else 1.0)


def advance(shop: Shop, state: State, uniform: Callable[[], float]) -> State | None:
    """Draw a shopper's next event.

    Args:
        shop: where it happens.
        state: after the event before.
        uniform: draws from [0, 1).

    Returns:
        The state after the next event, in this session or a later one; None when the shopper is gone for good.
    """
    view, click, purchase, leave = weights(shop, state)
    u = uniform() * (view + click + purchase + leave)
    if u < view:
        similar = uniform() < SIMILAR[state.action]
        item = _neighbour(shop, state.item, uniform) if similar else _own_choice(shop, state.shopper, uniform)
        action, wish = VIEW, state.wish
    elif u < view + click:
        action, item, wish = CLICK, state.item, state.item
    elif u < view + click + purchase:
        action, item, wish = PURCHASE, state.wish, NOTHING
    elif uniform() < churn(state):
        return None
    else:
        return start(shop, state.shopper, state.ts_ms + LEAVE_AFTER_MS, uniform, state.wish)
    return State(
        state.shopper,
        state.ts_ms + _gap_ms(action, uniform),
        action,
        item,
        state.device,
        wish,
        state.started_ms,
        state.steps + 1,
        state.bought or action == PURCHASE,
    )


def start(shop: Shop, shopper: Shopper, after_ms: int, uniform: Callable[[], float], wish: int = NOTHING) -> State:
    """Draw the first event, a view, of a shopper's next session after a time."""
    wait = -log1p(-uniform()) / shopper.rate_per_h
    ts_ms = max(ceil(when(float(activity(np.array(after_ms))) + wait)), after_ms + 1)
    device = shopper.device
    if uniform() >= _USUAL_DEVICE:
        device = min(bisect_right(_DEVICES_UNTIL, uniform()), len(DEVICES) - 1)
    returns = wish != NOTHING and uniform() < RETURN
    item = wish if returns else _own_choice(shop, shopper, uniform)
    return State(shopper, ts_ms, VIEW, item, device, wish, ts_ms, 1, False)


_DEVICES_UNTIL = np.cumsum(DEVICE_SHARES).tolist()
_FAVOURITES_UNTIL = np.cumsum(FAVOURITES).tolist()


def _gap_ms(action: int, uniform: Callable[[], float]) -> int:
    mean, sd = GAPS[action]
    return ceil(exp(mean + sd * _STANDARD.inv_cdf((1 - uniform()) * WHOLE[action])))


def _neighbour(shop: Shop, item: int, uniform: Callable[[], float]) -> int:
    tables = shop.tables
    return tables.neighbours[item][bisect_right(tables.neighbours_until[item], uniform())]


def _own_choice(shop: Shop, shopper: Shopper, uniform: Callable[[], float]) -> int:
    tables = shop.tables
    place = bisect_right(_FAVOURITES_UNTIL, uniform())
    if place < len(FAVOURITES):
        category = shopper.favourites[place]
    else:
        category = bisect_right(tables.categories_until, uniform())
    return tables.members[category][bisect_right(tables.members_until[category], uniform())]
