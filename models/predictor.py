"""The network as it serves: numpy, batched over users, every sum exact, so that no order or grouping changes a bit.

Floating-point sums depend on their order, and a matrix product orders them by the shape of its batch. Here nothing
rounds but where it says so: the recurrent state is an integer in units of 2**-14, weights are multiples of 2**-12, a
product of the two summed over the state needs under 40 of the 53 bits of a float64. Gates are tables of sigmoid and
tanh whose entries lie far from where rounding turns: another processor's `exp` gives the same recurrent states, to the
bit. The heads call `exp` itself, so their last bit may be another there.
"""

from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.features import GAPS, TIME_BINS, gap_code, hour_of_week
from models.model_directory import OUTCOMES, TARGETS, Model
from models.state import HIDDEN, Floats, Ints
from models.windows import BINS, FEATURES

STATE_UNIT = 2.0**-14
WEIGHT_UNIT = 2.0**-12
EMBEDDING_UNIT = 2.0**-10
_LIMITS = {"item_input": 8, "hidden": 8}
_HAZARD_LIMIT = 30  # a hazard of 1 to the last bit has no logarithm of what it leaves
_ONE = round(1 / STATE_UNIT)
_HALF_TABLE = 32_768  # gate tables cover (-8, 8) in steps of WEIGHT_UNIT
_TABLE_ITEMS = 200_000  # beyond, the item's input is computed per step: a table would take 768 bytes an item

States = npt.NDArray[np.int16]


def on_grid(values: Floats, unit: float, limit: float = 64) -> npt.NDArray[np.float64]:
    """Return the values rounded to multiples of the unit, within the limit on both sides."""
    return np.clip(np.rint(values.astype(np.float64) / unit) * unit, -limit, limit)


def _gate_table(values: Floats) -> npt.NDArray[np.int32]:
    return np.rint(values * _ONE).astype(np.int32)


_GRID = (np.arange(2 * _HALF_TABLE) - _HALF_TABLE) * WEIGHT_UNIT
_SIGMOID = _gate_table(1 / (1 + np.exp(-_GRID)))
_TANH = _gate_table(np.tanh(_GRID))


def _at(table: npt.NDArray[np.int32], x: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Look up pre-activations in units of `WEIGHT_UNIT`, rounded half up; overwrites them."""
    x += _HALF_TABLE + 0.5
    np.clip(x, 0, 2 * _HALF_TABLE - 1, out=x)
    return table.take(x.astype(np.intp))


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
        self._item_table = self._item_inputs(np.arange(len(self.embedding))) if len(hashes) <= _TABLE_ITEMS else None
        scale = 1 / WEIGHT_UNIT  # inputs and products are kept in units of WEIGHT_UNIT, ready for the tables
        self._action_gap = (grid["action_gap"] * scale).astype(np.float32)
        self._hour = (grid["hour_of_week"] * scale).astype(np.float32)
        self._context = (grid["context"] * scale).astype(np.float32)
        hidden = grid["hidden"] * (scale * STATE_UNIT)  # [HIDDEN, 3 * HIDDEN]
        hidden[:, 2 * HIDDEN :] *= STATE_UNIT  # undone by the reset gate, an integer
        self._hidden = hidden
        self._hidden_bias = grid["hidden_bias"] * (scale * STATE_UNIT)
        self._readout = grid["readout"] * STATE_UNIT
        self._readout_bias = grid["readout_bias"]
        self._window = grid["window"]

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
        order = np.argsort(-lengths, kind="stable")  # longest first: the states still busy are always the first m
        first = (np.cumsum(lengths) - lengths)[order]
        busy = len(lengths) - np.searchsorted(np.sort(lengths), np.arange(lengths.max(initial=0)), side="right")
        which = np.concatenate([first[:m] + k for k, m in enumerate(busy)] or [np.zeros(0, np.intp)])
        inputs = self._inputs(steps, which)  # [steps, 3 * HIDDEN], wave after wave
        h = states[order].astype(np.int32)
        at = 0
        for m in busy:
            h[:m] = self._step(h[:m], inputs[at : at + m])
            at += m
        after = np.empty_like(states)
        after[order] = h
        return after

    def _step(self, h: npt.NDArray[np.int32], x: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        product = h.astype(np.float64) @ self._hidden  # [m, 3 * HIDDEN]
        gates = product[:, : 2 * HIDDEN]
        gates += x[:, : 2 * HIDDEN]
        r_z = _at(_SIGMOID, gates)  # [m, 2 * HIDDEN]
        candidate = product[:, 2 * HIDDEN :]
        candidate += self._hidden_bias
        candidate *= r_z[:, :HIDDEN]
        candidate += x[:, 2 * HIDDEN :]
        n = _at(_TANH, candidate)  # [m, HIDDEN]
        difference = h - n
        difference *= r_z[:, HIDDEN:]
        difference += _ONE // 2
        difference >>= 14
        difference += n
        return difference

    def _inputs(self, steps: Steps, which: Ints) -> npt.NDArray[np.float32]:
        rows = self.item_rows(steps.item[which])
        x = self._item_table[rows] if self._item_table is not None else self._item_inputs(rows)
        ts_ms, before_ms = steps.ts_ms[which], steps.before_ms[which]
        gap = gap_code(np.where(before_ms < 0, -1, ts_ms - before_ms))
        x += self._action_gap[steps.action[which].astype(np.intp) * GAPS + gap]
        x += self._hour[hour_of_week(ts_ms, self.card.utc_offset_h)]
        x += self._context[steps.context[which]]
        return x

    def _item_inputs(self, rows: Ints) -> npt.NDArray[np.float32]:
        product = self.embedding[rows].astype(np.float64) @ self._item_input
        return np.rint(product / WEIGHT_UNIT).astype(np.float32)

    def heads(self, states: States, window_bins: Ints) -> tuple[Floats, Floats]:
        """Return what the state says of the next event.

        Args:
            states: recurrent states [n, HIDDEN].
            window_bins: `windows.bins` of the same rows [n, FEATURES].

        Returns:
            probabilities of OUTCOMES [n, outcomes], hazards [n, TARGETS, TIME_BINS].
        """
        logits = states.astype(np.float64) @ self._readout
        logits += self._readout_bias
        for feature in range(FEATURES):
            logits += self._window[feature * BINS + window_bins[:, feature]]
        actions = np.ascontiguousarray(logits[:, : len(OUTCOMES)])
        actions -= actions.max(axis=1, keepdims=True)
        np.exp(actions, out=actions)
        actions /= actions.sum(axis=1, keepdims=True)
        hazards = np.clip(logits[:, len(OUTCOMES) :], -_HAZARD_LIMIT, _HAZARD_LIMIT)
        hazards = 1 / (1 + np.exp(-hazards))
        return actions, hazards.reshape(len(states), len(TARGETS), TIME_BINS)
