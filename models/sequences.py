"""An event log as the network sees it: each user's events in serving's order, with inputs and targets of each step.

Inputs are made by the code that serves (`features`, `windows`), so that training cannot see anything else.
"""

from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from models import windows
from models.features import GAP_EDGES_MS, GAPS, context_code, gap_code, hour_of_week
from models.model_directory import OUTCOMES
from models.state import ACTIONS, Floats, Ints, empty_rows
from models.survival import STARTS_MS, WIDTHS_MS
from models.windows import FEATURES

IGNORED = -1
"""Target of a row that says nothing about a head."""

_LEAVE = len(OUTCOMES) - 1
_PURCHASE = ACTIONS.index("purchase")
_USERS_AT_ONCE = 65_536  # rows of the windows kept in memory: 50 MB


class Sequences(NamedTuple):
    """All events, user after user, each user's in order; arrays [events] but for `first`.

    Fields:
        first: where each user begins [users].
        item: crc32 of the item id.
        action, ts_ms: code of the action, time.
        action_gap, hour, context: rows of the tables of these names.
        window_bins: `windows.bins` after the event [events, FEATURES].
    """

    first: Ints
    item: Ints
    action: Ints
    ts_ms: Ints
    action_gap: Ints
    hour: Ints
    context: Ints
    window_bins: Ints


class Times(NamedTuple):
    """Times to an event on the bins of `features`; arrays [events].

    Fields:
        bin: time bin in which the event came or the observation ended.
        share: how many widths of that bin passed before; for an event whole ones only: its bin is all that is scored.
        came: whether the event came.
    """

    bin: Ints
    share: Floats
    came: npt.NDArray[np.bool_]


class Targets(NamedTuple):
    """What came after each event, as far as it was observed; arrays [events].

    Fields:
        came: whether a next event was observed: it is the next row.
        action: code of the outcome, or IGNORED.
        any, purchase: time to the next event and to the next purchase.
    """

    came: npt.NDArray[np.bool_]
    action: Ints
    any: Times
    purchase: Times


def sequences(events: pl.DataFrame, utc_offset_h: int) -> Sequences:
    """Order a log as serving orders it and make the inputs of every step.

    Args:
        events: as `events_file.read_events` returns them.
        utc_offset_h: hours from UTC to the shop's time.
    """
    code = {name: number for number, name in enumerate(ACTIONS)}
    ordered = (
        events.select(
            pl.col("user_id"),
            pl.col("ts_ms"),
            pl.col("action").replace_strict(code, return_dtype=pl.Int64),
            _hashes(events["event_id"]).alias("id"),
            _hashes(events["item_id"]).alias("item"),
            _contexts(events).alias("context"),
        )
        .unique(["user_id", "ts_ms", "action", "id", "item"], keep="first", maintain_order=True)
        .sort("user_id", "ts_ms", "action", "id", "item", maintain_order=True)
    )
    user = ordered["user_id"].rle_id().to_numpy()
    first = np.flatnonzero(np.diff(user, prepend=np.iinfo(user.dtype).max))
    ts_ms, action = ordered["ts_ms"].to_numpy(), ordered["action"].to_numpy()
    before = np.diff(ts_ms, prepend=0)
    before[first] = -1
    return Sequences(
        first=first,
        item=ordered["item"].to_numpy(),
        action=action,
        ts_ms=ts_ms,
        action_gap=action * GAPS + gap_code(before),
        hour=hour_of_week(ts_ms, utc_offset_h),
        context=ordered["context"].to_numpy(writable=True),
        window_bins=_window_bins(first, action, ts_ms),
    )


def _hashes(ids: pl.Series) -> pl.Series:
    names = ids.unique()
    hashes = pl.Series([crc32(name.encode()) for name in names], dtype=pl.UInt32)
    return ids.replace_strict(names, hashes, return_dtype=pl.UInt32)


