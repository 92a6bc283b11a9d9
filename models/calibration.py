"""Probabilities that can be believed: each head held against what came on validation rows, and put right.

The logits of a head are scaled by one number and shifted by one a class or time bin: vector scaling with one
temperature for all (Guo et al., On calibration of modern neural networks, ICML 2017). The next item's are scaled only.
Heads are linear, so this is folded into their weights: what serves knows nothing of it. How sure to be of the likeliest
item is not linear in the scores: its curve changes no rank, and goes into the card (`models.likeliest`).
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.evaluation.binary import LEAST
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.calibration import calibration_error
from models.item_calibration import NONE, item_parts
from models.item_calibration import fit as fit_items
from models.likeliest import AS_SAID, Curve, fit_by_fold
from models.likeliest import fit as fit_curve
from models.network import LIMIT, Network, item_scores, readout, time_loss
from models.sequences import IGNORED
from models.state import RING, Ints
from models.training_table import Aims, Parts
from models.validation import Validation

FOLDS = 5
"""Parts of the sequences: what is reported of one was fitted on the others."""

_LEAST_SEQUENCES = 20
_MOST_ROWS = 50_000  # more say no more of so few numbers
_MOST_SCORES = 200_000_000  # of items, looked at for their five numbers: seconds
_LEAST_ITEM_ROWS = 1_000  # however many items there are
_BLOCK = 4_000_000  # of items, held at a time
_HELD = 4.0  # precision of the prior that holds slopes at 1 and shifts at 0

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""The loss of each row in nats, of logits [n, logits] and which rows they are of [n]."""


class Scaling(NamedTuple):
    """What is done to the logits of a head: `slope * logits + shift`."""

    slope: float
    shift: Tensor  # [logits]

    def of(self, logits: Tensor) -> Tensor:
        """Return the logits put right [n, logits]."""
        return self.slope * logits + self.shift


class Head(NamedTuple):
    """A head on the rows that say something about it.

    Fields:
        name: as in the card.
        first: where its logits begin in the readout.
        logits: in float64 [n, logits].
        fold: of each row [n].
        loss: of its logits.
        reliability: probabilities, and which of them came true, of the logits of all rows.
    """

    name: str
    first: int
    logits: Tensor
    fold: Tensor
    loss: Loss
    reliability: Callable[[Tensor], tuple[Tensor, Tensor]]


