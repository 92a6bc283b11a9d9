"""The recurrent step of the network in integers: no sum rounds, so no order or grouping changes a bit.

A state is an int16 in units of 2**-14, a weight an integer of up to 17 bits in units of 2**-12. Gates are tables of
sigmoid and tanh whose entries lie far from where rounding turns: another processor's `exp` gives the same states.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from models.compiled import compiled
from models.grid import STATE_UNIT, WEIGHT_UNIT
from models.state import HIDDEN, Floats, Ints

States = npt.NDArray[np.int16]
Table = npt.NDArray[np.int16] | npt.NDArray[np.int32]
Integer: TypeAlias = np.integer[Any]

_GATES = 3 * HIDDEN
_STATE_BITS, _WEIGHT_BITS = 14, 12
_ONE = 1 << _STATE_BITS
_HALF_TABLE = 32_768  # gate tables cover (-8, 8) in steps of WEIGHT_UNIT
_LAST = 2 * _HALF_TABLE - 1
_PART_BITS = 8
_MOST = (1 << 31 - _STATE_BITS) - 1  # what a gate's weights may sum up to if 32 bits are to hold their product

_GRID = (np.arange(2 * _HALF_TABLE) - _HALF_TABLE) * WEIGHT_UNIT
_SIGMOID, _TANH = (np.rint(values * _ONE).astype(np.int16) for values in (1 / (1 + np.exp(-_GRID)), np.tanh(_GRID)))


class Recurrence:
    """The recurrent step with the weights of a model.

    Args:
        hidden: weights of the state on the grid, as in `model_directory.shapes` [HIDDEN, 3 * HIDDEN].
        bias: of the candidate's product, on the grid [HIDDEN].
    """

    def __init__(self, hidden: Floats, bias: Floats) -> None:
        self._parts = _parts(np.rint(np.ascontiguousarray(hidden.T) / WEIGHT_UNIT).astype(np.int32))
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
        after = np.array(states, np.int16, order="C")
        runs = np.ascontiguousarray(lengths, np.int64)
        _walk(after, runs, item_rows, items, other_rows, others, self._parts, self._bias)
        return after


def _parts(weights: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]:
    """Return weights as int16 [parts, outputs, HIDDEN]: one part if 32 bits hold any product with a state, else two.

    The sum of the parts, each but the last times 2**_PART_BITS, is the weights.
    """
    if np.abs(weights).sum(axis=1).max() <= _MOST and weights.max() < 1 << 15:
        return weights[None].astype(np.int16)
    return np.stack([weights >> _PART_BITS, weights & (1 << _PART_BITS) - 1]).astype(np.int16)


@compiled
def _dot(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> np.int32:
    total = np.int32(0)
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
    parts: npt.NDArray[np.int16],
    bias: Ints,
) -> None:
    if not lengths.sum() == len(item_rows) == len(other_rows):
        raise ValueError("not as many steps as the lengths say")
    product, x = np.empty(_GATES, np.int64), np.empty(_GATES, np.int64)
    step = 0
    for state in range(len(lengths)):
        h = states[state]
        for _ in range(lengths[state]):
            item, a, b, c = item_rows[step], other_rows[step, 0], other_rows[step, 1], other_rows[step, 2]
            step += 1
            for j in range(_GATES):
                product[j] = _dot(h, parts[0, j])
            for part in range(1, len(parts)):
                for j in range(_GATES):
                    product[j] = (product[j] << _PART_BITS) + _dot(h, parts[part, j])
            for j in range(_GATES):
                x[j] = items[item, j] + others[a, j] + others[b, j] + others[c, j]
            for j in range(HIDDEN):
                r = _gate(_SIGMOID, x[j] + _shifted(product[j], _STATE_BITS))
                z = _gate(_SIGMOID, x[HIDDEN + j] + _shifted(product[HIDDEN + j], _STATE_BITS))
                reset = r * (product[2 * HIDDEN + j] + bias[j])
                n = _gate(_TANH, x[2 * HIDDEN + j] + _shifted(reset, 2 * _STATE_BITS))
                h[j] = n + _shifted((h[j] - n) * z, _STATE_BITS)
