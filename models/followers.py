"""Which items came after which, counted over the training rows, and by how much that lifts them as the next one.

A recurrent state of few numbers says of what kind the next item is; which single item came after which would take as
many numbers as there are pairs. So these are counted, with less for pairs that stand further apart (sequential rules:
Ludewig and Jannach, Evaluation of session-based recommendation algorithms, 2018), and an item's lift is how much more
likely it is than one that never followed, both by counts smoothed with the number of different followers (Witten and
Bell, The zero-frequency problem, 1991). What a lift weighs is learnt with the network. A sequence would find itself in
such counts, and what it is to predict; so it learns from counts of other sequences (stacked generalization: Wolpert
1992): there is one more set of tables for each of a few parts that the sequences are cut into, without that part.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.grid import LIFT_UNIT, MOST_LIFT, on_grid
from models.model_directory import FOLLOWERS, RECENT
from models.recent import Tables
from models.state import RING, Floats, Ints

PARTS = 4
"""How many parts the sequences are cut into."""

_BEFORE = 0.5
"""How much it counts that an item came before another: of most pairs either may come first, and logs are short."""


class Followers(NamedTuple):
    """What followed each item of a vocabulary; row 0 of each set is of the unknown item, which nothing follows.

    Fields:
        tables: one set for each part, counted without it, then that of all.
        rows: of each set.
        part: of each event [events].
    """

    tables: Tables
    rows: int
    part: Ints

    @property
    def all_first(self) -> int:
        """Where the set of all begins."""
        return PARTS * self.rows

    def export(self) -> dict[str, Floats]:
        """Return the tensors for a model directory."""
        item, lift = (table[self.all_first :].astype(np.float32) for table in self.tables[:2])
        return {"follower": item, "follower_lift": lift}


def followers(item: Ints, number: Ints, learnt: npt.NDArray[np.bool_], items: int) -> Followers:
    """Count what followed what at a distance of up to `RECENT` events, and what went before as a part of that.

    An item that follows itself is not counted: `recent` has numbers for what comes again.

    Args:
        item: table row of the item of each event, 0 of an unknown one [events].
        number: of each event in its sequence, from 0 on [events].
        learnt: which events may be learnt from as what followed; the others are only followed [events].
        items: number of known items.

    >>> made = followers(np.array([1, 2, 3, 1, 2]), np.array([0, 1, 2, 0, 1]), np.ones(5, bool), 3)
    >>> made.tables.item[made.all_first :, :3].tolist()
    [[0, 0, 0], [2, 3, 0], [1, 3, 0], [2, 1, 0]]
    """
    order = np.argsort(item, kind="stable")
    starts = np.searchsorted(item[order], np.arange(items + 2))
    parts = _parts(number, learnt)
    which = np.zeros((PARTS + 1, items + 1, FOLLOWERS), np.int32)
    lift = np.zeros((PARTS + 1, items + 1, FOLLOWERS), np.float32)
    for left_out in range(PARTS + 1):
        counted = learnt & (parts != left_out) & (number > 0)
        count, spread = np.zeros((items + 1, FOLLOWERS), np.float32), np.zeros(items + 1, np.int64)
        _count(item, number, counted, order, starts, which[left_out], count, spread)
        often = np.bincount(item[counted], minlength=items + 1)
        share = (often + 0.5) / (often.sum() + 0.5 * (items + 1))
        expected = np.maximum(spread, 1)[:, None] * share[which[left_out]]
        lift[left_out] = on_grid(np.log1p(count / expected), LIFT_UNIT, MOST_LIFT)
    flat = which.reshape(-1, FOLLOWERS), lift.reshape(-1, FOLLOWERS)
    return Followers(Tables(*flat, float(lift.max(initial=0))), items + 1, parts)


def recent(column: Ints, number: Ints, rows: Ints) -> Ints:
    """Return what a column says of the events up to each row, the row's own first, 0 before its sequence [rows, RING].

    >>> recent(np.array([5, 6, 7, 8]), np.array([0, 1, 0, 1]), np.array([1, 3]))[:, :3].tolist()
    [[6, 5, 0], [8, 7, 0]]
    """
    back = np.arange(RING)
    return np.where(back <= number[rows, None], column[np.maximum(rows[:, None] - back, 0)], 0)


def _parts(number: Ints, learnt: npt.NDArray[np.bool_]) -> Ints:
    """Return the part of each event; sequences that nothing is learnt from change nothing for the others [events]."""
    sequence = np.cumsum(number == 0) - 1
    told = np.bincount(sequence[learnt], minlength=int((number == 0).sum())) > 0
    drawn = np.random.default_rng(0).permutation(int(told.sum())) % PARTS
    part = np.zeros(len(told), np.int64)
    part[told] = drawn
    of_events: Ints = part[sequence]
    return of_events


@compiled
def _count(
    item: Ints,
    number: Ints,
    counted: npt.NDArray[np.bool_],
    order: Ints,
    starts: Ints,
    which: npt.NDArray[np.int32],
    count: npt.NDArray[np.float32],
    spread: Ints,
) -> None:
    """Count the followers of one item after the other: no more is held at a time than the items have."""
    seen, touched = np.zeros(len(which), np.float64), np.empty(len(which), np.int64)
    for source in range(1, len(which)):
        found = 0
        for at in range(starts[source], starts[source + 1]):
            here = order[at]
            for distance in range(1, RECENT + 1):
                later = here + distance
                if later >= len(item) or number[later] < distance:
                    break
                if counted[later] and item[later] > 0 and item[later] != source:
                    if seen[item[later]] == 0:
                        touched[found] = item[later]
                        found += 1
                    seen[item[later]] += 1 / distance
            for distance in range(1, min(RECENT, number[here]) + 1 if counted[here] else 0):
                before = item[here - distance]
                if before > 0 and before != source:
                    if seen[before] == 0:
                        touched[found] = before
                        found += 1
                    seen[before] += _BEFORE / distance
        spread[source] = found
        mine = np.sort(touched[:found])
        best = np.argsort(-seen[mine], kind="mergesort")[:FOLLOWERS]
        for k in range(len(best)):
            which[source, k], count[source, k] = mine[best[k]], seen[mine[best[k]]]
        for k in range(found):
            seen[mine[k]] = 0
