"""A log as the network sees it: inputs of each step, and what came after it as far as a split may know.

Inputs are made by the code that serves (`features`, `windows`), so that training cannot see anything else.
"""

from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features import GAP_EDGES_MS, GAPS, context_code, gap_code, hour_of_week
from models.item_index import ItemIndex, item_hashes
from models.latest import log_codes
from models.log import SPLITS, Log, cuts_through
from models.log_windows import window_bins
from models.model_directory import LEAVE, SERVED, TARGETS, Heads
from models.older_items import of_log, older_key
from models.state import OLDER_KEY_BITS, Floats, Ints
from models.survival import widths_passed

IGNORED = -1
"""Target of a row that says nothing about a head."""

Bools = npt.NDArray[np.bool_]

_CIRCUMSTANCES = ["device", "price", "quantity"]


class Inputs(NamedTuple):
    """Inputs of the steps of a log; arrays [events].

    Fields:
        begins: whether the event is its sequence's first.
        number: of the event in its sequence, from 0 on.
        older: `older_items.of_log` after the event [events, OLDER].
        item: row of the item tables.
        action_gap, hour, context: rows of the tables of these names; hours are 0 without times.
        window_bins: `windows.bins` after the event [events, features].
        latest: `latest.codes` after the event [events, codes].
    """

    begins: Bools
    number: Ints
    older: npt.NDArray[np.int32]
    item: Ints
    action_gap: Ints
    hour: Ints
    context: Ints
    window_bins: npt.NDArray[np.uint8]
    latest: npt.NDArray[np.int16]


class Times(NamedTuple):
    """Times to an event on the bins of `features`; arrays [events].

    Fields:
        bin: time bin in which the event came or the observation ended.
        share: how many widths of that bin passed before (`survival.widths_passed`); for an event whole ones only: its
            bin is all that is scored.
        came: whether the event came. No event and no longer a wait than when the split began says nothing.
    """

    bin: Ints
    share: Floats
    came: Bools


class Targets(NamedTuple):
    """What came after each event, as far as a split may know; arrays [events].

    Fields:
        known: whether something was observed: the next event, or silence to the end.
        came: whether a next event was observed: it is the next row.
        action: code of the outcome, or IGNORED.
        since: how far each wait was when the split began, which says nothing of what the split observed; no event.
        times: to each target of the heads.
    """

    known: Bools
    came: Bools
    action: Ints
    since: Times
    times: list[Times]


def heads_of(log: Log) -> Heads:
    """Return what a model of a log tells apart and predicts; where it can, what is served."""
    if log.timed and set(log.actions) <= set(SERVED.actions):
        return SERVED
    return Heads(log.actions, tuple(t for t in TARGETS if t == TARGETS[0] or t in log.actions) if log.timed else ())


def inputs(log: Log, heads: Heads, items: list[str], utc_offset_h: int) -> Inputs:
    """Return the inputs of every step.

    Args:
        log: sequences.
        heads: of the model.
        items: the model's vocabulary.
        utc_offset_h: hours from UTC to the shop's time.

    Raises:
        ValueError: the model does not know an action, or needs times.
    """
    begins = np.zeros(len(log.item), bool)
    begins[log.first] = True
    number = np.arange(len(begins)) - log.first[np.cumsum(begins) - 1]
    action = actions(log, heads)
    hashes, known = item_hashes(log.items), item_hashes(items)
    rows, key = ItemIndex(known).rows(hashes), older_key(hashes)
    older_rows = ItemIndex(older_key(known), OLDER_KEY_BITS).rows(key)
    older = of_log(log.first, key[log.item], older_rows[log.item])
    context = _contexts(log.columns)
    latest = log_codes(log.first, action, hashes[log.item], log.ts_ms, context, len(heads.actions))
    if not heads.timed:
        nothing = np.zeros(len(action), np.int64)
        no_windows = np.zeros((len(action), 0), np.uint8)
        return Inputs(begins, number, older, rows[log.item], action, nothing, context, no_windows, latest)
    if not log.timed:
        raise ValueError("the model learnt from times, and these events have none")
    before = np.where(begins, -1, np.diff(log.ts_ms, prepend=0))
    return Inputs(
        begins=begins,
        number=number,
        older=older,
        item=rows[log.item],
        action_gap=action * GAPS + gap_code(before),
        hour=hour_of_week(log.ts_ms, utc_offset_h),
        context=context,
        window_bins=window_bins(log.first, action, log.ts_ms, len(heads.actions)),
        latest=latest,
    )


def actions(log: Log, heads: Heads) -> Ints:
    """Return each event's action as the model codes it [events].

    Raises:
        ValueError: the model does not know one.
    """
    strange = [name for name in log.actions if name not in heads.actions]
    if strange:
        raise ValueError(f"the model knows no action {strange[0]!r}; it learnt {', '.join(heads.actions)}")
    codes: Ints = np.array([heads.actions.index(name) for name in log.actions], np.int64)[log.action]
    return codes


def _contexts(columns: pl.DataFrame) -> Ints:
    given = [name for name in _CIRCUMSTANCES if name in columns.columns]
    if not given:
        return np.zeros(len(columns), np.int64)
    missing = (pl.lit(None).alias(name) for name in _CIRCUMSTANCES if name not in given)
    known = columns.select(given).with_columns(missing).select(_CIRCUMSTANCES)
    codes = known.unique(maintain_order=True)
    codes = codes.with_columns(code=pl.Series([context_code(*row) for row in codes.rows()], dtype=pl.Int64))
    joined = known.join(codes, on=_CIRCUMSTANCES, how="left", nulls_equal=True, maintain_order="left")
    return joined["code"].to_numpy(writable=True)


