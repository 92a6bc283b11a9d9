"""Outputs as columns: what one user or one item is called costs the others neither bytes nor time."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from builders import random_model

from models.predictor import Predictor
from models.windows import bins
from schemas.topics import OUTPUTS
from streams import outputs as outputs_module
from streams import wide_names
from streams.benchmark.known_users import known_users
from streams.options import Options
from streams.outputs import Output, Outputs, Users, churn_outputs, outputs
from streams.publishing import encoded
from streams.slate_json import PLACE_BYTES, item_names

WIDE = "\x01" * 256  # JSON of 1538 bytes
USERS = 200


def predictor(wide_items: Sequence[int] = (), items: int = 40) -> Predictor:
    model = random_model(items)
    for k in wide_items:
        model.items[k] = WIDE[:-3] + f"{k:03}"
    return Predictor(model)


def made(model: Predictor, wide_users: Sequence[int] = (), slate_size: int = 10) -> list[Outputs]:
    keys, rows = known_users(0, USERS, model)
    for k in wide_users:
        keys[k] = (WIDE[:-3] + f"{k:03}").encode()
    actions, hazards = model.heads(rows["now"], bins(rows))
    users = Users(rows, keys, np.sort(np.arange(USERS) % 3))
    return outputs(users, actions, hazards, model, Options(slate_size=slate_size))


def by_user(parts: Sequence[Outputs]) -> dict[tuple[str, bytes], Output]:
    found: dict[tuple[str, bytes], Output] = {}
    for output in [output for part in parts for output in part]:
        assert output.key is not None
        assert (output.topic, output.key) not in found  # a user appears once
        found[output.topic, output.key] = output
    return found


WIDE_USERS, WIDE_ITEMS = [0, 7, 80, USERS - 1], [1, 5, 30]


@pytest.mark.parametrize("wide_users", [[], WIDE_USERS])
@pytest.mark.parametrize("wide_items", [[], WIDE_ITEMS])
@pytest.mark.parametrize("block_bytes", [10_000, 16_000_000])
def test_wide_names_and_blocks_change_no_message(
    wide_users: list[int], wide_items: list[int], block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = predictor(wide_items)
    monkeypatch.setattr(outputs_module, "_BLOCK_BYTES", block_bytes)
    parts = made(model, wide_users)
    monkeypatch.setattr(outputs_module, "_BLOCK_BYTES", 10**12)
    monkeypatch.setattr(wide_names, "_WIDE", 10**6)  # no name is wide
    whole = made(predictor(wide_items), wide_users)
    assert len(whole) == len(OUTPUTS) <= len(parts)
    assert by_user(parts) == by_user(whole)
    for part in parts:
        assert len(part) > 0
        changes = int((np.diff(part.partition) != 0).sum())
        assert changes + 1 == len(set(part.partition.tolist()))  # users of one partition stand together
        batches = encoded(part)
        counts = {number: sum(batch.records for batch in its) for number, its in batches.items()}
        assert counts == Counter(part.partition.tolist())


@pytest.mark.parametrize(("wide_users", "wide_items"), [([7], []), ([], [5]), (WIDE_USERS, WIDE_ITEMS)])
def test_wide_name_does_not_widen_the_texts_of_others(wide_users: list[int], wide_items: list[int]) -> None:
    widths = {part.topic: part.values.shape[1] for part in made(predictor())}
    parts = made(predictor(wide_items), wide_users)
    assert len(parts) > len(widths)
    without: dict[str, int] = defaultdict(int)
    for part in parts:
        lengths = [len(output.value) for output in part]
        if max(lengths) < 1500:
            without[part.topic] += len(part)
            assert part.values.shape[1] <= widths[part.topic] + 10 * len("\1item30\1")
        else:
            assert part.values.shape[1] < 2 * min(lengths)
    assert without["next-actions"] == USERS - len(wide_users)


def test_no_text_is_wider_than_blocks_are_planned_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = predictor()
    monkeypatch.setattr(outputs_module, "_BLOCK_BYTES", 100_000)
    for slate_size in (0, 1, 10, 40):
        width = outputs_module._MESSAGE_BYTES + slate_size * (PLACE_BYTES + item_names(model).column.shape[2])
        parts = made(model, slate_size=slate_size)
        assert all(part.values.shape[1] <= width and part.values.size <= 100_000 for part in parts)
        assert sum(map(len, parts)) == USERS * (3 if slate_size else 2)


def test_a_block_holds_one_user_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs_module, "_BLOCK_BYTES", 2000)
    assert len(by_user(made(predictor(WIDE_ITEMS), WIDE_USERS))) == USERS * 3


def test_silence_of_a_user_of_a_wide_name_is_told_beside_the_others() -> None:
    model = predictor()
    keys, rows = known_users(0, USERS, model)
    keys[3] = WIDE.encode()
    _, hazards = model.heads(rows["now"], bins(rows))
    parts = churn_outputs(Users(rows, keys, np.zeros(USERS, np.int64)), hazards, model, np.ones(USERS, np.int64))
    assert [part.keys for part in parts] == [keys[:3] + keys[4:], [WIDE.encode()]]


def test_names_of_one_length_are_not_wide_however_long() -> None:
    names = wide_names.json_names([f"{k:0200}" for k in range(9)], "user")
    assert (names.column.shape, names.wide) == ((9, 1, 202), {})
    assert wide_names.json_names([], "user").column.shape == (0, 1, 1)
