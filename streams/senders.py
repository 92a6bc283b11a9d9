"""Who sent the records of a chunk, where their headers say so, and what became of them.

Records without headers, as most are, cost nothing here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.observed import BACKFILL_MS
from models.ring import Fate
from models.state import Ints
from schemas.cloudevents import Headers, source

_NOBODY = -1


@dataclass
class Score:
    """What became of a sender's records."""

    records: int = 0
    rejected: int = 0
    duplicates: int = 0
    late: int = 0
    delay_s: float = 0.0  # sum of the times from event to record, as `models.observed` counts them


class Senders:
    """The senders of a chunk.

    Attributes:
        scores: by `ce_source` header.

    >>> senders = Senders()
    >>> web = [("ce_source", b"/web")]
    >>> codes = senders.arrived([web, web, ()], valid=[web, ()])
    >>> senders.judged(codes, np.array([Fate.LATE, Fate.LATE]), np.array([500, 0]), np.array([2_000, 0]), 3_000)
    >>> senders.scores
    {'/web': Score(records=2, rejected=1, duplicates=0, late=1, delay_s=1.5)}
    """

    def __init__(self) -> None:
        self.scores: dict[str, Score] = {}
        self._codes: dict[str, int] = {}

    def arrived(self, fetched: Sequence[Headers], valid: Sequence[Headers]) -> Ints:
        """Count records, and return the code of each valid one's sender [valid].

        Args:
            fetched: headers of records that came.
            valid: headers of those of them that are events.
        """
        for name in map(source, fetched):
            if name:
                score = self.scores.setdefault(name, Score())
                score.records += 1
                score.rejected += 1
        names = [source(headers) for headers in valid]
        for name in names:
            if name:
                self.scores[name].rejected -= 1
        codes = [self._codes.setdefault(name, len(self._codes)) if name else _NOBODY for name in names]
        return np.array(codes, np.int64)

    def judged(self, codes: Ints, fate: Ints, ts_ms: Ints, arrived_ms: Ints, now_ms: int) -> None:
        """Count what became of events.

        Args:
            codes: of their senders [events], as `arrived` returns them.
            fate: of each event [events].
            ts_ms: when it happened [events].
            arrived_ms: time of its record [events].
            now_ms: the present.
        """
        delay_s = np.where(now_ms - arrived_ms < BACKFILL_MS, np.maximum(arrived_ms - ts_ms, 0), 0) / 1000
        for name, code in self._codes.items():
            mine, score = codes == code, self.scores[name]
            score.duplicates += int((fate[mine] == Fate.DUPLICATE).sum())
            score.late += int((fate[mine] == Fate.LATE).sum())
            score.delay_s += float(delay_s[mine].sum())


def sender_column(parts: Sequence[Ints | None], lengths: Sequence[int]) -> Ints | None:
    """Return the codes of the senders of some parts of a chunk one after another, None if none names any.

    Args:
        parts: codes of each part's events, None: its records have no headers.
        lengths: number of each part's events.
    """
    if all(part is None for part in parts):
        return None
    nobody = (np.full(length, _NOBODY) for length in lengths)
    return np.concatenate([other if part is None else part for part, other in zip(parts, nobody, strict=True)])
