"""How much each past event of a user moved what is predicted: the prediction beside that of the history without it.

Counterfactual and exact for the model: nothing is approximated, each history is gone through again
(`models.left_out`). It says what the model made of an event, not what the event made of the person; and single
influences do not add up, as events may stand in for each other.
"""

from typing import NamedTuple

import numpy as np

from models.churn import as_of_ms
from models.history import NO_EVENTS, apply
from models.left_out import Mask, ring_steps, without
from models.likeliest import put_right
from models.model_directory import OUTCOMES, TARGETS
from models.predictor import Predictor
from models.slate import item_query
from models.state import RING, Floats, Ints, Rows
from models.survival import Curves

CHURN = "churn"
"""The target P(no event within the horizon of the churn bands)."""

_SCORES = 4_000_000  # held at a time
_LEAST = 1e-12  # probabilities are taken this far from 0 and 1 for their log-odds


class Predicted(NamedTuple):
    """What the model says of users [n].

    Fields:
        outcomes: P(the next action is each of OUTCOMES) [n, outcomes].
        silent: P(no event within the horizon of the churn bands after the moment) [n].
        items: P(the next event is of each item asked for, given that one comes) [n, items].
    """

    outcomes: Floats
    silent: Floats
    items: Floats

    def of(self, target: str) -> Floats:
        """Return the probability of one of OUTCOMES, of `CHURN`, or of the first item [n]."""
        if target == CHURN:
            return self.silent
        return self.outcomes[:, OUTCOMES.index(target)] if target in OUTCOMES else self.items[:, 0]


class Influence(NamedTuple):
    """How a prediction of users was moved by the events of their rings.

    Fields:
        held: which places of the ring hold an event, the oldest first [users, RING].
        whole: what is predicted from all events [users].
        without: and from all but one [users]; of places that hold none, what `whole` is [users, RING].
    """

    held: Mask
    whole: Predicted
    without: Predicted

    def change(self, target: str) -> Floats:
        """Return by how much each event raised the probability [users, RING]."""
        return self.whole.of(target)[:, None] - self.without.of(target).reshape(self.held.shape)

    def log_odds(self, target: str) -> Floats:
        """Return by how much each event raised the log-odds of the probability [users, RING]."""
        whole, rest = log_odds(self.whole.of(target)), log_odds(self.without.of(target))
        return whole[:, None] - rest.reshape(self.held.shape)


def influence(rows: Rows, model: Predictor, items: Ints | None = None) -> Influence:
    """Return how each event of the rings moved each prediction: all histories without one event in one walk.

    Every history is asked at the same moment: that of its user's newest event, or up to which the silence is known
    (`churn.as_of_ms`). Without the newest event a user has been silent for longer then.

    Args:
        rows: `ROW` [users]; of another model, their states are made from the ring first.
        model: predicts.
        items: hashes of items to predict.
    """
    mine = current(rows, model)
    moment_ms = as_of_ms(mine)
    _, held = ring_steps(mine)
    each = np.tile(np.eye(RING, dtype=np.bool_), (len(mine), 1))
    fewer = without(mine.repeat(RING), each, model)
    return Influence(
        held, predicted(mine, model, moment_ms, items), predicted(fewer, model, moment_ms.repeat(RING), items)
    )


def current(rows: Rows, model: Predictor) -> Rows:
    """Return copies of rows with the states that this model makes of their rings."""
    mine = rows.copy()
    apply(mine, NO_EVENTS, model)
    return mine


def predicted(rows: Rows, model: Predictor, moment_ms: Ints, items: Ints | None = None) -> Predicted:
    """Return what the model says of users, as it does when it serves.

    Args:
        rows: `ROW` [n], of this model.
        model: predicts.
        moment_ms: what churn is about: the silence from it on, given that there was one up to it [n].
        items: hashes of items, 0 for P of one that the model does not know.
    """
    outcomes, hazards = model.predict(rows)
    silent_ms = np.where(rows["accepted"] > 0, moment_ms - rows["newest_ms"], 0)
    silent = Curves(hazards).silence(TARGETS.index("any"), silent_ms, model.card.churn.band_horizon_ms)
    return Predicted(outcomes, silent, _of_items(rows, model, np.zeros(0, np.int64) if items is None else items))


def _of_items(rows: Rows, model: Predictor, items: Ints) -> Floats:
    """Return P(item) by the scores of the slate: of a user with no item that the model knows, by popularity alone.

    How sure to be of the likeliest is the card's curve, as it is where the model is evaluated.
    """
    chosen = model.item_rows(items)
    shares = np.zeros((len(rows), len(items)))
    if not len(items) or not len(model.items):
        return shares
    ring = model.ring(rows)
    held, column = model.held(rows, ring), np.arange(-1, len(model.items))
    known = np.asarray((held.item > 0).any(1))
    query = np.where(known[:, None], item_query(rows["now"], model), 0)
    vectors, bias = model.embedding[1:].T.astype(np.float64), model.item_bias[1:].astype(np.float64)
    weight, own = model.recent.of(held, rows["now"]), np.zeros(len(rows), np.int64)
    block = max(1, _SCORES // len(model.items))
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        scores = query[part] @ vectors + bias  # exact, so that what moved nothing has no influence
        model.followers.add(scores, column, held.item[part], own[part], weight[part])
        odds = np.exp(scores - scores.max(1, keepdims=True))
        odds /= odds.sum(1, keepdims=True)
        shares[part] = put_right(odds, model.card.likeliest_item)[:, chosen - 1]
    shares[:, chosen == 0] = 0
    return shares


def log_odds(probability: Floats) -> Floats:
    """Return ln(p / (1 - p)), p kept 1e-12 away from 0 and 1.

    >>> log_odds(np.array([0.5, 0.75])).round(3).tolist()
    [0.0, 1.099]
    """
    p = np.clip(probability, _LEAST, 1 - _LEAST)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds
