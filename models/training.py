"""Learning a model from a log: all heads together, from its training rows, as long as its validation rows gain."""

import copy
import hashlib
from collections.abc import Callable, Iterator
from math import ceil, inf, nan
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from msgspec import json
from torch import Tensor, nn

from models import lanes
from models.log import SPLITS, Log
from models.model_directory import Card, Model
from models.network import LIMIT, Network
from models.objective import Dropout, losses, run, weighted
from models.state import HIDDEN
from models.training_table import Parts, parts
from models.validation import Validation

_VISITS = 1_000_000  # events seen over all epochs, where the number of epochs is not given
_EPOCHS = (3, 100)
_UPDATES_AN_EPOCH = 30
_STEPS = 64
_LANES = (4, 256)
_TIRED = 2  # epochs without a better validation that it takes to end
_CANDIDATES = 4_096
_AVERAGED = 30  # updates whose weights the average spans
_WARM_UP = 20  # updates until the full learning rate


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to train; the defaults grow with the log."""

    seed: int = 0
    epochs: int | None = None  # at most; None: by the number of events
    patience: int = 90  # updates without a better validation before the end, and at least two epochs
    learning_rate: float = 0.01
    weight_decay: float = 0.3
    l1: float = 0.0  # weight of the sum of the weights' sizes in the loss
    label_smoothing: float = 0.0
    item_dropout: float = 0.5
    dropout: float = 0.2
    item_count: int = 2  # number of times that an item has to occur to be known
    item_cap: int = 100_000
    full_softmax: int = 20_000  # of more items than this, a sample stands for all
    candidates: int | None = None  # drawn to stand for all items, 0: all are scored; None: by the number of items


class Progress(NamedTuple):
    """Where the training stands; losses are nan before the first."""

    epoch: int  # from 1 on
    epochs: int
    share: float  # of the epoch that is done
    loss: float  # mean over the epoch so far
    validation_loss: float  # after the last epoch
    best_loss: float


Report = Callable[[Progress], bool]
"""Told of the progress after each update of the weights; returns whether to go on."""


def train(log: Log, card: Card, options: Options | None = None, report: Report = lambda _: True) -> Model:
    """Learn a model from a log.

    Minimises the sum of the heads' mean losses, weighted by `objective.weighted`, with AdamW (Loshchilov and Hutter,
    Decoupled weight decay regularization, ICLR 2019) on lanes of whole sequences cut into pieces. What is judged and
    kept is a running average of the weights (Polyak and Juditsky, Acceleration of stochastic approximation by
    averaging, 1992), so that the learning rate need not fall and the training may end at any time: with the best
    average so far, on an interrupt, or when a report returns False. The same log, options, machine and number of
    threads give the same model.

    Args:
        log: sequences; test and context rows are history only.
        card: what the model is for (name, shop's time, when silence is leaving, horizons); the rest is filled in.
        options: how to train.
        report: told of the progress.

    Raises:
        ValueError: the log is too small to learn from.
    """
    options = options or Options()
    made = parts(
        log,
        utc_offset_h=card.utc_offset_h,
        leave_after_ms=card.leave_after_ms,
        item_count=options.item_count,
        item_cap=options.item_cap,
    )
    validation = Validation(made)
    network = Network(len(made.items), torch.Generator().manual_seed(options.seed), made.heads)
    _start_at_floors(network, validation)
    _fit(network, made, validation, options, report)
    metrics = validation.metrics(network.on_grid())
    judged = log.split <= SPLITS.index("validation")
    card = msgspec.structs.replace(
        card,
        actions=made.heads.actions,
        targets=made.heads.targets,
        trained_until_ms=int(log.ts_ms[judged].max()) if log.timed else 0,
        metrics={"validation": metrics},
        data=card.data | fingerprint(log),
    )
    return Model(card, made.items, network.export())


def fingerprint(log: Log) -> dict[str, Any]:
    """Return what tells one log from another: counts, first and last time, and the SHA-256 of the columns."""
    digest = hashlib.sha256(json.encode([log.names, log.items, log.actions]))
    for column in (log.first, log.item, log.action, log.ts_ms, log.split):
        digest.update(column.astype("<i8").tobytes())
    return {
        "rows": len(log.item),
        "sequences": len(log.first),
        "items": len(log.items),
        "first_ms": int(log.ts_ms.min()),
        "last_ms": int(log.ts_ms.max()),
        "sha256": digest.hexdigest(),
    }


@torch.no_grad()
def _start_at_floors(network: Network, validation: Validation) -> None:
    """Let the biases say what the floors say: the network has only the difference to learn."""
    hazards = validation.hazards.reshape(-1)
    bias = np.concatenate([np.log(validation.rates[-1]), np.log(hazards) - np.log1p(-hazards)])
    network.get_parameter("readout_bias").copy_(torch.from_numpy(bias).clamp(-LIMIT, LIMIT))
    popularity = np.log(validation.item_counts + 0.5)
    network.get_parameter("item_bias").copy_(torch.from_numpy(popularity - popularity.mean()).clamp(-LIMIT, LIMIT))


def _fit(network: Network, log: Parts, validation: Validation, options: Options, report: Report) -> None:
    """Train in place and leave the weights of the best validation."""
    training = _Training(network, log, options)
    best, best_loss, best_epoch, best_update, validation_loss = _copy(training.average), inf, 0, 0, nan
    try:
        for epoch in range(1, training.epochs + 1):
            go_on = True
            for share, loss in training.epoch():
                go_on = report(Progress(epoch, training.epochs, share, loss, validation_loss, best_loss))
                if not go_on:
                    break
            validation_loss = validation.loss(training.average.on_grid())
            if validation_loss < best_loss:
                best, best_loss = _copy(training.average), validation_loss
                best_epoch, best_update = epoch, training.updates
            tired = epoch - best_epoch >= _TIRED and training.updates - best_update >= options.patience
            if not go_on or tired:
                break
    except KeyboardInterrupt:
        if not best_epoch:
            best = _copy(training.average)
    network.load_state_dict(best)


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


class _Training:
    """The loop over updates of the weights, one epoch at a time."""

    def __init__(self, network: Network, log: Parts, options: Options) -> None:
        self._network, self._log, self._options = network, log, options
        self.average = copy.deepcopy(network)
        self.updates = 0
        biases = [weight for name, weight in network.named_parameters() if name.endswith("bias")]
        self._decayed = [weight for name, weight in network.named_parameters() if not name.endswith("bias")]
        groups = [
            {"params": self._decayed, "weight_decay": options.weight_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=options.learning_rate)
        self._rng = np.random.default_rng(options.seed)
        self._dropout = Dropout(options.item_dropout, options.dropout, torch.Generator().manual_seed(options.seed))
        self._lengths = lanes.reach(log.log.first, log.train.known.numpy())
        events = int(self._lengths.sum())
        self.epochs = options.epochs or min(max(ceil(_VISITS / events), _EPOCHS[0]), _EPOCHS[1])
        self._lanes = min(max(events // (_STEPS * _UPDATES_AN_EPOCH), _LANES[0]), _LANES[1])
        self._candidates = _CANDIDATES if len(log.items) > options.full_softmax else 0
        if options.candidates is not None:
            self._candidates = options.candidates

    def epoch(self) -> Iterator[tuple[float, float]]:
        """Yield the share of the epoch that is done and the mean loss so far, after each update."""
        plan = torch.from_numpy(lanes.fill(self._log.log.first, self._lengths, self._lanes, self._rng))
        h = torch.zeros(plan.shape[1], HIDDEN)
        total, done = 0.0, 0
        for events in torch.split(plan, _STEPS):
            h, loss = self._update(events, h)
            done += len(events)
            total += loss * len(events)
            yield done / len(plan), total / done

    def _update(self, events: Tensor, h: Tensor) -> tuple[Tensor, float]:
        weights = self._network.on_grid()
        after = run(weights, self._log.steps, events, h, self._dropout)
        learnt = (events >= 0) & self._log.train.known[events]
        rows = events[learnt]
        if not len(rows):
            return after[-1].detach(), 0.0
        by_head = losses(
            weights,
            self._log,
            self._log.train,
            rows,
            after[learnt],
            dropout=self._dropout,
            candidates=self._candidates,
            label_smoothing=self._options.label_smoothing,
        )
        loss = weighted(by_head)
        self._optimizer.zero_grad()
        aim = loss * (len(rows) / (_STEPS * len(h)))  # a piece that is not full says less
        if self._options.l1:
            aim = aim + self._options.l1 * sum(group.abs().sum() for group in self._decayed)
        torch.autograd.backward(aim)
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = self._options.learning_rate * min(1.0, (self.updates + 1) / _WARM_UP)
        self._optimizer.step()
        self.updates += 1
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self._network.parameters(), strict=True):
                mean.lerp_(weight, 1 / min(self.updates, _AVERAGED))
        return after[-1].detach(), float(loss.detach())
