"""The network in numpy against its equations, and against itself in other batches."""

import tracemalloc
from hashlib import sha256
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pytest
from builders import START_MS, random_model

from models import predictor, recurrence
from models.features import GAPS, NO_GAP, TIME_BINS, Steps
from models.grid import on_grid
from models.latest import COLUMNS, sizes
from models.model_directory import OUTCOMES, READOUT, TARGETS, Model
from models.predictor import Predictor
from models.recurrence import States
from models.state import HIDDEN
from models.windows import BINS, FEATURES

HOUR_MS = 3_600_000
ONE = 2**7
MODEL_ITEMS = 50


def model_on_grid() -> Model:
    """A model whose weights need no rounding, so that only the steps themselves round."""
    model = random_model(MODEL_ITEMS)
    weights = {name: on_grid(w, 2.0**-10).astype(np.float32) for name, w in model.weights.items()}
    return Model(model.card, model.items, weights)


MODEL = model_on_grid()
SERVING = Predictor(MODEL)


def random_steps(count: int, seed: int = 1) -> Steps:
    random = np.random.default_rng(seed)
    ts_ms = START_MS + random.integers(0, 10**10, count)
    gap = np.exp(random.uniform(0, np.log(10**10), count)).astype(np.int64)
    names = [f"i{k}" for k in random.integers(0, MODEL_ITEMS + 10, count)]  # the last ones are unknown
    return Steps(
        item=np.array([crc32(name.encode()) for name in names], np.int64),
        action=random.integers(0, 3, count),
        ts_ms=ts_ms,
        before_ms=np.where(random.random(count) < 0.2, -1, ts_ms - gap),
        context=random.integers(0, 256, count),
    )


def at(steps: Steps, index: npt.NDArray[np.intp]) -> Steps:
    return Steps(*(column[index] for column in steps))


def random_states(count: int, seed: int = 2) -> States:
    return np.random.default_rng(seed).integers(1 - ONE, ONE, (count, HIDDEN), dtype=np.int8)


def sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


