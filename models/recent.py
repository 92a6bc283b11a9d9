"""What the last items of a history add to the scores of the next one, beside the recurrent state.

For each different item of the ring: the lifts of what followed it (`models.followers`), times what a lift weighs at its
distance; and to its own score, what coming again adds by how far back and with which action it was met last and how
often it stands in the ring. Of the older items, which have left the ring, only coming again, by their rank. The state
says how much of all (repeat and explore: Ren et al., RepeatNet, AAAI 2019).
Tables are sparse, so this takes time by the number of followers, not of items.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.grid import STATE_UNIT, WEIGHT_UNIT, on_grid
from models.model_directory import FOLLOWERS, RECENT, known_actions
from models.recurrence import States
from models.state import OLDER, RING, Floats, Ints

SLOTS = RING + OLDER
"""Number of items that add to the scores: those of the ring, then the older ones."""


class Held(NamedTuple):
    """The different items of the last events, each where it was met last, and behind them the older ones.

    Fields:
        item: table row, the newest first, 0: none, unknown, or met again nearer [rows, SLOTS].
        code: distance and action, of `known_actions` each; of older ones the rank, behind these [rows, SLOTS].
        more: how often the item stands in the ring besides [rows, SLOTS].
    """

    item: Ints
    code: Ints
    more: Ints


def held(item: Ints, action: Ints, older: Ints, actions: int) -> Held:
    """Return the different items of last events, and the older ones.

    Args:
        item: table rows of the last events, the newest first, 0: none or unknown [rows, RING].
        action: their codes [rows, RING].
        older: table rows of the older items, each once, the newest first, 0: none or unknown [rows, OLDER].
        actions: number of actions of the model.

    >>> older = np.array([[5, 9] + [0] * 9])
    >>> made = held(np.array([[3, 5, 3] + [0] * 13]), np.array([[1, 0, 2] + [0] * 13]), older, 3)
    >>> made.item[0, :3].tolist(), made.code[0, :2].tolist(), made.more[0, :2].tolist()
    ([3, 5, 0], [1, 3], [1, 0])
    >>> made.item[0, RING : RING + 2].tolist(), made.code[0, RING : RING + 2].tolist()
    ([0, 9], [48, 49])
    """
    made = Held(*np.zeros((3, len(item), SLOTS), np.int64))
    item, action, older = (np.ascontiguousarray(column, np.int64) for column in (item, action, older))
    _different(item, action, older, known_actions(actions), *made)
    return made


class Tables(NamedTuple):
    """What followed each item, of one or more sets of rows learnt from, one behind the other.

    Fields:
        item: as `followers.Followers.item` [sets * (items + 1), FOLLOWERS].
        lift: of each [sets * (items + 1), FOLLOWERS].
        most_lift: the largest of all.
    """

    item: npt.NDArray[np.int32]
    lift: npt.NDArray[np.float32]
    most_lift: float

    def add(
        self, scores: npt.NDArray[np.float32] | Floats, column: Ints, item: Ints, first: Ints, weight: Floats
    ) -> None:
        """Add to scores in place.

        Args:
            scores: [rows, columns].
            column: of the score of each table row, -1: it is not asked for [items + 1].
            item: as `Held.item` [rows, SLOTS].
            first: where the set of tables begins that is meant [rows].
            weight: of the lifts, and of coming again, at each distance, in float64 [rows, 2, SLOTS].
        """
        _add(scores, column, item, first, self.item, self.lift, weight)

    def reach(self, weight: Floats) -> tuple[Floats, Floats]:
        """Return the most that can be added to a score, and the most that can be taken off [rows]."""
        return tuple(
            np.maximum(side * weight[:, 0], 0).sum(1) * self.most_lift + np.maximum(side * weight[:, 1], 0).max(1)
            for side in (1, -1)
        )

    def effects(self, target: Ints, item: Ints, first: Ints) -> npt.NDArray[np.float32]:
        """Return by what each weight is multiplied in the score of one table row a row [rows, 2, SLOTS]."""
        found = np.zeros((len(target), 2, SLOTS), np.float32)
        _look_up(self.item, self.lift, item, first, target, found)
        return found

    def pull(self, odds: Floats, per_row: Floats, column: Ints, item: Ints, first: Ints, pulled: Floats) -> None:
        """Write the sum of each weight's effect over scores, times their odds and the row's factor [rows, 2, SLOTS]."""
        _pull(odds, per_row, column, item, first, self.item, self.lift, pulled)

    def sums(self, item: Ints, first: Ints) -> Floats:
        """Return the sum of each weight's effect over all items of each row [rows, 2, SLOTS]."""
        lifts = self.lift.sum(1, dtype=np.float64)[item + first[:, None]]
        lifts[:, RECENT:] = 0
        return np.stack([lifts, (item > 0).astype(np.float64)], 1)


GATES = np.repeat([1, 2, 3], [1, RING - 1, OLDER])
"""Which column of `recent_gate` says how much coming again adds, of each slot."""


