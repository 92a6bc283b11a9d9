"""What became of the records of each producer, over all chunks."""

from collections.abc import Mapping
from dataclasses import astuple, fields

import numpy as np

from streams.metrics.asked import Values, labelled
from streams.metrics.catalogue import NAMED_SOURCES, NO_SOURCE, OTHER_SOURCES
from streams.senders import Score

_LONGEST = 100
_NAMES = [field.name for field in fields(Score)]


class Scorecard:
    """Sums by producer: the first few that come have a name, so that there are never more series.

    >>> card = Scorecard()
    >>> card.add({"/web": Score(records=5, late=1), "other": Score(records=1)})
    >>> card.values("records", total=10)
    {('none',): 4.0, ('other',): 1.0, ('/web',): 5.0}
    """

    def __init__(self) -> None:
        self._places = {OTHER_SOURCES: 0}
        self._sums = np.zeros((NAMED_SOURCES + 1, len(_NAMES)))

    def add(self, scores: Mapping[str, Score]) -> None:
        """Take in what became of a chunk's records, by the name that their producer gives itself."""
        for name, score in scores.items():
            self._sums[self._place(name[:_LONGEST])] += astuple(score)

    def values(self, count: str, total: float) -> Values:
        """Return a count by producer.

        Args:
            count: a field of `Score`.
            total: of all records: what no producer has is of those without a name.
        """
        column = self._sums[: len(self._places), _NAMES.index(count)].tolist()
        return {(NO_SOURCE,): max(total - sum(column), 0.0)} | dict(labelled(self._places, column))

    def _place(self, name: str) -> int:
        if name not in self._places and name != NO_SOURCE and len(self._places) <= NAMED_SOURCES:
            self._places[name] = len(self._places)
        return self._places.get(name, 0)
