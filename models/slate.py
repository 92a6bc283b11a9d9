"""The slate: the N items with the highest score as the next one, exactly, without what was bought lately."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from models.grid import EMBEDDING_UNIT
from models.predictor import Predictor
from models.recurrence import States
from models.state import ACTIONS, HIDDEN, RING, Floats, Ints, Rows, ring_action

_BLOCK = 1_500_000  # scores, or numbers in the vectors of candidates, held at a time: about what a cache holds
_LEAST, _MOST = 64, 8_000_000  # users in a block, or as many as this makes: fewer slow the matrix product down
_SPARE = 4  # candidates beyond the places, so that float32 seldom leaves a slate in doubt
_FOLD = 16
_MAX_EMBEDDING, _MAX_BIAS = 8, 64
_Number = TypeVar("_Number", np.float32, np.int64)


@dataclass(frozen=True)
class Slates:
    """Slates of users, best item first.

    `places` is the length asked for, or the number of items if that is smaller.

    Args:
        item: number of the item in `Predictor.items`, -1 where nothing is left to show [users, places].
        score: the model's score: a logit, comparable within one slate [users, places].
        seen: whether the item is in the user's ring [users, places].
        known: whether the model knows any item of the user's ring; if not the slate is of the most popular [users].
    """

    item: Ints
    score: Floats
    seen: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


def top_items(rows: Rows, model: Predictor, places: int) -> Slates:
    """Return the slate of each user.

    Candidates are chosen by float32 scores with room to spare, and ranked by exact ones, ties by item number, so that
    the slate does not depend on which users stand in a batch. Where float32 may have left out an item of the slate,
    every item is ranked.

    Args:
        rows: `ROW` [users].
        model: scores the items.
        places: length of a slate.
    """
    items = len(model.items)
    ring = np.where(np.arange(RING) < rows["accepted"][:, None], model.item_rows(rows["ring_item"]), 0)  # [users, RING]
    bought = np.where(ring_action(rows["ring_high"]) == ACTIONS.index("purchase"), ring, 0)
    known = np.asarray((ring > 0).any(axis=1))
    query = np.where(known[:, None], item_query(rows["now"], model), 0)  # what is left is the bias: popularity
    wanted = min(places + _SPARE, items)
    parts = np.array_split(np.arange(len(query)), _blocks(len(query), items, wanted))
    scores = _Scores(max(map(len, parts)), model) if wanted < items else None
    best = [_best(query[part], bought[part], model, scores, wanted, places) for part in parts]
    item, score, others = (np.concatenate(column) for column in zip(*best, strict=True))
    if wanted < items:
        every = np.arange(1, items + 1)[None]
        for user in np.flatnonzero(score[:, -1] <= others).tolist():
            one = slice(user, user + 1)
            item[one], score[one] = _ranked(query[one], every, bought[one], model, places)
    return Slates(
        item=np.where(np.isfinite(score), item - 1, -1),
        score=score,
        seen=(item[:, :, None] == ring[:, None, :]).any(axis=2),
        known=known,
    )


def item_query(states: States, model: Predictor) -> npt.NDArray[np.float64]:
    """Return what the items' vectors are multiplied with [users, HIDDEN], on the grid that keeps scores exact."""
    product = states.astype(np.float64) @ model.query
    return np.clip(np.rint(product / (EMBEDDING_UNIT * 2**14)) * EMBEDDING_UNIT, -512, 512)


def _blocks(users: int, items: int, wanted: int) -> int:
    each = max(items, wanted * HIDDEN, 1)
    return max(1, -(-users // max(1, _BLOCK // each, min(_LEAST, _MOST // each))))


def _best(
    query: npt.NDArray[np.float64], bought: Ints, model: Predictor, scores: "_Scores | None", wanted: int, places: int
) -> tuple[Ints, Floats, Floats]:
    """Return the best of the candidates of each user, their scores, and what no other item's score exceeds."""
    candidates: Ints
    if scores is None:
        candidates, others = np.arange(1, wanted + 1)[None].repeat(len(query), 0), np.full(len(query), -np.inf)
    else:
        candidates, others = scores.candidates(query, bought, wanted)
    return *_ranked(query, candidates, bought, model, places), others


def _ranked(
    query: npt.NDArray[np.float64], candidates: Ints, bought: Ints, model: Predictor, places: int
) -> tuple[Ints, Floats]:
    score = np.einsum("uh,uch->uc", query, model.embedding[candidates].astype(np.float64))
    score += model.item_bias[candidates]
    score[(candidates[:, :, None] == bought[:, None, :]).any(axis=2)] = -np.inf
    best = np.lexsort((candidates, -score), axis=1)[:, :places]
    return np.take_along_axis(candidates, best, axis=1), np.take_along_axis(score, best, axis=1)


class _Scores:
    """The float32 scores of all items for a block of users, in memory that the blocks share.

    Args:
        users: the most in a block.
        model: scores the items.
    """

    def __init__(self, users: int, model: Predictor) -> None:
        self._model, self._items = model, len(model.items)
        # [users, items and padding]; new memory for each block would cost more than the padding
        self._scores = np.full((users, -(-self._items // _FOLD) * _FOLD), -np.inf, np.float32)

    def candidates(self, query: npt.NDArray[np.float64], bought: Ints, wanted: int) -> tuple[Ints, Floats]:
        """Return the candidates of each user [users, wanted], and what no other item's score exceeds [users]."""
        scores = self._scores[: len(query)]
        np.matmul(query.astype(np.float32), self._model.embedding[1:].T, out=scores[:, : self._items])
        scores[:, : self._items] += self._model.item_bias[1:]
        user, place = np.nonzero(bought)
        scores[user, bought[user, place] - 1] = np.finfo(np.float32).min  # before the padding all the same
        chosen = _largest(scores, wanted)
        reach = np.abs(query).sum(axis=1) * _MAX_EMBEDDING + _MAX_BIAS
        error = (HIDDEN + 2) * 2.0**-24 * reach  # Higham, Accuracy and Stability of Numerical Algorithms, section 3.1
        return chosen + 1, _picked(scores, chosen).min(axis=1) + error


def _largest(scores: npt.NDArray[np.float32], wanted: int) -> Ints:
    """Return the places of the largest scores of each row, in no order: scores [n, k * _FOLD], [n, wanted].

    Scores are folded into groups of _FOLD, one from each stretch of the row. The groups of the largest scores are among
    the `wanted` groups with the largest maxima, so only these are searched: three times as fast over 10,000 scores.
    """
    groups = scores.shape[1] // _FOLD
    if groups <= wanted:
        return np.argpartition(scores, -wanted, axis=1)[:, -wanted:]
    maxima = scores.reshape(len(scores), _FOLD, groups).max(axis=1)
    best = np.argpartition(maxima, -wanted, axis=1)[:, -wanted:]
    members = (best[:, None, :] + np.arange(_FOLD)[:, None] * groups).reshape(len(scores), wanted * _FOLD)
    among = _picked(scores, members)
    return _picked(members, np.argpartition(among, -wanted, axis=1)[:, -wanted:])


def _picked(values: npt.NDArray[_Number], index: Ints) -> npt.NDArray[_Number]:
    """Return what `np.take_along_axis` does along rows that lie one after another, in a third of the time."""
    starts = np.arange(len(values))[:, None] * values.shape[1]
    return np.asarray(values.reshape(-1).take(index + starts))
