"""The network as it serves: numpy, batched over users, every sum exact, so that no order or grouping changes a bit.

Floating-point sums depend on their order, and a matrix product orders them by the shape of its batch. Here nothing
rounds but where it says so: the recurrent state is an integer in units of 2**-14, weights are multiples of 2**-12, a
product of the two summed over the state needs under 40 of the 53 bits of a float64. Gates are tables of sigmoid and
tanh whose entries lie far from where rounding turns: another processor's `exp` gives the same recurrent states, to the
bit. The heads call `exp` itself, so their last bit may be another there.
"""

from collections.abc import Sequence
from typing import TypeAlias, TypeVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.features import GAPS, TIME_BINS, gap_code, hour_of_week
from models.model_directory import OUTCOMES, TARGETS, Model
from models.state import ACTIONS, HIDDEN, Floats, Ints
from models.windows import BINS

STATE_UNIT = 2.0**-14
WEIGHT_UNIT = 2.0**-12
EMBEDDING_UNIT = 2.0**-10
_LIMITS = {"item_input": 8, "hidden": 8}
_HAZARD_LIMIT = 30  # a hazard of 1 to the last bit has no logarithm of what it leaves
_ONE = round(1 / STATE_UNIT)
_HALF_TABLE = 32_768  # gate tables cover (-8, 8) in steps of WEIGHT_UNIT
_TO_INDEX = _HALF_TABLE + 0.5  # from a pre-activation to its place in a gate table
_BLOCK = 512  # states that walk together: what they need stays in the processor's cache
_TABLE_ITEMS = 200_000  # beyond, the item's input is computed per step: a table would take 768 bytes an item

States = npt.NDArray[np.int16]
Codes: TypeAlias = Sequence[Ints]
_Float = TypeVar("_Float", np.float32, np.float64)


def on_grid(values: Floats, unit: float, limit: float = 64) -> npt.NDArray[np.float64]:
    """Return the values rounded to multiples of the unit, within the limit on both sides."""
    return np.clip(np.rint(values.astype(np.float64) / unit) * unit, -limit, limit)


def _gate_table(values: Floats) -> npt.NDArray[np.int32]:
    return np.rint(values * _ONE).astype(np.int32)


_GRID = (np.arange(2 * _HALF_TABLE) - _HALF_TABLE) * WEIGHT_UNIT
_SIGMOID = _gate_table(1 / (1 + np.exp(-_GRID)))
_TANH = _gate_table(np.tanh(_GRID))


