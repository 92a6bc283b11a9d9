"""The row of a user as it would be had some events of its ring never come.

The recurrent state is walked again from `base` over what is left, so it is that of the log without these events, to
the bit: the gap of the event after one of them grows. The windows lose what the events had counted. Where the newest
is left out they are those of an earlier moment: what of their buckets had passed by since is counted again from the
ring, so an event older than the ring is missing there if its bucket was passed by, and a bucket that stopped counting
at its largest number stays. In a history that fits the ring neither happens. The older items stay as they are.
"""

import numpy as np
import numpy.typing as npt

from models.features import Steps
from models.predictor import Predictor
from models.state import RESOLUTIONS, RING, Ints, Rows, ring_action, ring_ts_ms

Mask = npt.NDArray[np.bool_]

_RING_FIELDS = ("ring_item", "ring_id", "ring_ts_low", "ring_high", "ring_context")


def ring_steps(rows: Rows) -> tuple[Steps, Mask]:
    """Return the events of each ring, the oldest first, and which places hold one; all arrays [users, RING]."""
    accepted = rows["accepted"].astype(np.int64)[:, None]
    place = np.arange(RING)
    slot = (np.maximum(accepted - RING, 0) + place) % RING
    item, low, high, context = (
        np.take_along_axis(rows[name].astype(np.int64), slot, 1)
        for name in ("ring_item", "ring_ts_low", "ring_high", "ring_context")
    )
    ts_ms = ring_ts_ms(low, high)
    before_ms = np.concatenate([rows["base_ms"][:, None], ts_ms[:, :-1]], 1)
    return Steps(item, ring_action(high), ts_ms, before_ms, context), place < accepted


def without(rows: Rows, left_out: Mask, model: Predictor) -> Rows:
    """Return rows as they would be without some events of their rings.

    What is published or delivered (`applied`, `band`, `silent_s`, `rescore_ms`) stays. The ring of a longer history
    is not filled up with what had left it.

    Args:
        rows: `ROW` [n], of this model; a user may stand there often.
        left_out: which events, the oldest of the ring first [n, RING]; True where the ring holds none does nothing.
        model: made the recurrent states.
    """
    events, held = ring_steps(rows)
    kept, gone = held & ~left_out, held & left_out
    fewer = rows.copy()
    newest_ms = np.where(kept, events.ts_ms, np.maximum(rows["base_ms"], 0)[:, None]).max(1)
    fewer["newest_ms"] = np.where(gone.any(1), newest_ms, rows["newest_ms"])
    np.subtract.at(fewer["total"], (np.nonzero(gone)[0], events.action[gone]), np.uint32(1))
    for name, width_ms, size in RESOLUTIONS:
        _count_again(fewer[name], rows["newest_ms"] // width_ms, fewer["newest_ms"] // width_ms, size,
                     events.action, events.ts_ms // width_ms, kept, gone)  # fmt: skip
    _close_up(fewer, kept)
    fewer["now"] = model.advance(rows["base"], _steps(rows["base_ms"], events, kept), kept.sum(1))
    return fewer


def _steps(base_ms: Ints, events: Steps, kept: Mask) -> Steps:
    """Return the steps over the kept events of each ring, one user after another."""
    item, action, ts_ms, _, context = (column[kept] for column in events)
    user = np.nonzero(kept)[0]
    follows = np.diff(user, prepend=-1) == 0
    before_ms = np.where(follows, np.roll(ts_ms, 1), base_ms[user])
    return Steps(item, action, ts_ms, before_ms, context)


def _count_again(
    buckets: Ints, last: Ints, new_last: Ints, size: int, action: Ints, bucket: Ints, kept: Mask, gone: Mask
) -> None:
    """Take events out of the buckets of one resolution [n, actions, size], and turn these back to an earlier moment.

    Args:
        buckets: counts, changed in place.
        last: number of the newest bucket [n].
        new_last: of the moment to turn back to [n].
        size: number of buckets.
        action: of the events [n, RING].
        bucket: of the events [n, RING].
        kept: which events stay [n, RING].
        gone: which do not [n, RING].
    """
    user = np.broadcast_to(np.arange(len(buckets))[:, None], bucket.shape)
    full = np.iinfo(buckets.dtype).max
    stays = buckets == full
    held = gone & (bucket > last[:, None] - size)
    at = user[held], action[held], bucket[held] % size
    np.subtract.at(buckets, at, buckets.dtype.type(1))
    buckets[stays] = full
    again = kept & (bucket > new_last[:, None] - size) & (bucket <= last[:, None] - size)
    np.add.at(buckets, (user[again], action[again], bucket[again] % size), buckets.dtype.type(1))


def _close_up(rows: Rows, kept: Mask) -> None:
    """Let the kept events of each ring stand from its first slot on, in place."""
    accepted = rows["accepted"].astype(np.int64)
    slot = (np.maximum(accepted - RING, 0)[:, None] + np.arange(RING)) % RING
    user, place = np.nonzero(kept)
    to = (np.cumsum(kept, 1) - 1)[user, place]
    for name in _RING_FIELDS:
        values = rows[name][user, slot[user, place]]
        rows[name] = 0
        rows[name][user, to] = values
    rows["accepted"] = kept.sum(1)
