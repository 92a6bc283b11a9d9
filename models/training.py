"""Learning a model from a log: all heads together, from its training rows, as long as its validation rows gain."""

import hashlib
from collections.abc import Callable
from math import inf, isnan, nan
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import json, to_builtins

from models import checkpoint
from models.calibration import calibrate
from models.checkpoint import Standing
from models.log import SPLITS, Log
from models.model_directory import LEAVE, NOT_VERSIONED, RECENT, SERVED, Card, Model, known_actions
from models.neighbours import neighbours
from models.network import LIMIT, Network
from models.peers import ALONE, Peers
from models.reference import Reference, reference
from models.training_table import Parts, coming_again, parts
from models.updates import Options, Updates
from models.validation import Validation

_TIRED = 2  # epochs without a better validation before the learning rate falls
_ROWS_OF_FLOORS = 200_000
_FALL = 0.2  # what is left of the learning rate then


class Progress(NamedTuple):
    """Where the training stands; losses are nan before the first."""

    epoch: int  # from 1 on
    epochs: int
    share: float  # of the epoch that is done
    loss: float  # mean over the epoch so far
    validation_loss: float  # after the last epoch
    best_loss: float


Report = Callable[[Progress], bool]
"""Told of the progress after each update of the weights and each validation; returns whether to go on."""


def train(
    log: Log,
    card: Card,
    options: Options | None = None,
    report: Report = lambda _: True,
    *,
    folder: Path | None = None,
    resume: bool = False,
    peers: Peers = ALONE,
) -> Model:
    """Learn a model from a log.

    Minimises the sum of the heads' mean losses, weighted by `objective.weighted`, with AdamW (Loshchilov and Hutter,
    Decoupled weight decay regularization, ICLR 2019) on lanes of whole sequences cut into pieces. What is judged and
    kept is a running average of the weights (Polyak and Juditsky, Acceleration of stochastic approximation by
    averaging, 1992), so that the training may end at any time: with the best average so far, when a report returns
    False. When validation gets no better the learning rate falls and the best weights are taken up again, a few times.
    In the end the heads are calibrated on validation rows; the card's figures of these are from before, those of
    calibration from both. The same log, options, machine and number of threads in all processes give the same model,
    resumed or not.

    Args:
        log: sequences; test and context rows are history only.
        card: what the model is for (name, network, shop's time, when silence is leaving, horizons); the rest is
            filled in.
        options: how to train.
        report: told of the progress.
        folder: where to keep a checkpoint after each epoch until the training has ended by itself.
        resume: go on from the checkpoint there.
        peers: processes that train with this one, on the same log; the first judges, calibrates and writes.

    Raises:
        ValueError: the log is too small to learn from, or there is no such training to resume.
        OSError: the checkpoint cannot be written.
    """
    options = options or Options()
    digest = [float(int(fingerprint(log)["sha256"][:12], 16))]
    if not peers.agree(peers.of_first(digest) == digest):
        raise ValueError("the processes have read different logs")
    made = parts(
        log,
        utc_offset_h=card.utc_offset_h,
        leave_after_ms=card.leave_after_ms,
        item_count=options.item_count,
        item_cap=options.item_cap,
    )
    generator = torch.Generator().manual_seed(options.seed)
    network = Network(len(made.items), generator, made.heads, card.network, made.category)
    validation = Validation(made, network.cell)
    _start_at_floors(network, validation, made, options.seed)
    network.trusts(made.steps.latest[made.train.known])
    asked = to_builtins(msgspec.structs.replace(card, command="", data={})) | to_builtins(options)
    for name in ("epochs", *NOT_VERSIONED):
        del asked[name]
    marks = {"log": fingerprint(log)} | {name.replace("_", "-"): value for name, value in asked.items()}
    marks["number of processes"] = peers.size
    kept = None if folder is None else _Kept(folder, marks, resume)
    ended, stopped = _fit(Updates(network, made, options, peers), validation, options, report, kept, peers)
    network.load_state_dict(ended.best)
    if peers.rank:
        return Model(card, made.items, network.export())
    metrics = {"validation": validation.metrics(network.on_grid()), "history": ended.history, "stopped": stopped}
    metrics["calibration"], likeliest = calibrate(network, made, validation)
    judged = log.split <= SPLITS.index("validation")
    card = msgspec.structs.replace(
        card,
        actions=made.heads.actions,
        targets=made.heads.targets,
        trained_until_ms=int(log.ts_ms[judged].max()) if log.timed else 0,
        returns=_returns(made),
        likeliest_item=likeliest,
        metrics=metrics,
        data=card.data | fingerprint(log),
        reference=_reference(made, card),
    )
    return Model(card, made.items, network.export() | made.followers.export())


def fingerprint(log: Log) -> dict[str, Any]:
    """Return what tells one log from another: counts, rows by split, first and last time, SHA-256 of the columns."""
    digest = hashlib.sha256(json.encode([log.names, log.items, log.actions]))
    for column in (log.first, log.item, log.action, log.ts_ms, log.split):
        digest.update(column.astype("<i8").tobytes())
    return {
        "rows": len(log.item),
        "sequences": len(log.first),
        "items": len(log.items),
        "splits": {name: int((log.split == code).sum()) for code, name in enumerate(SPLITS)},
        "first_ms": int(log.ts_ms.min()),
        "last_ms": int(log.ts_ms.max()),
        "sha256": digest.hexdigest(),
    }