def fit(head: Head, rows: Tensor) -> Scaling:
    """Return the scaling of the least loss on some rows [n], held near none by a weak prior."""
    logits = head.logits[rows]
    numbers = torch.zeros(1 + logits.shape[1], dtype=torch.float64, requires_grad=True)  # slope - 1, shift
    optimizer = torch.optim.LBFGS([numbers], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = head.loss((1 + numbers[0]) * logits + numbers[1:], rows).sum() + _HELD / 2 * (numbers**2).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    with torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    found = numbers.detach()
    return Scaling(float(1 + found[0]), found[1:])


def calibrate(network: Network, log: Parts, validation: Validation) -> tuple[dict[str, Any], Curve]:
    """Calibrate the heads of a network in place; return what was fitted, with loss and ECE before and after.

    Both figures are of rows whose scaling was fitted on other sequences; a head that gains nothing there stays as it
    is. The ECE of a time head is of its hazards, over all bins that were waited through; of the others, of what they
    hold most likely.

    Args:
        network: its heads are changed.
        log: that it was trained on.
        validation: its rows.

    Returns:
        what was fitted, for the card's metrics, and the curve of the likeliest item.
    """
    sequence = np.searchsorted(log.log.first, validation.rows.numpy(), side="right")
    if len(np.unique(sequence)) < _LEAST_SEQUENCES:
        return {}, AS_SAID
    weights, told = network.on_grid(), dict[str, Any]()
    kept = slice(None, None, -(-len(sequence) // _MOST_ROWS))
    rows, h, fold = validation.rows[kept], validation.states(weights)[kept], torch.from_numpy(_folds(sequence)[kept])
    slopes, shifts = torch.ones(log.heads.readout), torch.zeros(log.heads.readout)
    with torch.no_grad():
        for head in _heads(weights, log, rows, h, fold):
            scaling, told[head.name] = _put_right(head)
            part = slice(head.first, head.first + head.logits.shape[1])
            slopes[part], shifts[part] = scaling.slope, scaling.shift.float()
        items, told["next_item"] = _put_items_right(weights, log, rows, h, fold)
        fold_in(network, slopes, shifts, items)
        curve, told["likeliest_item"] = _bend_likeliest(network.on_grid(), log, rows, h, fold)
    return told, curve


@torch.no_grad()
def fold_in(network: Network, slopes: Tensor, shifts: Tensor, items: Tensor) -> None:
    """Change the weights so that the heads give scaled logits.

    Args:
        network: changed in place.
        slopes: of all logits of the readout [readout].
        shifts: likewise.
        items: factors of the parts of the next item's scores, as `item_calibration.NONE` has them.
    """
    network.settle()
    learnt = dict(network.named_parameters())
    for name in ("readout", "window", "latest", "readout_bias"):
        if name in learnt:
            learnt[name].mul_(slopes)
    learnt["readout_bias"].add_(shifts).clamp_(-LIMIT, LIMIT)
    *_, again, ring = items.tolist()
    for name, factor in zip(("query", "item_bias", "follow_bias", "again_bias"), items.tolist(), strict=False):
        learnt[name].mul_(factor)
    learnt["recent_gate"][:, 1:].mul_(again)
    learnt["again_bias"][:-RING].add_(ring)


def _folds(sequence: Ints) -> Ints:
    """Return the fold of each row [rows]: all rows of a sequence are in one."""
    names, place = np.unique(sequence, return_inverse=True)
    return np.random.default_rng(0).permutation(len(names))[place] % FOLDS


def _heads(weights: dict[str, Tensor], log: Parts, rows: Tensor, h: Tensor, fold: Tensor) -> Iterator[Head]:
    beside = log.steps.window_bins[rows], log.steps.latest[rows]
    logits, hazards = (said.double() for said in readout(weights, log.heads, h, *beside))
    aims = Aims(*(column[rows] for column in log.validation))
    seen = torch.nonzero(aims.next_action != IGNORED)[:, 0]
    if len(seen):
        yield _of_outcomes(logits[seen], aims.next_action[seen], fold[seen])
    for k, target in enumerate(log.heads.targets):
        first = len(log.heads.outcomes) + k * hazards.shape[2]
        yield _of_hazards(f"time_to_{target}", first, hazards[:, k], aims, k, fold)


def _of_outcomes(logits: Tensor, came: Tensor, fold: Tensor) -> Head:
    def loss(said: Tensor, rows: Tensor) -> Tensor:
        return functional.cross_entropy(said, came[rows], reduction="none")

    def reliability(said: Tensor) -> tuple[Tensor, Tensor]:
        most, which = torch.softmax(said, 1).max(1)
        return most, which == came

    return Head("next_action", 0, logits, fold, loss, reliability)


def _of_hazards(name: str, first: int, logits: Tensor, aims: Aims, target: int, fold: Tensor) -> Head:
    times = (aims.bins[:, target], aims.shares[:, target], aims.came[:, target], aims.since_bins, aims.since_shares)
    bin_, _, came, since_bin, since_share = times

    def loss(said: Tensor, rows: Tensor) -> Tensor:
        return time_loss(said, *(column[rows] for column in times))

    def reliability(said: Tensor) -> tuple[Tensor, Tensor]:
        bins = torch.arange(said.shape[1])
        begun = (bins > since_bin[:, None]) | ((bins == since_bin[:, None]) & (since_share[:, None] == 0))
        event = (bins == bin_[:, None]) & came[:, None]
        waited = begun & ((bins < bin_[:, None]) | event)
        return torch.sigmoid(said)[waited], event[waited]

    return Head(name, first, logits, fold, loss, reliability)


def _put_right(head: Head) -> tuple[Scaling, dict[str, Any]]:
    every, after = torch.arange(len(head.logits)), torch.empty_like(head.logits)
    for k in range(FOLDS):
        mine = head.fold == k
        after[mine] = fit(head, every[~mine]).of(head.logits[mine])
    both = (head.logits, after)
    losses = [float(head.loss(said, every).mean()) for said in both]
    told = _told(losses, [head.reliability(said) for said in both])
    if not losses[1] < losses[0]:
        return Scaling(1.0, torch.zeros(head.logits.shape[1])), told
    found = fit(head, every)
    return found, told | {"slope": found.slope, "shift": found.shift.tolist()}


def _put_items_right(
    weights: dict[str, Tensor], log: Parts, row: Tensor, h: Tensor, fold: Tensor
) -> tuple[Tensor, dict[str, Any]]:
    """Return the factors of the parts of the next item's scores."""
    none = torch.tensor(NONE, dtype=torch.float64)
    known = _some(torch.nonzero(log.validation.next_item[row])[:, 0], len(weights["item_bias"]))
    if not len(known):
        return none, {}
    made = item_parts(weights, log, row[known], h[known])
    found, without = fit_items(made, fold[known], FOLDS)
    both = [made.told(none), made.told(without[fold[known]])]
    losses = [float(loss.mean()) for loss, _, _ in both]
    told = _told(losses, [(sure, came) for _, sure, came in both])
    if not losses[1] < losses[0]:
        return none, told
    return found, told | {"factors": found.tolist()}


def _bend_likeliest(
    weights: dict[str, Tensor], log: Parts, row: Tensor, h: Tensor, fold: Tensor
) -> tuple[Curve, dict[str, Any]]:
    """Return the curve of the likeliest item's probability, of rows with any next item: one never learned is another.

    The factors of the parts were fitted on all of these rows: five numbers of thousands.
    """
    items = len(weights["item_bias"])
    followed = _some(torch.nonzero(log.validation.has_next[row])[:, 0], items)
    if not len(followed):
        return AS_SAID, {}
    sure, came = np.empty(len(followed)), np.empty(len(followed), np.bool_)
    for place in torch.split(torch.arange(len(followed)), max(1, _BLOCK // items)):
        some = row[followed[place]]
        scores = item_scores(weights, log.followers.tables, h[followed[place]], *log.held(some))
        most, which = scores.max(1)
        sure[place] = (most - scores.logsumexp(1)).exp().numpy()
        came[place] = (which + 1 == log.validation.next_item[some]).numpy()
    after = fit_by_fold(sure, came, fold[followed].numpy(), FOLDS)
    losses = [float(-np.log(np.maximum(np.where(came, said, 1 - said), LEAST)).mean()) for said in (sure, after)]
    told = _told(losses, [(torch.from_numpy(said), torch.from_numpy(came)) for said in (sure, after)])
    if not losses[1] < losses[0]:
        return AS_SAID, told
    curve = fit_curve(sure, came)
    return curve, told | {"curve": list(curve)}


def _some(place: Tensor, items: int) -> Tensor:
    """Return as many of the places of rows as their scores may be looked at."""
    return place[:: len(place) // max(_LEAST_ITEM_ROWS, _MOST_SCORES // items) + 1]


def _told(losses: list[float], reliabilities: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    errors = []
    for probability, came in reliabilities:
        once = Bootstrap(np.zeros(len(came), np.int64), replicates=0)
        errors.append(calibration_error(once, probability.numpy(), came.double().numpy()).value)
    names = ("before", "after")
    return {
        "log_loss": dict(zip(names, losses, strict=True)),
        "ece": dict(zip(names, errors, strict=True)),
    }
