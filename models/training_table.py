"""What the training loop reads: the inputs of a log and the targets of its training and validation rows, as tensors."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.followers import Followers, followers, recent
from models.log import Log
from models.model_directory import Heads, known_actions
from models.recent import Held, held
from models.sequences import Inputs, Targets, Times, actions, categories, heads_of, inputs, targets, vocabulary
from models.state import OLDER, RING, Floats, Ints


class Steps(NamedTuple):
    """Inputs of the network; tensors [events].

    Fields:
        item, action_gap, hour, context: rows of the network's input tables.
        begins: whether the event is its sequence's first.
        number: of the event in its sequence, from 0 on.
        older: `older_items.of_log` after the event [events, OLDER].
        window_bins: `windows.bins` after the event [events, features].
        latest: `latest.codes` after the event [events, codes].
    """

    item: Tensor
    action_gap: Tensor
    hour: Tensor
    context: Tensor
    begins: Tensor
    number: Tensor
    older: Tensor
    window_bins: Tensor
    latest: Tensor


class Aims(NamedTuple):
    """What came after each event, as far as a split may know; tensors [events].

    Fields:
        known: whether the split observed anything.
        has_next: whether the next event was observed.
        next_item: its row of the item tables, 0: an unknown item or no event.
        next_action: code of the outcome, or IGNORED.
        since_bins, since_shares: how far each wait was when the split began [events].
        bins, shares, came: `sequences.Times` of each target [events, targets].
    """

    known: Tensor
    has_next: Tensor
    next_item: Tensor
    next_action: Tensor
    since_bins: Tensor
    since_shares: Tensor
    bins: Tensor
    shares: Tensor
    came: Tensor


class Parts(NamedTuple):
    """A log ready for training.

    Fields:
        log: its sequences.
        heads: what the model is to tell apart and predict.
        items: vocabulary of the training rows.
        category: of each row of the item tables, 0: none [items + 1].
        action: code of each event's action in `heads` [events].
        steps: inputs.
        followers: what followed what in training rows.
        train, validation: targets.
    """

    log: Log
    heads: Heads
    items: list[str]
    category: Ints
    action: Ints
    steps: Steps
    followers: Followers
    train: Aims
    validation: Aims

    def held(self, rows: Tensor, *, learning: bool = False) -> tuple[Held, Ints]:
        """Return the last items up to each of some events, and where the tables of what followed them begin [rows].

        Args:
            rows: which events [rows].
            learning: what followed is of other sequences only.
        """
        number = self.steps.number.numpy()
        last, done = (recent(column, number, rows.numpy()) for column in (self.steps.item.numpy(), self.action))
        made = self.followers
        first = made.part[rows.numpy()] * made.rows if learning else np.full(len(rows), made.all_first)
        return held(last, done, self.steps.older[rows].numpy(), len(self.heads.actions)), first


def parts(log: Log, *, utc_offset_h: int, leave_after_ms: int, item_count: int, item_cap: int) -> Parts:
    """Make a log's tensors.

    The network reads the whole history of a row in both parts; a row is learnt from only as far as training rows tell.

    Args:
        log: sequences.
        utc_offset_h: hours from UTC to the shop's time.
        leave_after_ms: silence after which a user has left.
        item_count: number of times that an item has to occur in training rows to be in the vocabulary.
        item_cap: largest vocabulary.

    Raises:
        ValueError: there is nothing to learn from.
    """
    heads = heads_of(log)
    if log.timed and len(np.unique(log.ts_ms)) < 2:
        raise ValueError("learning needs events of at least two moments")
    items = vocabulary(log, item_count, item_cap)
    made = inputs(log, heads, items, utc_offset_h)
    both = [aims(targets(log, split, heads, leave_after_ms), made) for split in ("train", "validation")]
    if not bool(both[0].known.any()):
        raise ValueError("no training row has a row before it: there is nothing to learn from")
    learnt = np.roll(both[0].has_next.numpy(), 1)
    counted = followers(made.item, made.number, learnt, len(items))
    return Parts(log, heads, items, categories(log, items), actions(log, heads), steps(made), counted, *both)


def coming_again(made: Parts, rows: Tensor, counts: Ints) -> Floats:
    """Return the log of how much more often the last items came next than their shares, by `Held.code` [codes].

    Args:
        made: of which log.
        rows: which have a next item [rows].
        counts: how often each table row was the next item [items + 1].
    """
    last, _ = made.held(rows)
    share = counts / max(counts[1:].sum(), 1)
    size = RING * known_actions(len(made.heads.actions)) + OLDER
    came = last.item == made.train.next_item[rows].numpy()[:, None]
    met = np.bincount(last.code[(last.item > 0) & came], minlength=size)
    expected = np.bincount(last.code[last.item > 0], share[last.item[last.item > 0]], minlength=size)
    ratio: Floats = np.log((met + 1) / (expected + 1))
    return ratio


def steps(made: Inputs) -> Steps:
    """Return inputs as tensors."""
    return Steps(**{name: _tensor(column) for name, column in made._asdict().items()})


def aims(came: Targets, made: Inputs) -> Aims:
    """Return targets as tensors."""

    def times(field: str) -> Tensor:
        columns = [_tensor(getattr(time, field)) for time in came.times]
        return torch.stack(columns, 1) if columns else torch.zeros(len(came.known), 0)

    return Aims(
        known=_tensor(came.known),
        has_next=_tensor(came.came),
        next_item=_tensor(np.where(came.came, np.roll(made.item, -1), 0)),
        next_action=_tensor(came.action),
        since_bins=_tensor(came.since.bin),
        since_shares=_tensor(came.since.share).float(),
        bins=times("bin"),
        shares=times("share").float(),
        came=times("came"),
    )


def observed(aimed: Aims, rows: Tensor, target: int) -> Times:
    """Return the times to a target of some rows."""
    return Times(*(column[rows, target].numpy() for column in (aimed.bins, aimed.shares, aimed.came)))


def _tensor(column: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(column))
