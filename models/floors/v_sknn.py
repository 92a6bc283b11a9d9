"""V-SKNN: what came in the past sequences most like this one, its last items counting most.

Ludewig, Jannach: Evaluation of session-based recommendation algorithms, 2018, section 3.2.2 ("V-SKNN"): of the 1,000
most recent sequences that share an item the 100 most similar; an item of the current one weighs its place / length; a
neighbour's items score its similarity / (how many items back the last shared one is). Of equally similar ones the more
recent are taken.
"""

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.evaluation.rows import sequence_of, starts
from models.log import Log
from models.state import Floats, Ints

NEIGHBOURS = 100
SAMPLE = 1000


class VSknn:
    """Scores items by the neighbours that have them.

    Recent is the sequence whose last row learned from is the latest; without times, the one that stands later.

    Args:
        log: of events.
        rows: which of them to learn from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:
        sequence = sequence_of(log)[rows]
        names, last = np.unique(sequence[::-1], return_index=True)
        age = np.lexsort((names, log.ts_ms[rows[::-1][last]]))
        recent = np.zeros(len(log.first), np.int64)
        recent[names[age]] = np.arange(len(names))
        pair = np.unique(recent[sequence] * len(log.items) + log.item[rows])
        session, item = pair // len(log.items), pair % len(log.items)
        self._items, self._items_at = item, np.searchsorted(session, np.arange(len(names) + 1))
        by_item = np.lexsort((session, item))
        self._sessions = session[by_item]
        self._sessions_at = np.searchsorted(item[by_item], np.arange(len(log.items) + 1))

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the summed similarity of the neighbours that have each item [rows, items]."""
        scores = np.zeros((len(rows), len(log.items)), np.float32)
        _score(
            log.item.astype(np.int64),
            starts(log)[rows],
            rows.astype(np.int64),
            self._items,
            self._items_at,
            self._sessions,
            self._sessions_at,
            scores,
        )
        return scores


@compiled
def _score(
    item: Ints,
    first: Ints,
    rows: Ints,
    items: Ints,
    items_at: Ints,
    sessions: Ints,
    sessions_at: Ints,
    scores: npt.NDArray[np.float32],
) -> None:
    similar = np.zeros(len(items_at) - 1, np.int64)  # times the length: whole numbers, so that ties are exact
    shared = np.zeros(len(items_at) - 1, np.int64)  # how many items back the last shared one is
    met = np.zeros(len(items_at) - 1, np.int64)
    asked = np.zeros(len(sessions_at) - 1, np.bool_)
    for k in range(len(rows)):
        length, count = rows[k] - first[k], 0
        for back in range(1, length + 1):
            code = item[rows[k] - back]
            if asked[code]:
                continue  # counts where it came last
            asked[code] = True
            for place in range(sessions_at[code], sessions_at[code + 1]):
                session = sessions[place]
                if shared[session] == 0:
                    shared[session] = back
                    met[count] = session
                    count += 1
                similar[session] += length - back + 1
        near = np.sort(met[:count])[::-1][:SAMPLE]
        near = near[np.argsort(-similar[near], kind="mergesort")][:NEIGHBOURS]
        for session in near:
            weight = np.float32(similar[session] / (length * shared[session]))
            for place in range(items_at[session], items_at[session + 1]):
                scores[k, items[place]] += weight
        for place in range(count):
            similar[met[place]] = 0
            shared[met[place]] = 0
        for place in range(first[k], rows[k]):
            asked[item[place]] = False