@torch.no_grad()
def _start_at_floors(network: Network, validation: Validation, made: Parts, seed: int) -> None:
    """Let the biases say about what the floors say: the network has only the difference to learn."""
    hazards = validation.hazards.reshape(-1)
    bias = np.concatenate([np.log(validation.rates[-1]), np.log(hazards) - np.log1p(-hazards)])
    network.get_parameter("readout_bias").copy_(torch.from_numpy(bias).clamp(-LIMIT, LIMIT))
    known, rows = known_actions(len(made.heads.actions)), torch.nonzero(made.train.next_item)[:, 0]
    far = torch.arange(RECENT).repeat_interleave(known)
    network.get_parameter("follow_bias").copy_(0.5 / (1 + far))
    again = coming_again(made, rows[:: len(rows) // _ROWS_OF_FLOORS + 1], validation.item_counts)
    network.get_parameter("again_bias")[: len(again)].copy_(torch.from_numpy(again).clamp(-LIMIT, LIMIT))
    popularity = np.log(validation.item_counts + 0.5)
    network.get_parameter("item_bias").copy_(torch.from_numpy(popularity - popularity.mean()).clamp(-LIMIT, LIMIT))
    vectors, tables, first = network.get_parameter("item_embedding"), made.followers.tables, made.followers.all_first
    close = neighbours(tables.item[first:], tables.lift[first:], vectors.shape[1], seed)
    close *= vectors.norm(dim=1).mean()
    vectors.copy_(torch.where(close.any(1, keepdim=True), close, vectors))


def _returns(made: Parts) -> tuple[float, ...]:
    """Return how often a user who left came back with each action, over all who left, as the training rows know."""
    if LEAVE not in made.heads.outcomes:
        return ()
    left = (made.train.next_action == made.heads.outcomes.index(LEAVE)).numpy()
    back = np.flatnonzero(left & made.train.has_next.numpy()) + 1
    counts = np.bincount(made.action[back], minlength=len(made.heads.actions))
    return tuple((counts / max(int(left.sum()), 1)).tolist())


def _reference(made: Parts, card: Card) -> Reference | None:
    """Return what the training rows are like, of a model that can be served."""
    if made.heads != SERVED:
        return None
    mine = made.log.split == SPLITS.index("train")
    begins = made.steps.begins.numpy() | ~np.roll(mine, 1)
    return reference(
        made.action[mine],
        made.log.ts_ms[mine],
        begins[mine],
        made.steps.item.numpy()[mine] > 0,
        actions=len(made.heads.actions),
        utc_offset_h=card.utc_offset_h,
        leave_after_ms=card.leave_after_ms,
    )


class _Kept(NamedTuple):
    """Where a training is kept, what it is of, and whether to go on from there."""

    folder: Path
    of: dict[str, Any]
    resume: bool


def _fit(
    updates: Updates, validation: Validation, options: Options, report: Report, kept: _Kept | None, peers: Peers
) -> tuple[Standing, bool]:
    """Train and return where the training stands at its end, and whether a report stopped it, of any process."""
    writes = kept is not None and peers.rank == 0
    now = Standing(0, nan, checkpoint.copied(updates.average), inf, 0, 0, 0, [])
    if kept is not None and kept.resume:
        now = checkpoint.read(kept.folder, kept.of, updates)
    elif kept is not None and writes:
        checkpoint.remove(kept.folder)
    while now.epoch < updates.epochs and now.falls <= options.falls:
        epoch, share, loss, go_on = now.epoch + 1, 1.0, nan, True
        for share, loss in updates.epoch():
            told = Progress(epoch, updates.epochs, share, loss, now.validation_loss, now.best_loss)
            go_on = peers.agree(report(told))
            if not go_on:
                break
        now = _judged(now, updates, validation, options, loss, peers)
        updates.level()
        if share == 1 and kept is not None and writes:
            checkpoint.write(kept.folder, kept.of, now, updates)
        end = Progress(epoch, updates.epochs, 1.0, loss, now.validation_loss, now.best_loss)
        if not go_on or not peers.agree(report(end)):
            return now, True
    if kept is not None and writes:
        checkpoint.remove(kept.folder)
    return now, False


def _judged(
    now: Standing, updates: Updates, validation: Validation, options: Options, loss: float, peers: Peers
) -> Standing:
    """Return where the training stands after an epoch of this loss; let the learning rate fall if it is time."""
    validation_loss, heads = validation.judged(updates.average.on_grid())
    [validation_loss] = peers.of_first([validation_loss])  # by which all of them decide
    judged = None if isnan(validation_loss) else validation_loss
    told = {"epoch": now.epoch + 1, "loss": loss, "validation_loss": judged, "heads": heads}
    now = now._replace(epoch=now.epoch + 1, validation_loss=validation_loss, history=[*now.history, told])
    if validation_loss < now.best_loss or isnan(validation_loss):  # nothing to judge by: the newest is the best
        best = checkpoint.copied(updates.average)
        return now._replace(best=best, best_loss=validation_loss, best_epoch=now.epoch, best_update=updates.count)
    if now.epoch - now.best_epoch < _TIRED or updates.count - now.best_update < options.patience:
        return now
    if now.falls < options.falls:
        updates.begin_again(now.best, updates.learning_rate * _FALL)
    return now._replace(falls=now.falls + 1, best_epoch=now.epoch, best_update=updates.count)