class Weights(NamedTuple):
    """What the last items weigh; see `model_directory.shapes`."""

    follow: Floats
    again: Floats
    gate: Floats

    def of(self, made: Held, states: States | Floats) -> Floats:
        """Return the weights of lifts and of coming again, exact and on the grid [rows, 2, SLOTS].

        Args:
            made: the last items [rows].
            states: recurrent states in units of `grid.STATE_UNIT` [rows, HIDDEN].
        """
        gate = states.astype(np.float64) @ self.gate * STATE_UNIT
        weight = np.zeros((len(gate), 2, SLOTS))
        weight[:, 0, :RECENT] = self.follow[made.code[:, :RECENT]] * (1 + gate[:, :1])
        weight[:, 1] = self.again[made.code] + self.again[len(self.again) - RING + made.more] + gate[:, GATES]
        return on_grid(weight, WEIGHT_UNIT)


def tables(weights: Mapping[str, Floats]) -> tuple[Tables, Weights]:
    """Return the tables of the tensors of a model and what they weigh, as `grid.weights_on_grid` gives them."""
    lift = weights["follower_lift"].astype(np.float32)
    made = Tables(
        np.clip(weights["follower"], 0, len(lift) - 1).astype(np.int32), lift, float(np.abs(lift).max(initial=0))
    )
    names = ("follow_bias", "again_bias", "recent_gate")
    return made, Weights(*(np.ascontiguousarray(weights[name], np.float64) for name in names))


@compiled
def _different(item: Ints, action: Ints, older: Ints, known: int, found: Ints, code: Ints, more: Ints) -> None:
    for row in range(len(item)):
        for k in range(RING):
            code[row, k] = k * known + action[row, k] % known
            nearer = 0
            while item[row, nearer] != item[row, k]:
                nearer += 1
            if item[row, k] == 0:
                continue
            if nearer == k:
                found[row, k] = item[row, k]
            else:
                more[row, nearer] += 1
        for k in range(OLDER):
            code[row, RING + k] = RING * known + k
            found[row, RING + k] = older[row, k]
            for nearer in range(RING):
                if item[row, nearer] == older[row, k]:
                    found[row, RING + k] = 0


@compiled
def _add(
    scores: Floats,
    column: Ints,
    item: Ints,
    first: Ints,
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    weight: Floats,
) -> None:
    if not len(scores) == len(item) == len(first) == len(weight):
        raise ValueError("not as many scores as histories")
    for row in range(len(scores)):
        add_row(scores[row], column, item[row], first[row], follower, lift, weight[row])


@compiled
def add_row(
    scores: Floats,
    column: Ints,
    item: Ints,
    first: int,
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    weight: Floats,
) -> None:
    """Add to the scores of one history: `Tables.add` for other loops."""
    for k in range(SLOTS):
        source = item[k]
        if source == 0:
            continue
        if column[source] >= 0:
            scores[column[source]] += weight[1, k]
        if k < RECENT:
            for place in range(FOLLOWERS):
                found = follower[first + source, place]
                if found == 0:
                    break
                if column[found] >= 0:
                    scores[column[found]] += weight[0, k] * lift[first + source, place]


@compiled
def clear_row(scores: Floats, item: Ints, follower: npt.NDArray[np.int32]) -> None:
    """Set to 0 what `add_row` changed, where the column of a table row is its number, of the first set."""
    for k in range(SLOTS):
        scores[item[k]] = 0
        if k < RECENT:
            for place in range(FOLLOWERS):
                scores[follower[item[k], place]] = 0


@compiled
def _look_up(
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    item: Ints,
    first: Ints,
    target: Ints,
    found: npt.NDArray[np.float32],
) -> None:
    for row in range(len(item)):
        for k in range(SLOTS):
            source = item[row, k]
            if source > 0 and source == target[row]:
                found[row, 1, k] = 1
            if source > 0 and k < RECENT:
                for place in range(FOLLOWERS):
                    if follower[first[row] + source, place] == target[row]:
                        found[row, 0, k] = lift[first[row] + source, place]
                        break


@compiled
def _pull(
    odds: Floats,
    per_row: Floats,
    column: Ints,
    item: Ints,
    first: Ints,
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    pulled: Floats,
) -> None:
    if not len(odds) == len(item) == len(per_row) == len(first) == len(pulled):
        raise ValueError("not as many odds as histories")
    for row in range(len(odds)):
        for k in range(SLOTS):
            source = item[row, k]
            if source == 0:
                continue
            if column[source] >= 0:
                pulled[row, 1, k] = odds[row, column[source]] * per_row[row]
            if k < RECENT:
                total = 0.0
                for place in range(FOLLOWERS):
                    found = follower[first[row] + source, place]
                    if found == 0:
                        break
                    if column[found] >= 0:
                        total += odds[row, column[found]] * lift[first[row] + source, place]
                pulled[row, 0, k] = total * per_row[row]
