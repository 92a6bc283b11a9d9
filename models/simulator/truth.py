"""What comes next given a shopper's state, exactly: all from `models.simulator.shopper`'s parameters, in closed form.

The state holds what no model can observe (the shopper's taste, propensities and rate). It does not tell whether the
shopper is already gone after this event: that is drawn later, and is a probability here too.
"""

from math import log
from statistics import NormalDist

import numpy as np

from models.simulator.rhythm import activity
from models.simulator.shop import FAVOURITES, Shop, Shopper
from models.simulator.shopper import (
    CLICK,
    GAPS,
    LEAVE,
    LEAVE_AFTER_MS,
    MAX_GAP_MS,
    NOTHING,
    PURCHASE,
    RETURN,
    SIMILAR,
    VIEW,
    WHOLE,
    State,
    churn,
    weights,
)
from models.state import Floats, Ints


def next_action_probabilities(shop: Shop, state: State) -> Floats:
    """Return the probability of each outcome after a state [OUTCOMES]: view, click, purchase, leave.

    The order is that of `models.model_directory.OUTCOMES`; leave means no event within `LEAVE_AFTER_MS`.
    """
    raw = np.array(weights(shop, state))
    return np.asarray(raw / raw.sum())


def survival(shop: Shop, state: State, t_ms: Ints) -> Floats:
    """Return P(no event within t of the last one) for whole times in ms of any shape, churn included."""
    t = np.asarray(t_ms)
    chance = next_action_probabilities(shop, state)
    staying = sum(chance[action] * _gap_exceeds(action, t) for action in (VIEW, CLICK, PURCHASE))
    return np.asarray(staying + chance[LEAVE] * _away(state, t))


def silence(shop: Shop, state: State, silent_ms: Ints, horizon_ms: int) -> Floats:
    """Return P(no event within the horizon | silent for so long since the last event): the truth of churn risk."""
    silent = np.asarray(silent_ms)
    return survival(shop, state, silent + horizon_ms) / survival(shop, state, silent)


def gone(shop: Shop, state: State, silent_ms: Ints) -> Floats:
    """Return P(gone for good | silent for so long since the last event)."""
    left = next_action_probabilities(shop, state)[LEAVE]
    return np.asarray(left * churn(state) / survival(shop, state, silent_ms))


def next_item_probabilities(shop: Shop, state: State) -> Floats:
    """Return P(item of the next event) [items], given that there is one, in this session or a later one."""
    chance = next_action_probabilities(shop, state)
    tables = shop.tables
    own = _own_choice(shop, state.shopper)
    similar = SIMILAR[state.action]
    items = (chance[VIEW] * (1 - similar)) * own
    near = tables.neighbours[state.item]
    items[near] += chance[VIEW] * similar * tables.similarity[state.item, : len(near)]
    items[state.item] += chance[CLICK]
    back = chance[LEAVE] * (1 - churn(state))
    if state.wish == NOTHING:
        items += back * own
    else:
        items[state.wish] += chance[PURCHASE] + back * RETURN
        items += back * (1 - RETURN) * own
    return np.asarray(items / (1 - chance[LEAVE] * churn(state)))


def _gap_exceeds(action: int, t_ms: Ints) -> Floats:
    mean, sd = GAPS[action]
    below = np.vectorize(lambda t: NormalDist(mean, sd).cdf(log(t)) if t > 0 else 0.0, otypes=[float])(t_ms)
    return np.asarray(np.where(t_ms < MAX_GAP_MS, 1 - below / WHOLE[action], 0.0))


def _away(state: State, t_ms: Ints) -> Floats:
    rested = activity(np.array(state.ts_ms + LEAVE_AFTER_MS))
    waited = activity(state.ts_ms + np.maximum(t_ms, LEAVE_AFTER_MS)) - rested
    lost = churn(state)
    return np.asarray(lost + (1 - lost) * np.exp(-state.shopper.rate_per_h * waited))


def _own_choice(shop: Shop, shopper: Shopper) -> Floats:
    tables = shop.tables
    category = (1 - sum(FAVOURITES)) * tables.category_share
    category[list(shopper.favourites)] += FAVOURITES
    return np.asarray(category @ tables.popularity)