def targets(log: Log, split: str, heads: Heads, leave_after_ms: int) -> Targets:
    """Return what came after each event as a split knows it: its own rows, and silence to its newest row.

    A row that another split's row follows knows no more than that nothing came until the split's newest row, and not
    even that if the other row is no newer: that there is one would tell what is to be predicted. Where a split that
    judges begins in the middle of sequences, those that stay silent all through it say so too: without them, whoever
    was silent would seem to have come back. Of a model that is served, a last event is followed by "leave" if the
    observation went on for longer than `leave_after_ms`; a wait that was so long already when the split began says
    nothing of that.

    Args:
        log: sequences.
        split: one of `SPLITS`.
        heads: of the model.
        leave_after_ms: silence after which a user has left.
    """
    mine = log.split == SPLITS.index(split)
    last = np.zeros(len(mine), bool)
    last[log.first[1:] - 1] = last[-1:] = True
    following = np.where(last, len(mine), np.arange(1, len(mine) + 1))
    came = np.append(mine, False)[following]
    codes = np.append(actions(log, heads), 0)
    action = np.where(came, codes[following], IGNORED)
    if not heads.timed:
        nothing = np.zeros(len(mine), np.int64)
        return Targets(came, came, action, _times(nothing, came, ~came, nothing), [])
    begin_ms, end_ms = (int(f(log.ts_ms[mine])) if mine.any() else 0 for f in (np.min, np.max))
    when = np.append(log.ts_ms, np.iinfo(np.int64).max)
    known = came | (_watched(log, split, end_ms) & (when[following] > end_ms))
    gap_ms = np.where(came, when[following], end_ms) - log.ts_ms
    since_ms = np.maximum(begin_ms - log.ts_ms, 0)
    if LEAVE in heads.outcomes:
        action[known & (gap_ms > leave_after_ms)] = heads.outcomes.index(LEAVE)
        action[since_ms > leave_after_ms] = IGNORED
    since = _times(since_ms, np.zeros_like(known), known, since_ms)
    times = [_times(gap_ms, came, known, since_ms)]
    stranger = _next(log.first, ~mine)
    for target in heads.targets[1:]:
        place = _next(log.first, codes[:-1] == heads.actions.index(target))
        reached = known & (place < stranger)
        silent = known & ~reached & (when[stranger] > end_ms)
        gap_ms = np.where(reached, when[place], end_ms) - log.ts_ms
        times.append(_times(gap_ms, reached, reached | silent, since_ms))
    return Targets(known, came, action, since, times)


def _watched(log: Log, split: str, end_ms: int) -> Bools:
    """Return which rows of people whom a split observes may be the last ones before a silence [events]."""
    watched: Bools = log.split == SPLITS.index(split)
    if split != "train" and cuts_through(log, split):
        watched = watched | ((log.split == SPLITS.index("train")) & (log.ts_ms <= end_ms))
    return watched


def _next(first: Ints, wanted: Bools) -> Ints:
    """Return the next row after each that is wanted in its sequence, the number of rows if none is [events]."""
    count = len(wanted)
    those = np.append(np.flatnonzero(wanted), count)
    place = those[np.searchsorted(those[:-1], np.arange(count), side="right")]
    ends = np.repeat(np.append(first[1:], count), np.diff(first, append=count))
    return np.where(place < ends, place, count)


def _times(gap_ms: Ints, came: Bools, known: Bools, since_ms: Ints) -> Times:
    gap_ms = np.where(known, np.maximum(gap_ms, since_ms), since_ms)
    bin_ = np.searchsorted(GAP_EDGES_MS, gap_ms, side="right")
    share = widths_passed(bin_, gap_ms)
    return Times(bin_, np.where(came, np.floor(share), share), came & known)


def vocabulary(log: Log, at_least: int, at_most: int) -> list[str]:
    """Return the ids of the items that occur often enough in training rows, the most frequent first, one a crc32.

    Serving finds items by crc32: of two items with the same one, the more frequent stands for both.
    """
    counts = np.bincount(log.item[log.split == SPLITS.index("train")], minlength=len(log.items))
    held: set[int] = set()
    names: list[str] = []
    order = sorted(np.flatnonzero(counts >= at_least).tolist(), key=lambda code: (-counts[code], log.items[code]))
    for code in order:
        name = log.items[code]
        hash_ = crc32(name.encode())
        if hash_ not in held and len(names) < at_most:
            held.add(hash_)
            names.append(name)
    return names


def categories(log: Log, items: list[str]) -> Ints:
    """Return the category of each row of the item tables [items + 1]: the one it had most often in training rows.

    They are numbered from 1 on; 0 stands for none, as the unknown item has. Where each category has one item, they say
    nothing, and all have none.
    """
    found = np.zeros(len(items) + 1, np.int64)
    if "category" not in log.columns.columns:
        return found
    named = log.columns["category"].cast(pl.String)
    known = (log.split == SPLITS.index("train")) & named.is_not_null().to_numpy()
    places = {name: row for row, name in enumerate(items, 1)}
    rows = np.array([places.get(name, 0) for name in log.items], np.int64)[log.item]
    seen = known & (rows > 0)
    frame = pl.DataFrame({"row": rows[seen], "category": named.filter(pl.Series(seen))})
    most = frame.group_by("row", "category").len().sort("row", "len", "category", descending=[False, True, False])
    first = most.unique("row", keep="first", maintain_order=True)
    if first["category"].n_unique() < len(first):
        found[first["row"].to_numpy()] = first["category"].rank("dense").to_numpy()
    return found
