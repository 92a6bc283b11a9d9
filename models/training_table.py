"""What the training loop reads: inputs and targets of every event as tensors, cut in time for validation."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import Tensor

from models.sequences import Sequences, Times, item_rows, sequences, targets, vocabulary


class Table(NamedTuple):
    """Tensors [events] in the order of `sequences`; a target stands as its row's part of the log shows it.

    Fields:
        item, action_gap, hour, context: rows of the network's input tables.
        begins: whether the event is its user's first.
        window_bins: `windows.bins` after the event [events, FEATURES].
        has_next: whether the next event was observed.
        next_item: its row of the item tables, 0: an unknown item or no event.
        next_action: code of the outcome, or IGNORED.
        bins, shares, came: `sequences.Times` of each target [events, TARGETS].
    """

    item: Tensor
    action_gap: Tensor
    hour: Tensor
    context: Tensor
    begins: Tensor
    window_bins: Tensor
    has_next: Tensor
    next_item: Tensor
    next_action: Tensor
    bins: Tensor
    shares: Tensor
    came: Tensor


class Parts(NamedTuple):
    """A log ready for training.

    Fields:
        log: its sequences.
        items: vocabulary of the training part.
        early: which events are before the cut: the training part [events].
        cut_ms: time of the cut; every observation of the training part ends before it.
        newest_ms: time of the newest event.
        table: tensors of both parts.
    """

    log: Sequences
    items: list[str]
    early: npt.NDArray[np.bool_]
    cut_ms: int
    newest_ms: int
    table: Table


def parts(
    events: pl.DataFrame, *, share: float, utc_offset_h: int, leave_after_ms: int, item_count: int, item_cap: int
) -> Parts:
    """Cut a log in time.

    The network reads a user's whole history in both parts, but a row of the training part is followed only to the cut,
    so that nothing of the validation's time is learnt.

    Args:
        events: as `events_file.read_events` returns them.
        share: of the events, kept for validation; the newest ones.
        utc_offset_h: hours from UTC to the shop's time.
        leave_after_ms: silence after which a user has left.
        item_count: number of times that an item has to occur before the cut to be in the vocabulary.
        item_cap: largest vocabulary.

    Raises:
        ValueError: all events are of the same time, or there are none.
    """
    if events["ts_ms"].n_unique() < 2:
        raise ValueError("learning needs events of at least two moments")
    log = sequences(events, utc_offset_h)
    newest_ms = int(log.ts_ms.max())
    cut_ms = max(int(np.quantile(log.ts_ms, 1 - share, method="higher")), int(log.ts_ms.min()) + 1)
    early = log.ts_ms < cut_ms
    items = vocabulary(events.filter(pl.col("ts_ms") < cut_ms), item_count, item_cap)
    past = targets(log, int(log.ts_ms[early].max()), leave_after_ms)
    future = targets(log, newest_ms, leave_after_ms)

    def either(of_past: npt.NDArray[np.generic], of_future: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.where(early, of_past, of_future))

    def times(field: str) -> Tensor:
        by_target = [(getattr(past, name), getattr(future, name)) for name in ("any", "purchase")]
        return torch.stack([either(getattr(a, field), getattr(b, field)) for a, b in by_target], 1)

    begins = np.zeros(len(early), bool)
    begins[log.first] = True
    known = item_rows(items, log.item)
    table = Table(
        item=torch.from_numpy(known),
        action_gap=torch.from_numpy(log.action_gap),
        hour=torch.from_numpy(log.hour),
        context=torch.from_numpy(log.context),
        begins=torch.from_numpy(begins),
        window_bins=torch.from_numpy(log.window_bins),
        has_next=either(past.came, future.came),
        next_item=either(*(np.where(part.came, np.roll(known, -1), 0) for part in (past, future))),
        next_action=either(past.action, future.action),
        bins=times("bin"),
        shares=times("share").float(),
        came=times("came"),
    )
    return Parts(log, items, early, cut_ms, newest_ms, table)


def observed(table: Table, rows: Tensor, target: int) -> Times:
    """Return the times to a target of some rows."""
    return Times(*(column[rows, target].numpy() for column in (table.bins, table.shares, table.came)))
