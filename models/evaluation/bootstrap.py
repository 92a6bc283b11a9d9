"""Intervals by drawing whole sequences again: rows of one user or session say much the same.

The Poisson bootstrap (Chamandy, Muralidharan, Najmi, Naidu: Estimating uncertainty for massive data streams, 2012): in
each replicate every sequence counts Poisson(1) times. The draws depend on the seed alone, so that figures of two
predictors on the same rows are drawn alike.
"""

from collections.abc import Callable, Iterator
from copy import copy

import msgspec
import numpy as np

from models.state import Floats, Ints

CONFIDENCE = 0.95


class Figure(msgspec.Struct, frozen=True):
    """A figure with its interval at `CONFIDENCE`; all nan where it is not defined."""

    value: float
    low: float
    high: float


class Bootstrap:
    """Draws sequences.

    Args:
        sequence: number of each scored row's sequence [rows], in any order.
        replicates: number of draws.
        seed: of the draws.
    """

    def __init__(self, sequence: Ints, replicates: int = 200, seed: int = 0) -> None:
        names, self.place = np.unique(sequence, return_inverse=True)
        self.sequences = len(names)
        self._replicates, self._seed = replicates, seed

    def at(self, rows: Ints) -> "Bootstrap":
        """Return the draws for some of the rows: the same sequences count as often."""
        picked = copy(self)
        picked.place = self.place[rows]
        return picked

    def weights(self) -> Iterator[Floats]:
        """Yield how often each sequence counts: once in the first, for the figure itself, then in each replicate."""
        yield np.ones(self.sequences)
        for replicate in range(self._replicates):
            yield np.random.default_rng([self._seed, replicate]).poisson(1.0, self.sequences).astype(np.float64)

    def sums(self, values: Floats) -> Floats:
        """Return the sum of each sequence's rows, of [rows] or [rows, n]: [sequences] or [sequences, n]."""
        if values.ndim == 1:
            return np.bincount(self.place, values, self.sequences).astype(np.float64)
        return np.stack([self.sums(column) for column in values.T], axis=1)

    def mean(self, values: Floats) -> Figure:
        """Return the mean over rows [rows].

        >>> draws = Bootstrap(np.array([0, 0, 1]))
        >>> draws.mean(np.array([1.0, 2.0, 3.0])).value
        2.0
        """
        sums, counts = self.sums(values), self.sums(np.ones(len(values)))
        return self.figures(lambda weights: np.array([weights @ sums / (weights @ counts)]))[0]

    def figures(self, statistic: Callable[[Floats], Floats], *, centred: bool = False) -> list[Figure]:
        """Return figures with their intervals.

        Args:
            statistic: makes n figures of the weights of the sequences [sequences]; nan where one is not defined.
            centred: shift the draws so that their mean is the figure: for what noise alone makes larger, such as a
                calibration error, where draws of a sample lie above the sample's own figure.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = np.stack([statistic(weights) for weights in self.weights()])
        value, draws = drawn[0], drawn[1:]
        found = []
        for k in range(len(value)):
            column = draws[:, k][np.isfinite(draws[:, k])]
            if not len(column) or not np.isfinite(value[k]):
                found.append(Figure(float(value[k]), float("nan"), float("nan")))
                continue
            low, high = np.quantile(column, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            if centred:
                low, high = (max(bound - column.mean() + value[k], 0.0) for bound in (low, high))
            found.append(Figure(float(value[k]), float(low), float(high)))
        return found
