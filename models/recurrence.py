"""The recurrent step of the network in integers: no sum rounds, so no order or grouping changes a bit.

A state is an int8 in units of 2**-7, a weight an int16 in units of 2**-12. Gates are tables of sigmoid and tanh whose
entries lie far from where rounding turns: another processor's `exp` gives the same states.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.grid import STATE_UNIT, WEIGHT_UNIT
from models.state import HIDDEN, Floats, Ints

States = npt.NDArray[np.int8]
Table = npt.NDArray[np.int16] | npt.NDArray[np.int32]
Integer: TypeAlias = np.integer[Any]

_GATES = 3 * HIDDEN
_STATE_BITS, _GATE_BITS = 7, 14
_MOST = (1 << _STATE_BITS) - 1
_ONE = 1 << _GATE_BITS
_HALF_TABLE = 32_768  # gate tables cover (-8, 8) in steps of WEIGHT_UNIT
_LAST = 2 * _HALF_TABLE - 1

_GRID = (np.arange(2 * _HALF_TABLE) - _HALF_TABLE) * WEIGHT_UNIT
_SIGMOID, _TANH = (np.rint(values * _ONE).astype(np.int16) for values in (1 / (1 + np.exp(-_GRID)), np.tanh(_GRID)))


class Recurrence:
    """The recurrent step with the weights of a model.

    Args:
        hidden: weights of the state on the grid, as in `model_directory.shapes` [HIDDEN, 3 * HIDDEN].
        bias: of the candidate's product, on the grid [HIDDEN].
    """

    def __init__(self, hidden: Floats, bias: Floats) -> None:
        self._hidden = np.rint(np.ascontiguousarray(hidden.T) / WEIGHT_UNIT).astype(np.int16)
        self._bias = np.rint(bias / (WEIGHT_UNIT * STATE_UNIT)).astype(np.int64)

    def advance(
        self, states: States, lengths: Ints, item_rows: Ints, items: Table, other_rows: Ints, others: Table
    ) -> States:
        """Return each state after its steps.

        Args:
            states: before [n, HIDDEN].
            lengths: number of steps of each state [n], 0 allowed.
            item_rows: row of `items` of each step, those of the first state first, each state's in order [steps].
            items: inputs in units of `WEIGHT_UNIT` [rows, 3 * HIDDEN].
            other_rows: rows of `others` of each step [steps, 3].
            others: inputs as `items`.
        """
        after = np.array(states, np.int8, order="C")
        runs = np.ascontiguousarray(lengths, np.int64)
        _walk(after, runs, item_rows, items, other_rows, others, self._hidden, self._bias)
        return after


@compiled
def _dot(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> np.int32:
    total = np.int32(0)  # |a| <= 2**7, |b| <= 2**15 and HIDDEN = 2**7 terms: 30 bits
    for k in range(HIDDEN):
        total = np.int32(total + np.int32(a[k]) * np.int32(b[k]))  # of this form, a processor adds up 16 at a time
    return total


@compiled
def _gate(table: npt.NDArray[np.int16], x: Integer) -> np.int64:
    """Look up a pre-activation in units of `WEIGHT_UNIT`."""
    return np.int64(table[min(max(x + _HALF_TABLE, 0), _LAST)])


@compiled
def _shifted(x: Integer, bits: int) -> Integer:
    """Divide by 2**bits, rounded half up."""
    shifted: Integer = x + (1 << bits - 1) >> bits
    return shifted


@compiled
def _walk(
    states: States,
    lengths: Ints,
    item_rows: Ints,
    items: Table,
    other_rows: Ints,
    others: Table,
    hidden: npt.NDArray[np.int16],
    bias: Ints,
) -> None:
    if not lengths.sum() == len(item_rows) == len(other_rows):
        raise ValueError("not as many steps as the lengths say")
    if states.shape[1] != HIDDEN:
        raise ValueError("states of another size")
    h, product, x = np.empty(HIDDEN, np.int16), np.empty(_GATES, np.int64), np.empty(_GATES, np.int64)
    step = 0
    for state in range(len(lengths)):
        for j in range(HIDDEN):
            h[j] = states[state, j]
        for _ in range(lengths[state]):
            item, a, b, c = item_rows[step], other_rows[step, 0], other_rows[step, 1], other_rows[step, 2]
            step += 1
            for j in range(_GATES):
                product[j] = _dot(h, hidden[j])
                x[j] = items[item, j] + others[a, j] + others[b, j] + others[c, j]
            for j in range(HIDDEN):
                r = _gate(_SIGMOID, x[j] + _shifted(product[j], _STATE_BITS))
                z = _gate(_SIGMOID, x[HIDDEN + j] + _shifted(product[HIDDEN + j], _STATE_BITS))
                reset = r * (product[2 * HIDDEN + j] + bias[j])
                n = _gate(_TANH, x[2 * HIDDEN + j] + _shifted(reset, _STATE_BITS + _GATE_BITS))
                kept = (n << _GATE_BITS) + ((np.int64(h[j]) << _GATE_BITS - _STATE_BITS) - n) * z
                rounded = int(_shifted(kept, 2 * _GATE_BITS - _STATE_BITS))
                h[j] = min(max(rounded, -_MOST), _MOST)
        for j in range(HIDDEN):
            states[state, j] = h[j]
