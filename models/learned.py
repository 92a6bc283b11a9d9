"""A trained model as a predictor of the rows of a log, to be judged next to any other.

The recurrent states of a GRU are those of serving to the last bit, made for whole sequences at once. Other networks
are not served: theirs are those of training.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.cells.sizes import SERVED_NETWORK
from models.expected_events import expected_events
from models.followers import recent
from models.grid import STATE_UNIT, WEIGHT_UNIT, weights_on_grid
from models.latest import nothing
from models.likeliest import put_right
from models.log import Log
from models.model_directory import LEAVE, Model
from models.network import CELLS, readout
from models.reading import Reading
from models.recent import held, tables
from models.recurrence import Recurrence, States
from models.sequences import Inputs, actions, inputs
from models.state import HIDDEN, Floats, Ints
from models.survival import Curves
from models.training_table import steps as tensors


class _Read(NamedTuple):
    """A log as the model has read it: its steps, the state after each, which item of the log is which of the model."""

    log: Log
    steps: Inputs
    action: Ints
    after: States | Floats
    vectors: Tensor
    bias: Tensor
    column: Ints  # where in the log's items each of the model's is, -1: nowhere


class Learned:
    """Predicts the target at a row from the rows before it; the first row of a sequence from nothing.

    Implements the protocols of `models.evaluation.predictor`. The states of a log are kept until another is asked for.

    Args:
        model: of any actions; see `model_directory.load_any`.
    """

    def __init__(self, model: Model) -> None:
        self.card, self.items = model.card, model.items
        self._exact = weights_on_grid(model.weights)
        self._weights = {name: torch.from_numpy(w.astype(np.float32)) for name, w in self._exact.items()}
        self._followers, self._recent = tables(self._exact)
        self._served = model.card.network == SERVED_NETWORK
        self._read: _Read | None = None

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return the logits of the log's items as the next one [rows, items], -inf for items that the model lacks.

        A model cannot recommend what it has not seen: no item of its own vocabulary ranks behind an unknown one.
        """
        read = self._of(log)
        h, before = self._before(log, rows), np.maximum(rows - 1, 0)
        scores: Floats = torch.addmm(read.bias, h @ self._weights["query"], read.vectors.T).numpy()
        item, done = (recent(column, read.steps.number, before) for column in (read.steps.item, read.action))
        begins = read.steps.begins[rows, None]
        older = np.where(begins, 0, read.steps.older[before])
        last = held(np.where(begins, 0, item), done, older, len(self.card.actions))
        weight = self._recent.of(last, h.numpy() / STATE_UNIT)
        self._followers.add(scores, read.column, last.item, np.zeros(len(rows), np.int64), weight)
        return scores

    def item_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return P(item) [rows, items]; 0 for one that the model lacks."""
        probabilities: Floats = torch.softmax(torch.from_numpy(self.item_scores(log, rows)), 1).numpy()
        return put_right(probabilities, self.card.likeliest_item)

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return P(action | one comes) of the log's actions [rows, actions]; 0 for one that the model lacks.

        One may come after the user has left: a model that tells leaving from actions says nothing of what users come
        back with, so that is as often as it was for all that it learnt from.
        """
        heads = self.card.heads
        outcomes = torch.softmax(self._heads(log, rows)[0].double(), 1).numpy()
        known = outcomes[:, : len(heads.actions)]
        if self.card.returns:
            known = known + outcomes[:, [heads.outcomes.index(LEAVE)]] * np.array(self.card.returns)
        probabilities = np.zeros((len(rows), len(log.actions)))
        for code, action in enumerate(log.actions):
            if action in heads.actions:
                probabilities[:, code] = known[:, heads.actions.index(action)]
        probabilities /= probabilities.sum(1, keepdims=True)
        return probabilities

    def survival(
        self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None, *, target: int = 0
    ) -> Floats:
        """Return P(the target comes later than each horizon, given the silence until now) [rows, horizons].

        Args:
            log: of events.
            rows: targets [rows].
            horizons_ms: how far ahead [horizons].
            silent_ms: how long before now the row before the target was; by default it is now [rows].
            target: index in the card's `targets`; the first is any event.

        Raises:
            ValueError: the model learnt from a log without times.
        """
        silent = np.zeros(len(rows), np.int64) if silent_ms is None else silent_ms
        return self._curves(log, rows).silence(
            target, np.repeat(silent[:, None], len(horizons_ms), axis=1), horizons_ms
        )

    def activity(self, log: Log, at_ms: int, horizon_ms: int) -> tuple[Floats, Floats]:
        """Return P(any event in (at, at + horizon]) and the expected number of events [sequences with a row before].

        Raises:
            ValueError: the model learnt from a log without times.
        """
        before = np.add.reduceat((log.ts_ms < at_ms).astype(np.int64), log.first)
        rows = (log.first + before)[before > 0]
        silent_ms = at_ms - log.ts_ms[rows - 1]
        curves = self._curves(log, rows, follows=True)
        return 1 - curves.silence(0, silent_ms, horizon_ms), expected_events(curves, silent_ms, horizon_ms)

    def states(self, log: Log) -> States | Floats:
        """Return what the heads read after each event [events, HIDDEN]; of a GRU in units of `grid.STATE_UNIT`."""
        return self._of(log).after

    def _curves(self, log: Log, rows: Ints, *, follows: bool = False) -> Curves:
        if not self.card.targets:
            raise ValueError(f"model {self.card.name} learnt from a log without times: it knows nothing of when")
        hazards = torch.sigmoid(self._heads(log, rows, follows=follows)[1].double()).numpy()
        return Curves(np.clip(hazards, 1e-13, 1 - 1e-13))

    def _heads(self, log: Log, rows: Ints, *, follows: bool = False) -> tuple[Tensor, Tensor]:
        steps = self._of(log).steps
        bins, latest = (column[np.maximum(rows - 1, 0)] for column in (steps.window_bins, steps.latest))
        if not follows:
            begins = steps.begins[rows, None]
            bins = np.where(begins, np.uint8(0), bins)
            latest = np.where(begins, nothing(len(self.card.actions)).astype(np.int16), latest)
        h = self._before(log, rows, follows=follows)
        return readout(self._weights, self.card.heads, h, torch.from_numpy(bins), torch.from_numpy(latest))

    def _before(self, log: Log, rows: Ints, *, follows: bool = False) -> Tensor:
        """Return the states before rows [rows, HIDDEN]; `follows`: a row may stand behind its sequence's end."""
        read = self._of(log)
        h = read.after[np.maximum(rows - 1, 0)]
        if not follows:
            h = np.where(read.steps.begins[rows, None], h.dtype.type(0), h)
        return torch.from_numpy(h * np.float32(STATE_UNIT if self._served else 1))

    def _of(self, log: Log) -> _Read:
        if self._read is None or self._read.log is not log:
            steps = inputs(log, self.card.heads, self.items, self.card.utc_offset_h)
            row = {name: k for k, name in enumerate(self.items, 1)}
            rows = torch.tensor([row.get(name, 0) for name in log.items])
            bias = torch.where(rows > 0, self._weights["item_bias"][rows], -torch.inf)
            after = self._run(log, steps) if self._served else self._run_as_trained(log, steps)
            column = np.full(len(self.items) + 1, -1)
            column[rows[rows > 0].numpy()] = torch.nonzero(rows)[:, 0].numpy()
            self._read = _Read(
                log, steps, actions(log, self.card.heads), after, self._weights["item_embedding"][rows], bias, column
            )
        return self._read

    def _run_as_trained(self, log: Log, made: Inputs) -> Floats:
        after = np.zeros((len(made.item), HIDDEN), np.float32)
        reading = Reading(log.first, np.diff(log.first, append=len(made.item)))
        for events, found in reading.after(CELLS[self.card.network], self._weights, tensors(made)):
            after[events.numpy()] = found.numpy()
        return after

    def _run(self, log: Log, steps: Inputs) -> States:
        """Step all sequences together: the k-th event of each in one call."""
        known, item = np.unique(steps.item, return_inverse=True)
        table = np.rint(self._exact["item_embedding"][known] @ self._exact["item_input"] / WEIGHT_UNIT).astype(np.int32)
        names = [name for name in ("action_gap", "hour_of_week", "context") if name in self._exact]
        tables = [self._exact[name] for name in names] + [np.zeros((1, 3 * HIDDEN))]
        start = dict(zip([*names, "nothing"], np.cumsum([0, *map(len, tables)]).tolist(), strict=False))
        others = np.rint(np.concatenate(tables) / WEIGHT_UNIT).astype(np.int32)
        hour = steps.hour + start["hour_of_week"] if self.card.heads.timed else np.full(len(item), start["nothing"])
        other = np.stack([steps.action_gap, hour, steps.context + start["context"]], 1)

        recurrence = Recurrence(self._exact["hidden"], self._exact["hidden_bias"])
        after = np.zeros((len(item), HIDDEN), np.int8)
        lengths = np.diff(log.first, append=len(item))
        longest = log.first[np.argsort(-lengths, kind="stable")]
        active = np.searchsorted(np.sort(-lengths), -np.arange(lengths.max(initial=0)))  # longer than so many steps
        h = np.zeros((len(longest), HIDDEN), np.int8)
        for step, count in enumerate(active):
            events = longest[:count] + step
            ones = np.ones(count, np.int64)
            h = recurrence.advance(h[:count], ones, item[events], table, other[events], others)
            after[events] = h
        return after
