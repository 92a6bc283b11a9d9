"""How good a network is on the validation part of a log, beside what the simplest predictors reach on the same rows."""

from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import lanes
from models.cells.cell import Cell
from models.features import TIME_BINS
from models.model_directory import Heads
from models.network import item_scores
from models.objective import losses, names, weighted
from models.reading import Reading
from models.sequences import IGNORED, Times
from models.state import HIDDEN, Floats, Ints
from models.training_table import Parts, observed
from models.validation_floors import TOP, floors

_SCORES = 200_000_000  # item scores computed at most for one validation: bounds the next item's rows
_BLOCK = 1024


def outcome_rates(action: Ints, outcome: Ints, heads: Heads) -> Floats:
    """Return P(outcome | last action), one row an action, and P(outcome) in the last row: [actions + 1, outcomes].

    Args:
        action: code of the last action [n].
        outcome: code of what came next, or IGNORED [n].
        heads: whose codes they are.
    """
    counts = np.zeros((len(heads.actions), len(heads.outcomes)))
    seen = outcome != IGNORED
    np.add.at(counts, (action[seen], outcome[seen]), 1)
    counts = np.vstack([counts, counts.sum(0)]) + 1  # Laplace: nothing is impossible
    rates: Floats = counts / counts.sum(1, keepdims=True)
    return rates


def marginal_hazards(times: Times) -> Floats:
    """Return the hazard of each bin over all rows, events by exposure [TIME_BINS].

    >>> times = Times(np.array([0, 1]), np.zeros(2), np.array([True, True]))
    >>> marginal_hazards(times)[:3].round(2).tolist()
    [0.5, 0.75, 0.5]
    """
    came = np.bincount(times.bin[times.came], minlength=TIME_BINS)
    exposure = np.bincount(times.bin, times.share + times.came, TIME_BINS)
    exposure[:-1] += np.bincount(times.bin, minlength=TIME_BINS)[::-1].cumsum()[::-1][1:]
    hazards: Floats = (came + 0.5) / (exposure + 1)
    return hazards


class Validation:
    """The rows that judge a network: those before a validation row or silence, with all the history before them.

    Args:
        log: ready for training.
        cell: makes the states.

    Attributes:
        rows: which they are [n].
    """

    def __init__(self, log: Parts, cell: Cell) -> None:
        self._log, self._cell = log, cell
        self.rows = torch.nonzero(log.validation.known)[:, 0]
        past = torch.nonzero(log.train.known)[:, 0]
        self._place = torch.full((len(log.action),), -1)
        self._place[self.rows] = torch.arange(len(self.rows))
        lengths = lanes.reach(log.log.first, log.validation.known.numpy())
        self._reading = Reading(log.log.first, lengths)
        self._item_rows = max(_SCORES // max(len(log.items), 1), _BLOCK)
        aims = log.train
        self.rates = outcome_rates(log.action[past.numpy()], aims.next_action[past].numpy(), log.heads)
        self.hazards = np.array([marginal_hazards(observed(aims, past, k)) for k in range(len(log.heads.targets))])
        self.item_counts = np.bincount(aims.next_item[past].numpy(), minlength=len(log.items) + 1)

    @torch.no_grad()
    def losses(self, weights: dict[str, Tensor]) -> Tensor:
        """Return the mean loss of each head [heads]."""
        states = self.states(weights)
        return losses(weights, self._log, self._log.validation, self.rows, states, item_rows=self._item_rows)

    def judged(self, weights: dict[str, Tensor]) -> tuple[float, dict[str, float]]:
        """Return the weighted sum of the heads' losses, and each by its name; nan and none without validation rows."""
        if not len(self.rows):
            return nan, {}
        by_head = self.losses(weights)
        return float(weighted(by_head)), dict(zip(names(self._log.heads), by_head.tolist(), strict=True))

    @torch.no_grad()
    def states(self, weights: dict[str, Tensor]) -> Tensor:
        """Return what the heads read after the rows [n, HIDDEN]."""
        kept = torch.empty(len(self.rows), HIDDEN)
        for events, after in self._reading.after(self._cell, weights, self._log.steps):
            place = self._place[events]
            kept[place[place >= 0]] = after[place >= 0]
        return kept

    @torch.no_grad()
    def metrics(self, weights: dict[str, Tensor]) -> dict[str, Any]:
        """Return the figures of each head, in nats a row and as shares, and those of its floors.

        An item that the vocabulary does not hold counts as missed in the recall; for a floor, one never learned.
        """
        log, aims, rows = self._log, self._log.validation, self.rows
        if not len(rows):
            return {"rows": 0}
        h = self.states(weights)
        means = losses(weights, log, aims, rows, h, item_rows=self._item_rows)
        by_head = dict(zip(names(log.heads), means.tolist(), strict=True))
        followed = torch.nonzero(aims.has_next[rows])[: self._item_rows, 0]
        following = aims.next_item[rows[followed]]
        gains = self._gains(weights, h[followed], rows[followed], following)
        return {
            "rows": len(rows),
            "loss": float(weighted(means)),
            "next_action": {"log_loss": by_head["next_action"]},
            "next_item": {
                "log_loss": by_head["next_item"] / max(_mean((aims.next_item[rows] > 0).float().numpy()), 1e-9),
                f"recall_at_{TOP}": _mean((gains > 0).astype(np.float64)),
                f"ndcg_at_{TOP}": _mean(gains),
                "known_share": _mean((following > 0).float().numpy()),
            },
            **{f"time_to_{target}": {"log_likelihood": -by_head[f"time_to_{target}"]} for target in log.heads.targets},
            "floors": floors(log, rows.numpy(), rows[followed].numpy(), self.rates),
        }

    def _gains(self, weights: dict[str, Tensor], h: Tensor, rows: Tensor, following: Tensor) -> Floats:
        """Return 1 / log2(1 + rank) of the item that came, 0 beyond the first `TOP`."""
        found = [torch.zeros(0)]
        for some in torch.split(torch.arange(len(h)), _BLOCK):
            scores = item_scores(weights, self._log.followers.tables, h[some], *self._log.held(rows[some]))
            best = scores.topk(min(TOP, scores.shape[1])).indices + 1
            worth = 1 / torch.log2(torch.arange(best.shape[1]) + 2)
            found.append(((best == following[some, None]) * worth).sum(1))
        gains: Floats = torch.cat(found).numpy()
        return gains


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
