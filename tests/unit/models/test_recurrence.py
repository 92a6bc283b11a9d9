"""The recurrent step against the same in Python's own integers, which never overflow."""

import numpy as np
import numpy.typing as npt
import pytest

from models import recurrence
from models.grid import weights_on_grid
from models.recurrence import Recurrence
from models.state import HIDDEN

ONE = 2**7  # a state of 1, which 8 bits do not hold
GATE = 2**14
GATES = 3 * HIDDEN


def plain_step(h: list[int], weights: npt.NDArray[np.int64], bias: list[int], x: list[int]) -> list[int]:
    """One step: weights [HIDDEN, GATES] and x in units of 2**-12, the bias in units of 2**-19."""

    def gate(table: npt.NDArray[np.int16], value: int) -> int:
        return int(table[min(max(value + 2**15, 0), 2**16 - 1)])

    product = [sum(a * int(w) for a, w in zip(h, weights[:, j], strict=True)) for j in range(GATES)]
    after = []
    for j in range(HIDDEN):
        r = gate(recurrence._SIGMOID, (product[j] + x[j] * ONE + ONE // 2) // ONE)
        z = gate(recurrence._SIGMOID, (product[HIDDEN + j] + x[HIDDEN + j] * ONE + ONE // 2) // ONE)
        reset = r * (product[2 * HIDDEN + j] + bias[j])
        n = gate(recurrence._TANH, (reset + x[2 * HIDDEN + j] * ONE * GATE + ONE * GATE // 2) // (ONE * GATE))
        kept = n * (GATE - z) + h[j] * GATE // ONE * z  # in units of 2**-28
        after.append(min(max((kept + 2**20) // 2**21, 1 - ONE), ONE - 1))
    return after


@pytest.mark.parametrize("spread", [0.1, 0.9, 100])  # as trained, large, all of them as large as can be
def test_steps_are_exact_however_large_the_weights(spread: float) -> None:
    random = np.random.default_rng(0)
    hidden = np.clip(np.rint(random.standard_normal((HIDDEN, GATES)) * spread * 2**12), 1 - 2**15, 2**15 - 1)
    bias = random.integers(-(2**18), 2**18, HIDDEN)
    made = Recurrence(hidden / 2**12, bias / 2**12)
    items, others = random.integers(-9000, 9000, (5, GATES)), random.integers(-9000, 9000, (7, GATES))
    rows, other_rows = random.integers(0, 5, 30), random.integers(0, 7, (30, 3))
    states = random.integers(1 - ONE, ONE, (4, HIDDEN)).astype(np.int8)
    states[0] = ONE - 1
    lengths = np.array([10, 0, 15, 5])
    after = made.advance(states, lengths, rows, items.astype(np.int32), other_rows, others.astype(np.int32))
    step = 0
    for k, length in enumerate(lengths.tolist()):
        h = states[k].tolist()
        for _ in range(length):
            x = items[rows[step]] + others[other_rows[step]].sum(0)
            h = plain_step(h, hidden.astype(np.int64), (bias * ONE).tolist(), x.tolist())
            step += 1
        assert after[k].tolist() == h


@pytest.mark.parametrize("most", [1, -1])
def test_all_weights_as_large_as_they_can_be_do_not_overflow(most: int) -> None:
    weights = weights_on_grid({"hidden": np.full((HIDDEN, GATES), 100.0 * most)})["hidden"]
    made, none = Recurrence(weights, np.zeros(HIDDEN)), np.zeros((1, GATES), np.int32)
    states = np.full((1, HIDDEN), -most * (ONE - 1), np.int8)
    after = made.advance(states, np.array([1]), np.array([0]), none, np.zeros((1, 3), np.int64), none)
    whole = np.rint(weights * 2**12).astype(np.int64)
    assert after[0].tolist() == plain_step(states[0].tolist(), whole, [0] * HIDDEN, [0] * GATES)


def test_what_does_not_fit_is_refused() -> None:
    none = np.zeros((1, GATES), np.int32)
    made = Recurrence(np.zeros((HIDDEN, GATES)), np.zeros(HIDDEN))
    with pytest.raises(ValueError, match="not as many steps"):
        made.advance(np.zeros((1, HIDDEN), np.int8), np.array([2]), np.array([0]), none, np.zeros((1, 3), int), none)
    with pytest.raises(ValueError, match="another size"):
        made.advance(np.zeros((1, 64), np.int8), np.array([1]), np.array([0]), none, np.zeros((1, 3), int), none)