def _contexts(events: pl.DataFrame) -> pl.Series:
    known = events.select(
        pl.col("device") if "device" in events.columns else pl.lit(None, pl.String).alias("device"),
        pl.col("price") if "price" in events.columns else pl.lit(None, pl.Float64).alias("price"),
    )
    if known.height != events.height:  # neither column is there
        return pl.zeros(len(events), dtype=pl.Int64, eager=True)
    codes = known.unique()
    codes = codes.with_columns(code=pl.Series([context_code(*row) for row in codes.rows()], dtype=pl.Int64))
    return known.join(codes, on=["device", "price"], how="left", nulls_equal=True, maintain_order="left")["code"]


def _window_bins(first: Ints, action: Ints, ts_ms: Ints) -> Ints:
    """Return `windows.bins` after each event, computed in waves: the k-th event of every user in one call."""
    bins = np.empty((len(ts_ms), FEATURES), np.uint8)
    lengths = np.diff(first, append=len(ts_ms))
    longest = np.argsort(-lengths, kind="stable")
    for start in range(0, len(first), _USERS_AT_ONCE):
        users = longest[start : start + _USERS_AT_ONCE]
        rows = empty_rows(len(users))
        busy = len(users)
        for wave in range(lengths[users[0]]):
            while lengths[users[busy - 1]] <= wave:
                busy -= 1
            event = first[users[:busy]] + wave
            windows.add(rows[:busy], np.arange(busy), action[event], ts_ms[event])
            bins[event] = windows.bins(rows[:busy])
    return bins


def targets(log: Sequences, end_ms: int, leave_after_ms: int) -> Targets:
    """Return what came after each event, observed up to and including `end_ms`; rows after it mean nothing.

    A user's last event is followed by "leave" if the observation went on for longer than `leave_after_ms`; else nobody
    knows.
    """
    following = np.append(log.ts_ms[1:], 0)
    last = np.zeros(len(log.ts_ms), bool)
    last[log.first[1:] - 1] = last[-1:] = True
    came = ~last & (following <= end_ms)
    gap = np.where(came, following, end_ms) - log.ts_ms
    action = np.where(came, np.append(log.action[1:], 0), IGNORED)
    action[gap > leave_after_ms] = _LEAVE
    return Targets(
        came=came,
        action=action,
        any=_times(gap, came),
        purchase=_to_purchase(log, end_ms),
    )


def _to_purchase(log: Sequences, end_ms: int) -> Times:
    bought = np.flatnonzero(log.action == _PURCHASE)
    place = np.arange(len(log.ts_ms))
    following = np.append(bought, len(place))[np.searchsorted(bought, place, side="right")]
    user_end = np.repeat(np.append(log.first[1:], len(place)), np.diff(log.first, append=len(place)))
    when = np.append(log.ts_ms, 0)[following]
    came = (following < user_end) & (when <= end_ms)
    return _times(np.where(came, when, end_ms) - log.ts_ms, came)


def _times(gap_ms: Ints, came: npt.NDArray[np.bool_]) -> Times:
    bin_ = np.searchsorted(GAP_EDGES_MS, gap_ms, side="right")
    share = (gap_ms - STARTS_MS[bin_]) / WIDTHS_MS[bin_]
    return Times(bin_, np.where(came, np.floor(share), share), came)


def vocabulary(events: pl.DataFrame, at_least: int, at_most: int) -> list[str]:
    """Return the ids of the items that occur often enough, the most frequent first, one for each crc32.

    Serving finds items by crc32: of two items with the same one, the more frequent stands for both.
    """
    counts = events.group_by("item_id").len().filter(pl.col("len") >= at_least)
    counts = counts.sort(["len", "item_id"], descending=[True, False])
    kept = counts.with_columns(hash=_hashes(counts["item_id"])).unique("hash", keep="first", maintain_order=True)
    return kept["item_id"].head(at_most).to_list()


def item_rows(items: list[str], item: Ints) -> Ints:
    """Return the row in the item tables of each crc32 [n], as `vocabulary` orders them; 0 for all other items."""
    hashes = np.array([crc32(name.encode()) for name in items], np.uint32)
    order = np.argsort(hashes)
    rows = np.append(order + 1, 0)
    place = np.searchsorted(hashes[order], item)
    found = np.append(hashes[order], 0)[place] == item
    return np.where(found, rows[place], 0)
