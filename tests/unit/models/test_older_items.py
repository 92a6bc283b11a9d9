"""The items of before the ring: the same in training and serving, and those that a list of all that left would give."""

from zlib import crc32

import numpy as np
import polars as pl
from builders import event_columns, random_model
from hypothesis import given
from hypothesis import strategies as st

from models.history import apply
from models.item_index import item_hashes
from models.log import log
from models.model_directory import SERVED, Model
from models.older_items import of_log, older_key
from models.predictor import Predictor
from models.sequences import inputs
from models.state import OLDER, RING, Ints, empty_rows


def alike() -> tuple[str, str]:
    """Return two ids whose hashes differ, but not in the bits that are kept of an older item."""
    met: dict[int, str] = {}
    for number in range(100_000):
        name = f"{number * 2654435761 % 2**32:08x}"
        other = met.setdefault(crc32(name.encode()) % 2**24, name)
        if other != name:
            return other, name
    raise AssertionError


@given(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=60), min_size=1, max_size=4))
def test_after_every_event_they_are_the_last_different_ones_that_left(sequences: list[list[int]]) -> None:
    key = np.array([item for sequence in sequences for item in sequence])
    found = of_log(np.cumsum([0, *map(len, sequences[:-1])]), key, 100 + key)
    expected: list[list[int]] = []
    for sequence in sequences:
        for end in range(1, len(sequence) + 1):
            left = [*dict.fromkeys(reversed(sequence[: max(end - RING, 0)]))][:OLDER]
            expected.append([100 + item for item in left] + [0] * (OLDER - len(left)))
    assert found.tolist() == expected


def test_training_has_what_serving_has_where_two_items_are_one_and_where_the_model_knows_none() -> None:
    first, second = alike()
    names = [first, second, *(f"known{k}" for k in range(9)), *(f"strange{k}" for k in range(5))]
    known = [second, first, *names[2:11]]
    model = Predictor(Model(random_model(len(known)).card, known, random_model(len(known)).weights))
    random = np.random.default_rng(1)
    item = [*random.integers(0, len(names), 60).tolist(), 0, *(2 + k % 14 for k in range(RING))]
    frame = pl.DataFrame({"user_id": "ann", "item_id": [names[k] for k in item], "action": "view"})
    read = log(
        frame.with_columns(ts_ms=pl.int_range(1, len(item) + 1), event_id=pl.int_range(pl.len()).cast(pl.String))
    )
    trained = inputs(read, SERVED, known, 0).older
    rows, events = empty_rows(1), event_columns([0] * len(item), [0] * len(item), read.ts_ms.tolist())
    events.item[:] = item_hashes([names[k] for k in item])
    new: Ints = np.zeros(0, np.int64)
    for k in range(len(item)):
        apply(rows, events.at(np.array([k])), model)
        last = model.held(rows, model.ring(rows)).item[0]
        ring = last[:RING]
        new = np.where(np.isin(trained[k], ring[ring > 0]), 0, trained[k])
        assert last[RING:].tolist() == new.tolist()
    assert new[0] == 1  # of the two that are one, the model's first
    assert 0 in trained[-1]


def test_a_hash_without_low_bits_is_not_none() -> None:
    assert older_key(np.array([2**31, 2**24 + 1, 5])).tolist() == [1, 1, 5]
