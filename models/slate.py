"""The slate: the N items with the highest score as the next one, exactly, without what was bought lately."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.grid import EMBEDDING_UNIT, STATE_UNIT
from models.model_directory import VECTOR
from models.predictor import Predictor
from models.recent import add_row, clear_row
from models.recurrence import States
from models.state import ACTIONS, RING, Floats, Ints, Rows, ring_action

_BLOCK = 1_500_000  # scores held at a time: about what a cache holds
_LEAST, _MOST = 64, 8_000_000  # users in a block, or as many as this makes: fewer slow the matrix product down
_SPARE = 4  # candidates beyond the places, so that float32 seldom leaves a slate in doubt
_STRETCH = 64  # scores that are looked through at once
_MAX_EMBEDDING, _MAX_BIAS = 8, 64


@dataclass(frozen=True)
class Slates:
    """Slates of users, best item first.

    `places` is the length asked for, or the number of items if that is smaller.

    Args:
        item: number of the item in `Predictor.items`, -1 where nothing is left to show [users, places].
        score: the model's score: a logit, comparable within one slate [users, places].
        seen: whether the item is in the user's ring [users, places].
        known: whether the model knows any of the user's items; if not the slate is of the most popular [users].
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
    places = min(places, items)
    if not places:
        none = np.zeros((len(rows), 0))
        return Slates(none.astype(np.int64), none, none.astype(np.bool_), np.zeros(len(rows), np.bool_))
    ring = model.ring(rows)
    bought = np.where(ring_action(rows["ring_high"]) == ACTIONS.index("purchase"), ring, 0)
    held, column = model.held(rows, ring), np.arange(-1, items)
    known = np.asarray((held.item > 0).any(axis=1))
    strangers = np.flatnonzero(~known)
    if len(strangers) > 1:  # they all get the same
        slates = top_items(rows[np.append(np.flatnonzero(known), strangers[0])], model, places)
        at = np.where(known, np.cumsum(known) - 1, len(slates.item) - 1)
        return Slates(slates.item[at], slates.score[at], slates.seen[at], known)
    query = np.where(known[:, None], item_query(rows["now"], model), 0)  # what is left is the bias: popularity
    weight, first = model.recent.of(held, rows["now"]), np.zeros(len(rows), np.int64)
    item, score = np.empty((len(rows), places), np.int64), np.empty((len(rows), places))
    seen = np.empty((len(rows), places), np.bool_)
    users = max(1, _BLOCK // max(items, 1), min(_LEAST, _MOST // max(items, 1)))
    scores = np.empty((min(users, len(rows)), items), np.float32)  # new memory for each block would cost more
    reach = np.abs(query).sum(axis=1) * _MAX_EMBEDDING + _MAX_BIAS
    reach += np.abs(weight[:, 0]).sum(1) * model.followers.most_lift + np.abs(weight[:, 1]).max(1)
    terms = VECTOR + 2 + RING
    error = terms * 2.0**-24 * reach  # Higham, Accuracy and Stability of Numerical Algorithms, section 3.1
    for start in range(0, len(rows), users):
        part = slice(start, start + users)
        block = scores[: len(query[part])]
        np.matmul(query[part].astype(np.float32), model.embedding[1:].T, out=block)
        model.followers.add(block, column, held.item[part], first[part], weight[part])
        _choose(
            block,
            query[part],
            error[part],
            model.embedding,
            model.item_bias,
            held.item[part],
            model.followers.item,
            model.followers.lift,
            weight[part],
            ring[part],
            bought[part],
            min(places + _SPARE, items),
            item[part],
            score[part],
            seen[part],
        )
    return Slates(item, score, seen, known)


def item_query(states: States, model: Predictor) -> npt.NDArray[np.float64]:
    """Return what the items' vectors are multiplied with [users, VECTOR], on the grid that keeps scores exact."""
    product = states.astype(np.float64) @ model.query
    return np.clip(np.rint(product * (STATE_UNIT / EMBEDDING_UNIT)) * EMBEDDING_UNIT, -512, 512)


@compiled
def _choose(
    scores: npt.NDArray[np.float32],
    query: npt.NDArray[np.float64],
    error: Floats,
    embedding: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    held: Ints,
    follower: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    weight: Floats,
    ring: Ints,
    bought: Ints,
    wanted: int,
    item: Ints,
    score: Floats,
    seen: npt.NDArray[np.bool_],
) -> None:
    """Fill in the slates of users, from the products of their queries with all items in float32 [users, items]."""
    items, places = scores.shape[1], item.shape[1]
    heap, heap_item = np.empty(wanted, np.float32), np.empty(wanted, np.int64)
    added, itself = np.zeros(items + 1), np.arange(items + 1)  # to the score of each row of the tables
    for user in range(len(scores)):
        add_row(added, itself, held[user], 0, follower, lift, weight[user])
        for place in range(RING):
            if bought[user, place]:
                scores[user, bought[user, place] - 1] = -np.inf
        _largest(scores[user], bias, heap, heap_item)
        item[user], score[user] = -1, -np.inf
        for k in range(wanted):
            _rank(heap_item[k], query[user], embedding, bias, added, bought[user], item[user], score[user])
        if wanted < items and score[user, places - 1] <= heap[0] + error[user]:
            item[user], score[user] = -1, -np.inf
            for k in range(items):
                _rank(k, query[user], embedding, bias, added, bought[user], item[user], score[user])
        for place in range(places):
            seen[user, place] = False
            for k in range(RING):
                seen[user, place] |= ring[user, k] == item[user, place] + 1 and ring[user, k] > 0
        clear_row(added, held[user], follower)


@compiled
def _largest(
    scores: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    heap: npt.NDArray[np.float32],
    heap_item: Ints,
) -> None:
    """Keep the items with the largest sums of score and bias in a heap, the least of them at its top."""
    size = len(heap)
    for k in range(size):
        heap[k], heap_item[k] = scores[k] + bias[k + 1], k
    for top in range(size // 2 - 1, -1, -1):
        _sift(heap, heap_item, top)
    for start in range(size, len(scores), _STRETCH):
        end = min(start + _STRETCH, len(scores))
        some, limit = False, heap[0]
        part, its_bias = scores[start:end], bias[start + 1 : end + 1]
        for k in range(len(part)):
            some |= part[k] + its_bias[k] > limit
        if some:
            for k in range(start, end):
                value = scores[k] + bias[k + 1]
                if value > heap[0]:
                    heap[0], heap_item[0] = value, k
                    _sift(heap, heap_item, 0)


@compiled
def _sift(heap: npt.NDArray[np.float32], heap_item: Ints, top: int) -> None:
    """Let what stands at a place of the heap sink to where it belongs."""
    while 2 * top + 1 < len(heap):
        least = 2 * top + 1
        if least + 1 < len(heap) and heap[least + 1] < heap[least]:
            least += 1
        if heap[top] <= heap[least]:
            break
        heap[top], heap[least] = heap[least], heap[top]
        heap_item[top], heap_item[least] = heap_item[least], heap_item[top]
        top = least


@compiled
def _rank(
    candidate: int,
    query: npt.NDArray[np.float64],
    embedding: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    added: npt.NDArray[np.float64],
    bought: Ints,
    item: Ints,
    score: Floats,
) -> None:
    """Put an item in its place of the slate by its exact score, unless it was bought or the slate is full of better."""
    for k in range(RING):
        if bought[k] == candidate + 1:
            return
    exact = np.float64(bias[candidate + 1]) + added[candidate + 1]
    for k in range(VECTOR):
        exact += query[k] * np.float64(embedding[candidate + 1, k])
    at = len(item)
    while at > 0 and (score[at - 1] < exact or (score[at - 1] == exact and item[at - 1] > candidate)):
        at -= 1
    for place in range(len(item) - 1, at, -1):
        item[place], score[place] = item[place - 1], score[place - 1]
    if at < len(item):
        item[at], score[at] = candidate, exact