def plain_step(h: npt.NDArray[np.float64], steps: Steps, k: int) -> npt.NDArray[np.float64]:
    """One step by the equations of `model_directory.shapes`, in float64, with nothing rounded."""
    w = {name: values.astype(np.float64) for name, values in MODEL.weights.items()}
    hashes = [crc32(item.encode()) for item in MODEL.items]
    row = hashes.index(int(steps.item[k])) + 1 if steps.item[k] in hashes else 0
    before_ms, ts_ms = int(steps.before_ms[k]), int(steps.ts_ms[k])
    gap_s = (ts_ms - before_ms) // 1000
    gap = NO_GAP if before_ms < 0 else min(gap_s.bit_length(), TIME_BINS - 1)
    x = w["item_embedding"][row] @ w["item_input"]
    x += w["action_gap"][int(steps.action[k]) * GAPS + gap]
    x += w["hour_of_week"][ts_ms // HOUR_MS % 168]
    x += w["context"][int(steps.context[k])]
    product = h @ w["hidden"]
    r = sigmoid(x[:HIDDEN] + product[:HIDDEN])
    z = sigmoid(x[HIDDEN : 2 * HIDDEN] + product[HIDDEN : 2 * HIDDEN])
    n = np.tanh(x[2 * HIDDEN :] + r * (product[2 * HIDDEN :] + w["hidden_bias"]))
    after: npt.NDArray[np.float64] = (1 - z) * n + z * h
    return after


def test_step_is_the_gru_of_the_equations_but_for_the_rounding_of_the_grid() -> None:
    steps, states = random_steps(400), random_states(400)
    after = SERVING.advance(states, steps, np.ones(400, np.int64)) / ONE
    plain = np.array([plain_step(states[k] / ONE, steps, k) for k in range(400)])
    # the state: half a step of 2**-7, a whole one at 1; gates: half a step of 2**-12 in each table's argument, 2**-15
    # in its value; r's error times |candidate| < 16
    error = np.abs(after - plain)[np.abs(plain) < 1 - 2**-8]
    assert error.max() < 2**-8 + 2**-12 + 16 * 2**-14
    assert np.abs(after - plain).max() <= 2**-7
    assert abs((after - plain)[np.abs(plain) < 1 - 2**-7].mean()) < 2**-13  # and to neither side


def test_many_steps_from_nothing_stay_near_the_plain_gru() -> None:
    steps = random_steps(20)
    plain = np.zeros(HIDDEN)
    for k in range(20):
        plain = plain_step(plain, steps, k)
    after = SERVING.advance(np.zeros((1, HIDDEN), np.int8), steps, np.array([20]))
    assert np.abs(after[0] / ONE - plain).max() < 0.1
    assert np.abs(after[0] / ONE - plain).mean() < 2**-6


def test_weights_off_the_grid_are_rounded_to_it() -> None:
    exact = random_model(MODEL_ITEMS)
    rounded = Model(
        exact.card,
        exact.items,
        {
            name: on_grid(w, 2.0**-10 if name == "item_embedding" else 2.0**-12).astype(np.float32)
            for name, w in exact.weights.items()
        },
    )
    steps, states, lengths = random_steps(50), random_states(50), np.ones(50, np.int64)
    after = [Predictor(model).advance(states, steps, lengths) for model in (exact, rounded)]
    assert after[0].tobytes() == after[1].tobytes()


def test_no_split_or_order_of_a_batch_changes_a_bit() -> None:
    random = np.random.default_rng(3)
    count = 150
    lengths = random.integers(0, 9, count)
    steps, states = random_steps(int(lengths.sum())), random_states(count)
    start = np.cumsum(lengths) - lengths
    whole = SERVING.advance(states, steps, lengths)
    for _ in range(100):
        cuts = np.sort(random.choice(count, random.integers(1, 12), replace=False))
        for part in np.split(random.permutation(count), cuts):
            mine = np.concatenate([np.arange(start[k], start[k] + lengths[k]) for k in part] or [np.zeros(0, np.intp)])
            after = SERVING.advance(states[part], at(steps, mine.astype(np.intp)), lengths[part])
            assert after.tobytes() == whole[part].tobytes()


def test_steps_one_by_one_give_the_state_of_all_at_once() -> None:
    steps, state = random_steps(30), random_states(1)
    whole = SERVING.advance(state, steps, np.array([30]))
    for k in range(30):
        state = SERVING.advance(state, at(steps, np.array([k])), np.array([1]))
    assert state.tobytes() == whole.tobytes()


def test_state_without_steps_stays_as_it_is() -> None:
    states = random_states(3)
    assert SERVING.advance(states, random_steps(0), np.zeros(3, np.int64)).tobytes() == states.tobytes()
    assert SERVING.advance(states[:0], random_steps(0), np.zeros(0, np.int64)).shape == (0, HIDDEN)


def test_unknown_items_all_stand_in_row_0() -> None:
    steps = random_steps(2)
    unknown = [crc32(b"never seen"), crc32(b"nor this")]
    assert not SERVING.knows(np.array(unknown)).any()
    same = at(steps, np.zeros(2, np.intp))._replace(item=np.array(unknown))
    states = np.repeat(random_states(1), 2, axis=0)
    after = SERVING.advance(states, same, np.array([1, 1]))
    assert after[0].tobytes() == after[1].tobytes()
    weights = dict(MODEL.weights)
    weights["item_embedding"] = weights["item_embedding"].copy()
    weights["item_embedding"][0] += 0.5
    other = Predictor(Model(MODEL.card, MODEL.items, weights)).advance(states, same, np.array([1, 1]))
    assert other.tobytes() != after.tobytes()


def test_item_is_found_by_the_hash_of_its_id() -> None:
    hashes = np.array([[crc32(b"i0"), crc32(b"i49")], [crc32(b"i50"), crc32(b"i7")]])
    assert SERVING.item_rows(hashes).tolist() == [[1, 50], [0, 8]]
    assert SERVING.knows(hashes).tolist() == [[True, True], [False, True]]
    assert SERVING.item_rows(np.array([0, 2**32 - 1])).tolist() == [0, 0]
    every = np.array([crc32(item.encode()) for item in MODEL.items])
    assert SERVING.item_rows(every).tolist() == list(range(1, MODEL_ITEMS + 1))
    assert SERVING.item_hashes.tolist() == every.tolist()


def test_lookup_of_item_hashes_does_not_convert_the_table() -> None:
    many = Predictor(random_model(100_000))
    few = np.array([crc32(b"i7")])
    tracemalloc.start()
    try:
        many.item_rows(few)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_of_two_items_with_one_hash_the_first_is_found() -> None:
    assert crc32(b"plumless") == crc32(b"buckeroo")
    model = random_model(2)
    pair = Predictor(Model(model.card, ["plumless", "buckeroo"], model.weights))
    assert pair.item_rows(np.array([crc32(b"buckeroo")])).tolist() == [1]


def test_model_without_items_knows_none() -> None:
    empty = Predictor(random_model(0))
    assert empty.item_rows(np.array([[1, 2], [3, 4]])).tolist() == [[0, 0], [0, 0]]
    assert empty.advance(random_states(2), random_steps(2), np.array([1, 1])).shape == (2, HIDDEN)


@pytest.mark.parametrize(("factor", "bits"), [(1, 16), (30, 32)])
def test_more_items_than_the_table_takes_give_the_same_states(
    monkeypatch: pytest.MonkeyPatch, factor: int, bits: int
) -> None:
    weights = MODEL.weights | {"item_input": MODEL.weights["item_input"] * factor}
    loud = Model(MODEL.card, MODEL.items, weights)
    with_table = Predictor(loud)
    monkeypatch.setattr(predictor, "_TABLE_ITEMS", MODEL_ITEMS - 1)
    without_table = Predictor(loud)
    assert without_table._item_table is None
    assert with_table._item_table is not None
    assert with_table._item_table.itemsize * 8 == bits
    lengths = np.full(20, 10)
    steps, states = random_steps(200), random_states(20)
    assert (
        without_table.advance(states, steps, lengths).tobytes() == with_table.advance(states, steps, lengths).tobytes()
    )


def test_gate_tables_are_the_same_on_every_processor() -> None:
    tables = recurrence._SIGMOID.astype("<i4").tobytes() + recurrence._TANH.astype("<i4").tobytes()
    assert sha256(tables).hexdigest() == "f47320e2e965e09c86189883fdeba4db563cea546ffe7404324a0101b638017e", (
        "numpy's exp or tanh gives other tables here: states would differ between workers, and from the changelog's"
    )


def test_no_entry_of_a_gate_table_is_near_where_rounding_turns() -> None:
    """An exp that errs by a few units of its last place, 1e-16 times what it returns, leaves every entry as it is."""
    grid = recurrence._GRID.astype(np.float64)
    for entries in (sigmoid(grid), np.tanh(grid)):
        to_edge = np.abs(entries * ONE - np.floor(entries * ONE) - 0.5)
        assert to_edge.min() > 1e-9


def test_gates_saturate_outside_their_tables() -> None:
    model = random_model(1)
    weights = {name: np.zeros_like(w) for name, w in model.weights.items()}
    weights["context"][0] = 60  # far beyond the tables' end, 8
    weights["context"][1] = -60
    extreme = Predictor(Model(model.card, model.items, weights))
    steps = random_steps(2)._replace(context=np.array([0, 1]))
    before = np.full((2, HIDDEN), 100, np.int8)
    after = extreme.advance(before, steps, np.array([1, 1]))
    assert after[0] == pytest.approx(100, abs=0)  # z is nearly 1: sigmoid(8)
    assert after[1] == pytest.approx(1 - ONE, abs=0)  # z is nearly 0, n is -1, which 8 bits do not hold


def test_heads_are_the_formulas_of_the_model() -> None:
    random = np.random.default_rng(4)
    states, window_bins = random_states(100), random.integers(0, BINS, (100, FEATURES))
    codes = random.integers(0, sum(sizes(3)), (100, COLUMNS))
    actions, hazards = SERVING.heads(states, window_bins, codes)
    w = {name: values.astype(np.float64) for name, values in MODEL.weights.items()}
    for k in range(100):
        logits = states[k] / ONE @ w["readout"] + w["readout_bias"]
        for feature in range(FEATURES):
            logits += w["window"][feature * BINS + window_bins[k, feature]]
        logits += w["latest"][codes[k]].sum(0)
        assert len(logits) == READOUT
        shifted = np.exp(logits[: len(OUTCOMES)] - logits[: len(OUTCOMES)].max())
        assert actions[k] == pytest.approx(shifted / shifted.sum(), rel=1e-12)
        plain = sigmoid(logits[len(OUTCOMES) :]).reshape(len(TARGETS), TIME_BINS)
        assert hazards[k] == pytest.approx(plain, rel=1e-12)


def test_no_split_or_order_of_a_batch_changes_a_bit_of_the_heads() -> None:
    random = np.random.default_rng(5)
    states, window_bins = random_states(200), random.integers(0, BINS, (200, FEATURES))
    codes = random.integers(0, sum(sizes(3)), (200, COLUMNS))
    actions, hazards = SERVING.heads(states, window_bins, codes)
    for _ in range(100):
        cuts = np.sort(random.choice(200, random.integers(1, 12), replace=False))
        for part in np.split(random.permutation(200), cuts):
            a, h = SERVING.heads(states[part], window_bins[part], codes[part])
            assert (a.tobytes(), h.tobytes()) == (actions[part].tobytes(), hazards[part].tobytes())


def test_hazards_stay_between_0_and_1_whatever_the_weights() -> None:
    model = random_model(1)
    weights = {name: np.sign(w) * 1000 for name, w in model.weights.items()}
    extremes = np.repeat(np.array([[ONE - 1], [1 - ONE]], np.int8), HIDDEN, 1)
    states = np.concatenate([extremes, random_states(20)])
    bins, codes = np.zeros((22, FEATURES), int), np.zeros((22, COLUMNS), int)
    actions, hazards = Predictor(Model(model.card, model.items, weights)).heads(states, bins, codes)
    assert ((hazards > 0) & (hazards < 1)).all()
    assert actions.sum(axis=1) == pytest.approx(1)