def _at(table: npt.NDArray[np.int32], x: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Look up pre-activations in units of `WEIGHT_UNIT`, rounded half up, from `_TO_INDEX` on; overwrites them."""
    np.clip(x, 0, 2 * _HALF_TABLE - 1, out=x)
    return table.take(x.astype(np.intp))


def _parts(table: npt.NDArray[_Float]) -> tuple[npt.NDArray[_Float], npt.NDArray[_Float]]:
    """Return the columns of the two gates and of the candidate, apart: numpy is twice as fast if nothing is skipped."""
    return np.ascontiguousarray(table[:, : 2 * HIDDEN]), np.ascontiguousarray(table[:, 2 * HIDDEN :])


def _window_tables(weights: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Return a table for each window: what the bins of its actions add to the heads together [BINS**3, outputs]."""
    view, click, purchase = weights.reshape(-1, len(ACTIONS), BINS, weights.shape[1]).swapaxes(0, 1)
    return [
        (a[:, None, None] + b[:, None] + c).reshape(BINS**3, -1) for a, b, c in zip(view, click, purchase, strict=True)
    ]


class Steps:
    """Inputs of steps of the network, one a step: all arrays [steps].

    Args:
        item: crc32 of the item id.
        action: code of the action.
        ts_ms: time of the event.
        before_ms: time of the user's event before it, -1: none.
        context: circumstances, see `features.context_code`.
    """

    def __init__(self, item: Ints, action: Ints, ts_ms: Ints, before_ms: Ints, context: Ints) -> None:
        self.item, self.action, self.ts_ms, self.before_ms, self.context = item, action, ts_ms, before_ms, context

    def __len__(self) -> int:
        return len(self.item)


class Predictor:
    """A model ready to serve.

    Args:
        model: card, item ids and tensors; see `model_directory.shapes` for the equations.
    """

    def __init__(self, model: Model) -> None:
        self.card, self.items = model.card, model.items
        self.tag = int(model.card.version[:8], 16)
        weights = model.weights
        hashes = np.array([crc32(item.encode()) for item in model.items], np.int64)  # the type that is looked up
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._hash_rows = hashes[order], order + 1
        self.item_hashes = hashes
        grid = {
            name: on_grid(w, WEIGHT_UNIT, _LIMITS.get(name, 64))
            for name, w in weights.items()
            if name != "item_embedding"
        }
        self.embedding = on_grid(weights["item_embedding"], EMBEDDING_UNIT, 8).astype(np.float32)  # [items + 1, HIDDEN]
        self.item_bias = grid["item_bias"].astype(np.float32)
        self.query = grid["query"]
        self._item_input = grid["item_input"]
        every = np.arange(len(self.embedding))
        self._item_tables = _parts(self._item_inputs(every)) if len(hashes) <= _TABLE_ITEMS else None
        scale = 1 / WEIGHT_UNIT  # inputs and products are kept in units of WEIGHT_UNIT, ready for the gates' tables
        self._tables = [
            _parts((grid[name] * scale).astype(np.float32)) for name in ("action_gap", "hour_of_week", "context")
        ]
        hidden = grid["hidden"] * (scale * STATE_UNIT)  # [HIDDEN, 3 * HIDDEN]
        self._hidden_gates, self._hidden_candidate = _parts(hidden)
        self._hidden_candidate *= STATE_UNIT  # undone by the reset gate, an integer
        self._hidden_bias = grid["hidden_bias"] * (scale * STATE_UNIT)
        self._readout = grid["readout"] * STATE_UNIT
        self._readout_bias = grid["readout_bias"]
        self._windows = _window_tables(grid["window"])

    def item_rows(self, item: Ints) -> Ints:
        """Return the table row of each item hash, any shape; 0 stands for an item that the model does not know."""
        if not len(self._hashes):
            return np.zeros(item.shape, np.intp)
        at = np.minimum(np.searchsorted(self._hashes, item), len(self._hashes) - 1)
        return np.where(self._hashes[at] == item, self._hash_rows[at], 0)

    def knows(self, item: Ints) -> npt.NDArray[np.bool_]:
        """Return whether the model has seen each item hash, any shape."""
        return self.item_rows(item) > 0

    def advance(self, states: States, steps: Steps, lengths: Ints) -> States:
        """Return each state after its steps.

        Args:
            states: before [n, HIDDEN].
            steps: all steps, those of the first state first, each state's in order.
            lengths: number of steps of each state [n], 0 allowed.
        """
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]  # longest first
        first = np.cumsum(lengths) - lengths
        codes = self._codes(steps)
        after = states.copy()
        for start in range(0, len(order), _BLOCK):
            block = order[start : start + _BLOCK]
            after[block] = self._walk(states[block], codes, first[block], lengths[block])
        return after

    def _walk(self, states: States, codes: Codes, first: Ints, lengths: Ints) -> npt.NDArray[np.int32]:
        """Return states after their steps, longest first: those still busy are always the first m."""
        busy = len(lengths) - np.searchsorted(lengths[::-1], np.arange(lengths[0]), side="right")
        which = np.concatenate([first[:m] + k for k, m in enumerate(busy.tolist())])
        gates, candidate = self._inputs([code[which] for code in codes])  # wave after wave
        h = states.astype(np.int32)
        at = 0
        for m in busy.tolist():
            h[:m] = self._step(h[:m], gates[at : at + m], candidate[at : at + m])
            at += m
        return h

    def _step(
        self, h: npt.NDArray[np.int32], gates: npt.NDArray[np.float32], candidate: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.int32]:
        before = h.astype(np.float64)
        product = before @ self._hidden_gates  # [m, 2 * HIDDEN]
        product += gates
        r_z = _at(_SIGMOID, product)
        product = before @ self._hidden_candidate  # [m, HIDDEN]
        product += self._hidden_bias
        product *= r_z[:, :HIDDEN]
        product += candidate
        n = _at(_TANH, product)
        difference = h - n
        difference *= r_z[:, HIDDEN:]
        difference += _ONE // 2
        difference >>= 14
        difference += n
        return difference

    def _codes(self, steps: Steps) -> Codes:
        """Return which rows of the tables of inputs each step adds up."""
        gap = gap_code(np.where(steps.before_ms < 0, -1, steps.ts_ms - steps.before_ms))
        return [
            self.item_rows(steps.item),
            steps.action.astype(np.intp) * GAPS + gap,
            hour_of_week(steps.ts_ms, self.card.utc_offset_h),
            steps.context,
        ]

    def _inputs(self, codes: Codes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the inputs of the gates [steps, 2 * HIDDEN] and of the candidate [steps, HIDDEN]."""
        item, *others = codes
        if self._item_tables is None:
            sums = _parts(self._item_inputs(item))
        else:
            sums = self._item_tables[0][item], self._item_tables[1][item]
        for part, total in enumerate(sums):
            for tables, code in zip(self._tables, others, strict=True):
                total += tables[part][code]
        return sums

    def _item_inputs(self, rows: Ints) -> npt.NDArray[np.float32]:
        product = self.embedding[rows].astype(np.float64) @ self._item_input
        return (np.rint(product / WEIGHT_UNIT) + _TO_INDEX).astype(np.float32)

    def heads(self, states: States, window_bins: Ints) -> tuple[Floats, Floats]:
        """Return what the state says of the next event.

        Args:
            states: recurrent states [n, HIDDEN].
            window_bins: `windows.bins` of the same rows [n, FEATURES].

        Returns:
            probabilities of OUTCOMES [n, outcomes], hazards [n, TARGETS, TIME_BINS].
        """
        blocks = range(0, len(states), _BLOCK)
        made = [self._heads(states[start : start + _BLOCK], window_bins[start : start + _BLOCK]) for start in blocks]
        if not made:
            return np.zeros((0, len(OUTCOMES))), np.zeros((0, len(TARGETS), TIME_BINS))
        actions, hazards = zip(*made, strict=True)
        return np.concatenate(actions), np.concatenate(hazards)

    def _heads(self, states: States, window_bins: Ints) -> tuple[Floats, Floats]:
        logits = states.astype(np.float64) @ self._readout
        logits += self._readout_bias
        codes = window_bins.reshape(len(states), -1, len(ACTIONS)) @ BINS ** np.arange(len(ACTIONS))[::-1]
        for window, table in enumerate(self._windows):
            logits += table[codes[:, window]]
        actions = np.ascontiguousarray(logits[:, : len(OUTCOMES)])
        actions -= actions.max(axis=1, keepdims=True)
        np.exp(actions, out=actions)
        actions /= actions.sum(axis=1, keepdims=True)
        hazards = np.clip(logits[:, len(OUTCOMES) :], -_HAZARD_LIMIT, _HAZARD_LIMIT)
        hazards = 1 / (1 + np.exp(-hazards))
        return actions, hazards.reshape(len(states), len(TARGETS), TIME_BINS)
