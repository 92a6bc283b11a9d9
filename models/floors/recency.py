"""The user's own recency: what came last comes again.

People repeat themselves, the more recent the likelier (Anderson, Kumar, Tomkins, Vassilvitskii: The dynamics of repeat
consumption, 2014).
"""

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.evaluation.rows import starts
from models.floors.popularity import Popularity
from models.log import Log
from models.state import Floats, Ints

KEPT = 0.8
"""How much an action counts for each one after it."""


class Recency:
    """Ranks the items of the row's own history, the last one first, all others below by popularity.

    Actions have the shares that they had in the history, each counting 0.8 of the one after it, and the prior counting
    as one action more.

    Args:
        log: of events.
        rows: which of them to learn popularity from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:
        self._popularity = Popularity(log, rows)

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the place of each item's last occurrence, or below 1 how popular it is [rows, items]."""
        share = self._popularity.items / max(self._popularity.items.max(initial=0) + 1, 1)
        scores = np.tile(share.astype(np.float32), (len(rows), 1))
        _place_last(log.item.astype(np.int64), starts(log)[rows], rows.astype(np.int64), scores)
        return scores

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return the decayed shares of the history's actions [rows, actions]."""
        counts = np.tile(self._popularity.actions, (len(rows), 1))
        _add_decayed(log.action.astype(np.int64), starts(log)[rows], rows.astype(np.int64), KEPT, counts)
        shares: Floats = counts / counts.sum(1, keepdims=True)
        return shares


@compiled
def _place_last(item: Ints, first: Ints, rows: Ints, scores: npt.NDArray[np.float32]) -> None:
    for k in range(len(rows)):
        for place in range(first[k], rows[k]):
            scores[k, item[place]] = place - first[k] + 1


@compiled
def _add_decayed(action: Ints, first: Ints, rows: Ints, kept: float, counts: Floats) -> None:
    for k in range(len(rows)):
        weight = 1.0
        for place in range(rows[k] - 1, first[k] - 1, -1):
            counts[k, action[place]] += weight
            weight *= kept
