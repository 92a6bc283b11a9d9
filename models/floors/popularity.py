"""Popularity: the same answer for everyone, the shares of the rows learned from.

The floor under all others (Cremonesi, Koren, Turrin: Performance of recommender algorithms on top-N recommendation
tasks, 2010); for actions it is the prior.
"""

import numpy as np

from models.log import Log
from models.state import Floats, Ints


class Popularity:
    """Says how often each item and each action came.

    Args:
        log: of events.
        rows: which of them to learn from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:
        self.items = np.bincount(log.item[rows], minlength=len(log.items))
        actions = np.bincount(log.action[rows], minlength=len(log.actions)) + 0.5  # Jeffreys: nothing is impossible
        self.actions: Floats = actions / actions.sum()

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the items' counts in each row [rows, items]."""
        return np.broadcast_to(self.items.astype(np.float32), (len(rows), len(log.items)))

    def item_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return the items' shares in each row [rows, items]."""
        return self.item_scores(log, rows) / np.float32(max(self.items.sum(), 1))

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return the actions' shares in each row [rows, actions]."""
        return np.broadcast_to(self.actions, (len(rows), len(log.actions)))
