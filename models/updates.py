"""Updates of the weights: a piece of every lane at a time, the lanes shared out among threads and processes."""

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil, sqrt
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from models import lanes
from models.network import Network
from models.objective import Dropout, losses, run, weighted
from models.peers import ALONE, Peers
from models.sampled_loss import Drawn, draw
from models.training_table import Parts

_VISITS = 40_000_000  # events seen over all epochs at most, where the number of epochs is not given
_EPOCHS = (3, 100)
_UPDATES_AN_EPOCH = 30  # at least, of a log that has few events
_ITEMS_AN_UPDATE = 64  # the more items, the more updates: each has numbers of its own to learn
_STEPS = 64
_LANES = (4, 256)
_LANES_A_THREAD = 16  # fewer are not worth a thread
_CANDIDATES = 1_024
_EVENNESS = 0.75  # power of how often an item comes: how likely it is to be drawn
_AVERAGED = 30  # updates whose weights the average spans
_WARM_UP = 20  # updates until the full learning rate


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to train; the defaults grow with the log."""

    seed: int = 0
    threads: int = 1  # of each process
    epochs: int | None = None  # at most; None: by the number of events
    patience: int = 90  # updates without a better validation before the learning rate falls, and at least two epochs
    falls: int = 1  # times that the learning rate falls before the end
    learning_rate: float = 0.01  # of 30 updates an epoch; with more, it falls with the root of their number
    weight_decay: float = 0.3  # likewise
    l1: float = 0.0  # weight of the sum of the weights' sizes in the loss
    label_smoothing: float = 0.0
    item_dropout: float = 0.5
    dropout: float = 0.2
    item_count: int = 2  # number of times that an item has to occur to be known
    item_cap: int = 100_000
    full_softmax: int = 20_000  # of more items than this, a sample stands for all
    candidates: int | None = None  # drawn to stand for all items, 0: all are scored; None: by the number of items


class _Share(NamedTuple):
    """What one thread works on: lanes, and what it draws from."""

    lanes: slice
    dropout: Dropout


class _Learnt(NamedTuple):
    """What one thread found: states after its steps, summed loss, number of rows, gradients of the weights."""

    state: Tensor
    loss: float
    rows: int
    gradients: tuple[Tensor, ...]


class Updates:
    """The weights, their running average, and all else that an update depends on.

    Args:
        network: its weights are changed in place.
        log: ready for training.
        options: how to train.
        peers: processes to share the lanes with.
    """

    def __init__(self, network: Network, log: Parts, options: Options, peers: Peers = ALONE) -> None:
        self.network, self._log, self._options, self._peers = network, log, options, peers
        self.average = copy.deepcopy(network)
        self.count = 0
        self.rng = np.random.default_rng(options.seed)
        self._lengths = lanes.reach(log.log.first, log.train.known.numpy())
        events = int(self._lengths.sum())
        self.epochs = options.epochs or min(max(ceil(_VISITS / events), _EPOCHS[0]), _EPOCHS[1])
        updates = max(_UPDATES_AN_EPOCH, len(log.items) // _ITEMS_AN_UPDATE)
        self._lanes = min(max(events // (_STEPS * updates), _LANES[0]), _LANES[1])
        slower = sqrt(_UPDATES_AN_EPOCH / updates)  # of fewer rows, an update says less
        self.learning_rate = options.learning_rate * slower
        named = list(network.named_parameters())
        self._decayed = [weight for name, weight in named if not name.endswith("bias")]
        biases = [weight for name, weight in named if name.endswith("bias")]
        groups = [
            {"params": self._decayed, "weight_decay": options.weight_decay * slower},
            {"params": biases, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)
        self._candidates = _CANDIDATES if len(log.items) > options.full_softmax else 0
        if options.candidates is not None:
            self._candidates = options.candidates
        often = torch.bincount(log.train.next_item[log.train.known], minlength=len(log.items) + 1)[1:]
        self._often = (often + 0.5) ** _EVENNESS
        threads = min(options.threads * peers.size, max(self._lanes // _LANES_A_THREAD, 1))  # of all processes
        width = ceil(self._lanes / threads)
        self.generators = [torch.Generator().manual_seed(options.seed * threads + k) for k in range(threads)]
        self._shares = [
            _Share(slice(k * width, (k + 1) * width), Dropout(options.item_dropout, options.dropout, generator))
            for k, generator in enumerate(self.generators)
        ]

    def begin_again(self, weights: dict[str, Tensor], learning_rate: float) -> None:
        """Go on from these weights at another learning rate."""
        self.network.load_state_dict(weights)
        self.average.load_state_dict(weights)
        self.learning_rate = learning_rate

    def level(self) -> None:
        """Let this process know all that the next update depends on, that of others' lanes too: at an epoch's end."""
        self._peers.level(self.generators)

    def epoch(self) -> Iterator[tuple[float, float]]:
        """Yield the share of the epoch that is done and the mean loss so far, after each update."""
        plan = torch.from_numpy(lanes.fill(self._log.log.first, self._lengths, self._lanes, self.rng))
        state = torch.zeros(plan.shape[1], self.network.cell.sizes.state)
        total, rows, done = 0.0, 0, 0
        with ThreadPoolExecutor(self._options.threads) as threads:
            for events in torch.split(plan, _STEPS):
                state, loss, learnt = self._update(events, state, threads)
                total, rows, done = total + loss, rows + learnt, done + len(events)
                yield done / len(plan), total / max(rows, 1)

    def _update(self, events: Tensor, state: Tensor, threads: ThreadPoolExecutor) -> tuple[Tensor, float, int]:
        weights = self.network.on_grid()
        leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}

        def learn(share: _Share) -> _Learnt:
            return self._learn(leaves, events[:, share.lanes], state[share.lanes], share.dropout, _STEPS * len(state))

        mine = [share for share in self._peers.share(self._shares) if share.lanes.start < len(state)]
        done = list(threads.map(learn, mine) if len(mine) > 1 else map(learn, mine))
        found = [part.gradients for part in done] or [tuple(map(torch.zeros_like, weights.values()))]
        gradients = self._peers.added([_sum(of_one) for of_one in zip(*found, strict=True)])
        self.optimizer.zero_grad()
        torch.autograd.backward(list(weights.values()), gradients)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * min(1.0, (self.count + 1) / _WARM_UP)
        self.optimizer.step()
        self.count += 1
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(weight, 1 / min(self.count, _AVERAGED))
        after = state.clone()  # of the lanes of others nothing is known, nor asked
        for share, part in zip(mine, done, strict=True):
            after[share.lanes] = part.state
        loss, rows = self._peers.totals([sum(part.loss for part in done), sum(part.rows for part in done)])
        return after, loss, int(rows)

    def _learn(self, weights: dict[str, Tensor], events: Tensor, state: Tensor, dropout: Dropout, full: int) -> _Learnt:
        """Learn from steps of lanes; the gradients of a piece that is not full say less."""
        after, state = run(self.network.cell, weights, self._log.steps, events, state, dropout)
        learnt = (events >= 0) & self._log.train.known[events]
        rows, options = events[learnt], self._options
        if not len(rows):
            return _Learnt(state.detach(), 0.0, 0, tuple(torch.zeros_like(weight) for weight in weights.values()))
        by_head = losses(
            weights,
            self._log,
            self._log.train,
            rows,
            after[learnt],
            dropout=dropout,
            drawn=self._drawn(dropout.generator),
            label_smoothing=options.label_smoothing,
        )
        loss = weighted(by_head)
        aim = loss * (len(rows) / full)
        if options.l1:
            sizes = torch.stack([weight.abs().sum() for name, weight in weights.items() if not name.endswith("bias")])
            aim = aim + options.l1 / len(self._shares) * sizes.sum()
        gradients = torch.autograd.grad(aim, list(weights.values()), materialize_grads=True)
        return _Learnt(state.detach(), float(loss.detach()) * len(rows), len(rows), gradients)

    def _drawn(self, generator: torch.Generator) -> Drawn | None:
        return draw(self._often, self._candidates, generator) if self._candidates else None


def _sum(parts: tuple[Tensor, ...]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
