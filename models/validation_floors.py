"""What the floors reach on the validation rows of a training: those of `models.floors` that cost next to nothing.

The slower ones (V-SKNN, item-kNN, rules) stand beside a model in `nextact evaluate`.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch

from models.compiled import compiled
from models.evaluation.ranking import ranked
from models.evaluation.rows import batches, starts
from models.features import GAPS
from models.floors.popularity import Popularity
from models.floors.recency import KEPT, Recency
from models.floors.survival_curve import life_table
from models.log import SPLITS, Log
from models.model_directory import LEAVE
from models.network import time_loss
from models.sequences import IGNORED
from models.state import Floats, Ints
from models.training_table import Parts, observed

TOP = 20
_OF_RECALL = ("next_item",)


def floors(log: Parts, rows: Ints, followed: Ints, rates: Floats) -> dict[str, dict[str, float]]:
    """Return what each floor reaches, by head and name: mean log-loss in nats, of the next item recall at `TOP`.

    Args:
        log: ready for training.
        rows: events after which the heads are judged [rows].
        followed: those that the next item is judged after.
        rates: P(outcome | last action), and P(outcome) in the last row [actions + 1, outcomes].
    """
    found = {"next_action": dict(_actions(log, rows, rates)), "next_item": dict(_items(log.log, followed + 1))}
    return found | {f"time_to_{target}": dict(_times(log, rows, k)) for k, target in enumerate(log.heads.targets)}


def strongest(floors: Mapping[str, float], head: str) -> tuple[str, float]:
    """Return name and figure of the best floor of a head.

    >>> strongest({"prior": 1.2, "Markov-1": 0.9}, "next_action"), strongest({"popularity": 0.1}, "next_item")
    (('Markov-1', 0.9), ('popularity', 0.1))
    """
    best = max if head in _OF_RECALL else min
    return best(floors.items(), key=lambda one: one[1])


def _actions(log: Parts, rows: Ints, rates: Floats) -> Iterator[tuple[str, float]]:
    learnt, judged = log.train.next_action.numpy(), log.validation.next_action.numpy()
    past = np.flatnonzero(learnt != IGNORED)
    rows = rows[judged[rows] != IGNORED]
    last, came, count = log.action[rows], judged[rows], len(log.heads.actions)
    before = np.where(log.steps.begins.numpy(), count, np.roll(log.action, 1))
    both = before * count + log.action
    seen = np.zeros(((count + 1) * count, len(log.heads.outcomes)))
    np.add.at(seen, (both[past], learnt[past]), 1)
    two = (seen[both[rows]] + rates[last]) / (seen[both[rows]].sum(1, keepdims=True) + 1)
    prior = np.bincount(log.action[log.log.split == SPLITS.index("train")], minlength=count) + 0.5
    own = np.tile(prior / prior.sum(), (len(rows), 1))
    place = np.full(len(log.action), -1)
    place[rows] = np.arange(len(rows))
    _add_decayed(log.action, log.steps.begins.numpy(), place, KEPT, own)
    own /= own.sum(1, keepdims=True)
    if LEAVE in log.heads.outcomes:
        leaves = rates[last, -1:]
        own = np.concatenate([own * (1 - leaves), leaves], axis=1)
    for name, said in (
        ("prior", rates[np.full(len(rows), -1)]),
        ("own recency", own),
        ("Markov-1", rates[last]),
        ("Markov-2", two),
    ):
        yield name, _mean(-np.log(said[np.arange(len(rows)), came]))


@compiled
def _add_decayed(action: Ints, begins: npt.NDArray[np.bool_], place: Ints, kept: float, shares: Floats) -> None:
    """Add to the row of each place how often each action has come up to there, each counting less for those after."""
    now = np.zeros(shares.shape[1])
    for k in range(len(action)):
        if begins[k]:
            now[:] = 0
        now *= kept
        now[action[k]] += 1
        if place[k] >= 0:
            shares[place[k]] += now


def _items(log: Log, rows: Ints) -> Iterator[tuple[str, float]]:
    """Yield recalls of the items of some rows, from the rows before each."""
    known = np.flatnonzero(log.split == SPLITS.index("train"))
    candidates = np.bincount(log.item[known], minlength=len(log.items)) > 0
    said: dict[str, Callable[[Log, Ints], Floats]] = {
        "popularity": Popularity(log, known).item_scores,
        "own recency": Recency(log, known).item_scores,
        "Markov-1": _Followers(log, known).item_scores,
    }
    for name, scores in said.items():
        hits = [
            ranked(scores(log, some), log.item[some], candidates, TOP).rank <= TOP
            for some in batches(rows, len(log.items))
        ]
        yield name, _mean(np.concatenate(hits)) if hits else 0.0


class _Followers:
    """Ranks items by how often they followed the last one in the rows learned from, then by popularity.

    As `floors.markov` of order 1, without the package that it needs.
    """

    def __init__(self, log: Log, known: Ints) -> None:
        followed = known[known > starts(log)[known]]
        count = len(log.items)
        pairs, self._times = np.unique(log.item[followed - 1] * count + log.item[followed], return_counts=True)
        self._items = pairs % count
        self._ends = np.searchsorted(pairs // count, np.arange(count + 1))
        self._popularity = np.bincount(log.item[followed], minlength=count) / max(len(followed), 1)

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the scores [rows, items]."""
        scores = np.tile(self._popularity.astype(np.float32), (len(rows), 1))
        _add_followers(log.item[rows - 1], self._ends, self._items, self._times, scores)
        return scores


@compiled
def _add_followers(last: Ints, ends: Ints, items: Ints, times: Ints, scores: npt.NDArray[np.float32]) -> None:
    for k in range(len(last)):
        for place in range(ends[last[k]], ends[last[k] + 1]):
            scores[k, items[place]] += times[place]


def _times(log: Parts, rows: Ints, target: int) -> Iterator[tuple[str, float]]:
    past = torch.nonzero(log.train.known)[:, 0]
    learnt, aims, judged = observed(log.train, past, target), log.validation, torch.from_numpy(rows)
    times = [column[judged, target] for column in (aims.bins, aims.shares, aims.came)]
    times += [aims.since_bins[judged], aims.since_shares[judged]]
    gap = log.steps.action_gap.numpy() % GAPS
    for name, group in (("one curve", np.zeros_like(gap)), ("by last action", log.action), ("by last gap", gap)):
        hazards = torch.from_numpy(
            life_table(group[past.numpy()], int(group.max()) + 1, learnt.bin, learnt.share + learnt.came, learnt.came)
        )
        logits = (hazards.log() - (-hazards).log1p()).float()[torch.from_numpy(group[rows])]
        yield name, float(time_loss(logits, *times).mean())


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
