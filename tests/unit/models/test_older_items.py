"""The items of before the ring: the same in training and serving, and those that a list of all that left would give."""

from zlib import crc32

import numpy as np
import polars as pl
import torch
from builders import event_columns, random_model
from hypothesis import given
from hypothesis import strategies as st

from models.history import apply
from models.item_index import item_hashes
from models.log import log
from models.model_directory import Model
from models.older_items import of_log, older_key
from models.predictor import Predictor
from models.state import OLDER, RING, empty_rows
from models.training_table import parts


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
    names = [*alike(), *(f"i{k}" for k in range(14))]
    random, events = np.random.default_rng(1), 300
    item = random.choice(len(names), events, p=np.r_[0.05, 0.05, np.full(8, 0.1), np.full(6, 0.1 / 6)])
    frame = pl.DataFrame({"user_id": "ann", "item_id": [names[k] for k in item], "action": "view"})
    number = pl.int_range(pl.len())
    made = parts(
        log(frame.with_columns(ts_ms=number, event_id=number.cast(pl.String))),
        utc_offset_h=0,
        leave_after_ms=1_000,
        item_count=1,
        item_cap=10,
    )
    assert set(names[:2]) < set(made.items)
    model = Predictor(Model(random_model().card, made.items, random_model(10).weights))
    learnt, _ = made.held(torch.arange(events))
    rows, arrived = empty_rows(1), event_columns([0] * events, [0] * events, made.log.ts_ms.tolist())
    arrived.item[:] = item_hashes(frame["item_id"].to_list())
    for k in range(events):
        apply(rows, arrived.at(np.array([k])), model)
        served = model.held(rows, model.ring(rows))
        assert [column[k].tolist() for column in learnt] == [column[0].tolist() for column in served]
    shared, alone = sorted(made.items.index(name) + 1 for name in names[:2])
    assert (learnt.item[:, :RING] == alone).any()
    assert not (learnt.item[:, RING:] == alone).any()
    assert ((learnt.item[:, RING:] > 0).sum(0) > 0).sum() > 5
    assert (learnt.item[:, RING:] == shared).any()


def test_a_hash_without_low_bits_is_not_none() -> None:
    assert older_key(np.array([2**31, 2**24 + 1, 5])).tolist() == [1, 1, 5]
