"""Markov chains: what came after the last one or the last two.

Each order is smoothed by the one below it, which counts as `SMOOTHING` transitions more (MacKay, Peto: A hierarchical
Dirichlet language model, 1995); below all of them each symbol is equally likely.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from models.evaluation.rows import starts
from models.log import Log
from models.state import Floats, Ints

SMOOTHING = 1.0

Order: TypeAlias = Literal[1, 2]


class _Level(NamedTuple):
    contexts: Ints  # codes of what came before, sorted
    counts: csr_array  # of what came then [contexts, symbols]


class Chain:
    """Counts of what follows what in one column of a log.

    Args:
        symbols: codes [events].
        first: where each row's sequence begins [events].
        rows: which rows to learn from.
        width: number of symbols.
        order: how many rows back it looks; before a sequence's first row stands a symbol of its own.
    """

    def __init__(self, symbols: Ints, first: Ints, rows: Ints, width: int, order: Order) -> None:
        self._width, self._levels = width, list[_Level]()
        followed = rows[rows > first[rows]]
        counts = np.bincount(symbols[followed], minlength=width) + SMOOTHING / width
        self._prior = (counts / counts.sum()).astype(np.float32)
        for depth in range(1, order + 1):
            contexts, place = np.unique(self._context(symbols, first, followed, depth), return_inverse=True)
            cells = (np.ones(len(followed), np.float32), (place, symbols[followed]))
            self._levels.append(_Level(contexts, csr_array(cells, shape=(len(contexts), width))))

    def probabilities(self, symbols: Ints, first: Ints, rows: Ints) -> Floats:
        """Return P(symbol | those before) [rows, width]."""
        left = np.ones(len(rows), np.float32)  # to the orders below
        parts = []
        for depth in range(len(self._levels), 0, -1):
            contexts, counts = self._levels[depth - 1]
            context = self._context(symbols, first, rows, depth)
            place = np.minimum(np.searchsorted(contexts, context), len(contexts) - 1)
            met = np.flatnonzero(contexts[place] == context) if len(contexts) else rows[:0]
            found = counts[place[met]] if len(met) else counts[:0]
            total = np.asarray(found.sum(axis=1), np.float32).reshape(-1) + np.float32(SMOOTHING)
            each = np.diff(found.indptr)
            parts.append((np.repeat(met, each), found.indices, found.data * np.repeat(left[met] / total, each)))
            left[met] *= np.float32(SMOOTHING) / total
        probabilities: Floats = np.multiply.outer(left, self._prior)
        for row, symbol, share in parts:
            probabilities[row, symbol] += share
        return probabilities

    def _context(self, symbols: Ints, first: Ints, rows: Ints, depth: int) -> Ints:
        code = np.zeros(len(rows), np.int64)
        for back in range(1, depth + 1):
            before = np.where(rows - back >= first[rows], symbols[np.maximum(rows - back, 0)], self._width)
            code = code * (self._width + 1) + before
        return code


class Markov:
    """Says what followed the last item, or the last action, or the last two.

    Args:
        log: of events.
        rows: which of them to learn from.
        order: 1 or 2.
    """

    def __init__(self, log: Log, rows: Ints, order: Order) -> None:
        self._learned, self._order = (log, rows), order
        self._chains: dict[str, Chain] = {}

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return P(item) [rows, items]."""
        return self._chain("item").probabilities(log.item, starts(log), rows)

    def item_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return the same [rows, items]."""
        return self.item_scores(log, rows)

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return P(action) [rows, actions]."""
        found = self._chain("action").probabilities(log.action, starts(log), rows).astype(np.float64)
        probabilities: Floats = found / found.sum(1, keepdims=True)
        return probabilities

    def _chain(self, column: Literal["item", "action"]) -> Chain:
        """Return the counts of a column, made when first asked for."""
        if column not in self._chains:
            log, rows = self._learned
            symbols, width = (log.item, len(log.items)) if column == "item" else (log.action, len(log.actions))
            self._chains[column] = Chain(symbols, starts(log), rows, width, self._order)
        return self._chains[column]
