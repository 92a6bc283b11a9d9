"""The history of a user in its row: the ring of the last events in order, and the recurrent states at its two ends.

Writes `applied`, `accepted`, `late`, `base_ms`, `ring_*`, `older_*`, `base`, `now`, `model`, and the windows through
`windows.add`.

The ring holds the last RING accepted events, sorted by `(ts_ms, action, id, item)`. `base` is the recurrent state
before the oldest of them, `now` the state after the newest, so an event that comes late is put in its place and `now`
is computed again from `base`: any arrival order gives the bytes of the in-order one. An event that belongs before all
of the ring and is not newer than the last one that left it (`base_ms`) is late for good: the windows count it, the
states do not see it. An event that equals one of the ring in all four is a duplicate. An event at or below the
`applied` offset of its topic was delivered again and changes nothing.

Exactness has one limit: an event that RING or more events of that order have overtaken. It may be late for good, and
so is a duplicate of an event that has left the ring. Events of one millisecond stand in order of the hashes: with more
than RING of them one may be overtaken by so many though all come in order of time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models import windows
from models.features import Steps
from models.predictor import Predictor
from models.ring import Fate, arrange
from models.state import Ints, Rows


@dataclass(frozen=True)
class Events:
    """Events of a chunk in order of arrival, one array a column [events]."""

    row: Ints  # which of the rows the event belongs to
    action: Ints  # code of the action, and index of its input topic
    offset: Ints  # position in its partition
    ts_ms: Ints
    item: Ints  # crc32 of the item id
    id: Ints  # crc32 of the event id
    context: Ints

    def __len__(self) -> int:
        return len(self.row)

    def at(self, index: Ints | npt.NDArray[np.bool_]) -> "Events":
        """Return the events that the index picks."""
        return Events(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


NO_EVENTS = Events(*[np.zeros(0, np.int64)] * len(Events.__dataclass_fields__))
"""What `apply` takes to bring no more than the model of rows up to date."""


@dataclass
class Tally:
    """What became of the events of a chunk."""

    applied: int = 0
    redelivered: int = 0
    duplicates: int = 0
    late: int = 0
    reordered: int = 0

    @classmethod
    def of(cls, fates: Ints) -> "Tally":
        """Count events by their `Fate` [events]."""
        redelivered, duplicates, late, reordered, in_order = np.bincount(fates, minlength=len(Fate)).tolist()
        return cls(late + reordered + in_order, redelivered, duplicates, late, reordered)


def apply(rows: Rows, events: Events, model: Predictor) -> Tally:
    """Bring rows up to date with events, in place, and count what became of these: see `apply_each`."""
    return Tally.of(apply_each(rows, events, model))


def apply_each(rows: Rows, events: Events, model: Predictor) -> Ints:
    """Bring rows up to date with events, in place.

    Args:
        rows: `ROW` [users], a row a user.
        events: in order of arrival.
        model: makes the recurrent states; rows of another model get theirs again from their ring.

    Returns:
        what became of each event: a `Fate` [events].
    """
    columns = (getattr(events, name) for name in events.__dataclass_fields__)
    row, action, offset, ts_ms, item, id_, context = (np.ascontiguousarray(c, np.int64) for c in columns)
    arranged = arrange(rows, model.tag, row, action, offset, ts_ms, item, id_, context)
    fate, leaving, to_base, ring, to_now, from_base = arranged
    if leaving.shape[1]:
        rows["base"] = model.advance(rows["base"], Steps(*leaving), to_base)
    if ring.shape[1]:
        states = np.where(from_base[:, None], rows["base"], rows["now"])
        rows["now"] = model.advance(states, Steps(*ring), to_now)
    counted = fate >= Fate.LATE
    if not counted.all():
        row, action, ts_ms = row[counted], action[counted], ts_ms[counted]
    windows.add(rows, row, action, ts_ms)
    return fate
