"""What a predictor says of each scored row."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.evaluation.predictor import ItemProbability, NextAction, NextItem
from models.evaluation.ranking import ranked
from models.evaluation.rows import batches, histories, starts
from models.log import Log
from models.state import Floats, Ints

_AT_ONCE = 1 << 12


class Lists(NamedTuple):
    """Where the items that came stood, and what was listed.

    Fields:
        rank: place of each row's item, inf: never found [rows].
        listed: in how many lists of k each item stands [items].
    """

    rank: Floats
    listed: Ints


def probabilities(
    log: Log, rows: Ints, predictor: NextAction, report: Callable[[int], None] = lambda _: None
) -> Floats:
    """Return P(action | one comes) of the target at each row [rows, actions]."""
    parts, done = [np.zeros((0, len(log.actions)))], 0
    for batch in batches(rows, _AT_ONCE):
        parts.append(predictor.action_probabilities(log, batch).astype(np.float64))
        done += len(batch)
        report(done)
    return np.concatenate(parts)


def lists(
    log: Log,
    rows: Ints,
    predictor: NextItem,
    *,
    candidates: npt.NDArray[np.bool_],
    k: int,
    exclude_seen: bool = False,
    report: Callable[[int], None] = lambda _: None,
) -> Lists:
    """Return a predictor's lists of k, ranked as `evaluation.next_item` ranks.

    Args:
        log: with its splits.
        rows: targets.
        predictor: asked for its probabilities where it gives them, else for scores.
        candidates: which items are ranked [items].
        k: length of the lists.
        exclude_seen: leave out the items of the row's own history.
        report: told how many rows are done.
    """
    wanted, first = log.item[rows], starts(log)[rows]
    rank, listed, done = np.empty(len(rows)), np.zeros(len(log.items), np.int64), 0
    ask = predictor.item_probabilities if isinstance(predictor, ItemProbability) else predictor.item_scores
    for batch in batches(rows, len(log.items)):
        part = slice(done, done := done + len(batch))
        seen = histories(log, batch, first[part]) if exclude_seen else None
        rank[part], top = ranked(ask(log, batch), wanted[part], candidates, k, seen)
        listed += np.bincount(top[top >= 0], minlength=len(log.items))
        report(done)
    return Lists(rank, listed)
