"""Item-kNN: the items that share the most sequences with the last one.

Hidasi, Karatzoglou, Baltrunas, Tikk: Session-based recommendations with recurrent neural networks, 2016, section 4
("Item-KNN"); regularised as in their code: sequences with both / sqrt((n_i + 20) (n_j + 20)), n_i the number of
sequences with i; the best 100 of each item are kept.
"""

import numpy as np
from scipy.sparse import csr_array

from models.evaluation.rows import sequence_of
from models.log import Log
from models.state import Floats, Ints

SHRINKAGE = 20
NEIGHBOURS = 100
_AT_ONCE = 1024


class ItemKnn:
    """Scores items by their similarity to the last one.

    Args:
        log: of events.
        rows: which of them to learn from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:
        size = len(log.items)
        pair = np.unique(sequence_of(log)[rows] * size + log.item[rows])
        cells = (np.ones(len(pair), np.float32), (pair // size, pair % size))
        there = csr_array(cells, shape=(len(log.first), size))  # which items each sequence has
        weight = 1 / np.sqrt(np.bincount(pair % size, minlength=size) + SHRINKAGE)
        items_first = there.T.tocsr()
        kept = [_best(items_first[k : k + _AT_ONCE] @ there, weight, k) for k in range(0, size, _AT_ONCE)]
        source, target, similarity = (np.concatenate(column) for column in zip(*kept, strict=True))
        self._similar = csr_array((similarity, (source, target)), shape=(size, size))

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return each item's similarity to the last one, 0 beyond its neighbours [rows, items]."""
        scores: Floats = self._similar[log.item[rows - 1]].toarray()
        return scores


def _best(together: csr_array, weight: Floats, first: int) -> tuple[Ints, Ints, Floats]:
    """Return the neighbours of some items, of co-occurrences [items from `first` on, items]: both items, similarity."""
    entries = together.tocoo()
    source, target = entries.row.astype(np.int64) + first, entries.col.astype(np.int64)
    others = source != target
    source, target = source[others], target[others]
    similarity = entries.data[others] * weight[source] * weight[target]
    order = np.lexsort((-similarity, source))
    source, target, similarity = source[order], target[order], similarity[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    near = place < NEIGHBOURS
    return source[near], target[near], similarity[near].astype(np.float32)
