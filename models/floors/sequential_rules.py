"""Sequential rules: what came up to ten steps after the last item, nearer ones counting more.

Ludewig, Jannach: Evaluation of session-based recommendation algorithms, 2018, section 3.1.2 ("SR").
"""

import numpy as np
from scipy.sparse import csr_array

from models.evaluation.rows import starts
from models.log import Log
from models.state import Floats, Ints

STEPS = 10


class SequentialRules:
    """Sums 1 / steps over all occurrences of an item after the last one, in the rows learned from.

    Args:
        log: of events.
        rows: which of them to learn from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:
        first, size = starts(log), len(log.items)
        learned = np.zeros(len(log.item), bool)
        learned[rows] = True
        rules = csr_array((size, size), dtype=np.float32)
        for step in range(1, STEPS + 1):
            after = rows[rows - step >= first[rows]]
            after = after[learned[after - step]]
            weights = np.full(len(after), 1 / step, np.float32)
            rules += csr_array((weights, (log.item[after - step], log.item[after])), shape=(size, size))
        self._rules = rules

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the weight of the rule from the last item to each [rows, items]."""
        scores: Floats = self._rules[log.item[rows - 1]].toarray()
        return scores
