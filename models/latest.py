"""What the heads read of a user's last events beside the recurrent state: a few codes, each the row of one table.

A state of few numbers has to learn from the log what it keeps. What often decides what comes next is handed to the
heads as it is: the last actions, whether they were on one item, how far apart the events were, how many there have been
(recency and frequency: Fader, Hardie and Lee, RFM and CLV, 2005). Each code picks a row that is added to the logits.

All of it follows from the last `LATEST` events of the ring and the totals of a row. Fewer than the ring holds: when
some of its events are left out (`models.left_out`), the ring is not filled up, and the codes stay exact all the same.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.features import GAPS, PRICES, gap_bin
from models.state import ACTION_SHIFT, RING, Ints, Rows

LATEST = 8
"""Number of last events that are looked at."""

COLUMNS = 10
"""Number of codes: see `sizes`."""

VISIT_GAP_MS = 30 * 60_000
"""A gap of at least this begins a new visit."""

TOTAL_EDGES = np.array([1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 257, 513, 1025])

_MOST_ACTIONS = 18  # more share codes: three of them in a row would need a table of their own size
_LOW_BITS = 32


def sizes(actions: int) -> tuple[int, ...]:
    """Return how many values each code has [COLUMNS].

    In order: the last three actions; the last two; the last action, and how many events ago its item was met before
    (0: not); the actions that this item and the one before it began with; the last action, and how many events in a
    row were on its item; the last action and the gap before it; the time that the last events span; the number of all
    events; how many visits the last events were and how many the newest has had of them; the mean of their price codes.
    Where there is no such event, that is one more action.

    Args:
        actions: number of actions.

    >>> sizes(3), len(sizes(40)) == COLUMNS
    ((64, 16, 32, 16, 32, 104, 26, 19, 65, 32), True)
    """
    known = min(actions, _MOST_ACTIONS) + 1
    return (
        known**3,
        known**2,
        known * LATEST,
        known**2,
        known * LATEST,
        known * GAPS,
        GAPS,
        len(TOTAL_EDGES) + 1,
        LATEST * LATEST + 1,
        PRICES,
    )


def ordered(actions: int) -> list[slice]:
    """Return which rows of the table stand for one number growing: the span, the number of events, the mean price.

    >>> [part.stop - part.start for part in ordered(3)]
    [25, 19, 31]
    """
    ends = np.cumsum(sizes(actions)).tolist()
    return [slice(ends[5], ends[6] - 1), slice(ends[6], ends[7]), slice(ends[8] + 1, ends[9])]


def codes(rows: Rows, actions: int) -> Ints:
    """Return the rows of the table that each user's last events pick [users, COLUMNS].

    Args:
        rows: `ROW` [users].
        actions: number of actions of the model.

    >>> from models.state import empty_rows
    >>> codes(empty_rows(1), 3)[0].tolist() == nothing(3).tolist()
    True
    """
    found = np.empty((len(rows), COLUMNS), np.int64)
    _of_rows(rows, _starts(actions), min(actions, _MOST_ACTIONS), found)
    return found


def nothing(actions: int) -> Ints:
    """Return the codes of a user without an event [COLUMNS]."""
    known = min(actions, _MOST_ACTIONS)
    none = np.zeros(0, np.int64)
    found = np.empty(COLUMNS, np.int64)
    _code(none, none, none, none, 0, 0, known, _starts(actions), found)
    return found


def log_codes(first: Ints, action: Ints, item: Ints, ts_ms: Ints, context: Ints, actions: int) -> npt.NDArray[np.int16]:
    """Return `codes` after every event of a log, of any number of actions [events, COLUMNS].

    Args:
        first: number of each sequence's first event [sequences].
        action: code of each event's action, less than `actions` [events].
        item: what is the same for the same item [events].
        ts_ms: time of each event, all the same where there are none [events].
        context: `features.context_code` of each event [events].
        actions: number of actions.

    >>> log_codes(np.array([0]), np.array([0, 1]), np.array([7, 7]), np.array([0, 999]), np.array([0, 0]), 3).shape
    (2, 10)
    """
    found = np.empty((len(action), COLUMNS), np.int16)
    ends = np.append(first[1:], len(action))
    first, ends, action = (np.ascontiguousarray(column, np.int64) for column in (first, ends, action))
    item, ts_ms, context = (np.ascontiguousarray(column, np.int64) for column in (item, ts_ms, context))
    _of_log(first, ends, action, item, ts_ms, context, _starts(actions), min(actions, _MOST_ACTIONS), found)
    return found


@cache
def _starts(actions: int) -> Ints:
    starts: Ints = np.cumsum([0, *sizes(actions)[:-1]])
    return starts


@compiled
def _of_rows(rows: Rows, starts: Ints, known: int, found: Ints) -> None:
    action, item = np.empty(LATEST, np.int64), np.empty(LATEST, np.int64)
    ts_ms, price = np.empty(LATEST, np.int64), np.empty(LATEST, np.int64)
    for user in range(len(rows)):
        mine = rows[user]
        accepted = int(np.int64(mine["accepted"]))
        count = min(accepted, LATEST)
        for k in range(count):
            slot = (accepted - 1 - k) % RING
            high = np.int64(mine["ring_high"][slot])
            action[k] = (high >> ACTION_SHIFT) % known
            item[k], price[k] = np.int64(mine["ring_item"][slot]), np.int64(mine["ring_context"][slot]) % PRICES
            ts_ms[k] = np.int64(mine["ring_ts_low"][slot]) | (high & (1 << ACTION_SHIFT) - 1) << _LOW_BITS
        total = 0
        for k in range(len(mine["total"])):
            total += int(np.int64(mine["total"][k]))
        _code(action, item, ts_ms, price, count, total, known, starts, found[user])


@compiled
def _of_log(
    first: Ints,
    ends: Ints,
    action: Ints,
    item: Ints,
    ts_ms: Ints,
    context: Ints,
    starts: Ints,
    known: int,
    found: npt.NDArray[np.int16],
) -> None:
    actions, items = np.empty(LATEST, np.int64), np.empty(LATEST, np.int64)
    times, prices = np.empty(LATEST, np.int64), np.empty(LATEST, np.int64)
    code = np.empty(COLUMNS, np.int64)
    for sequence in range(len(first)):
        for event in range(first[sequence], ends[sequence]):
            total = event - first[sequence] + 1
            count = min(total, LATEST)
            for k in range(count):
                actions[k], items[k] = action[event - k] % known, item[event - k]
                times[k], prices[k] = ts_ms[event - k], context[event - k] % PRICES
            _code(actions, items, times, prices, count, total, known, starts, code)
            for k in range(COLUMNS):
                found[event, k] = code[k]


@compiled
def _code(
    action: Ints, item: Ints, ts_ms: Ints, price: Ints, count: int, total: int, known: int, starts: Ints, code: Ints
) -> None:
    """Write the codes of the last events, the newest first; an action below 0 or from `known` on is none."""
    width = known + 1
    one, two, three = known, known, known
    if count > 0:
        one = action[0]
    if count > 1:
        two = action[1]
    if count > 2:
        three = action[2]
    run = 1  # of events on the item of the newest
    while run < count and item[run] == item[0]:
        run += 1
    source = action[run - 1] if count > 0 else known
    before = run
    while before < count and item[before] == item[run]:
        before += 1
    source_before = action[before - 1] if run < count else known
    met = 1  # when the item of the newest was met before
    while met < count and item[met] != item[0]:
        met += 1
    visits, steps = 1, 1
    for k in range(1, count):
        if ts_ms[k - 1] - ts_ms[k] >= VISIT_GAP_MS:
            visits += 1
        elif visits == 1:
            steps += 1
    gap_ms = ts_ms[0] - ts_ms[1] if count > 1 else -1
    span_ms = ts_ms[0] - ts_ms[count - 1] if count > 1 else -1
    size = 0
    while size < len(TOTAL_EDGES) and total >= TOTAL_EDGES[size]:
        size += 1
    code[0] = (one * width + two) * width + three
    code[1] = one * width + two
    code[2] = one * LATEST + (met if met < count else 0)
    code[3] = source * width + source_before
    code[4] = one * LATEST + run - 1
    code[5] = one * GAPS + gap_bin(gap_ms)
    code[6] = gap_bin(span_ms)
    code[7] = size
    code[8] = (visits - 1) * LATEST + steps if count > 0 else 0
    code[9] = _mean_known(price, count)
    for k in range(COLUMNS):
        code[k] += starts[k]


@compiled
def _mean_known(price: Ints, count: int) -> int:
    total, known = 0, 0
    for k in range(count):
        if price[k] > 0:
            total, known = total + price[k], known + 1
    return (2 * total + known) // (2 * known) if known > 0 else 0
