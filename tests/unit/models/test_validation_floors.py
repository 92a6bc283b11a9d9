"""The floors that training shows: those of the evaluation, on the same rows."""

import numpy as np
import polars as pl
import pytest
import torch
from small_logs import small_log

from models.evaluation.next_action import next_action
from models.evaluation.next_item import next_item
from models.floors.catalogue import NEXT_ACTION, NEXT_ITEM
from models.log import SPLITS, Log, log
from models.network import CELLS
from models.simulator import Shop
from models.simulator import log as simulate
from models.training_table import parts
from models.validation import Validation
from models.validation_floors import floors, strongest


def found(read: Log) -> dict[str, dict[str, float]]:
    made = parts(read, utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=1000)
    rows = torch.nonzero(made.validation.known)[:, 0]
    followed = rows[made.validation.has_next[rows]]
    return floors(made, rows.numpy(), followed.numpy(), Validation(made, CELLS["gru"]).rates)


@pytest.fixture(scope="module")
def read() -> Log:
    events = simulate(Shop(users=40, items=60), 1_750_000_000_000, events=2_000)
    return log(events.with_columns(pl.col("action") + "ed"))  # not served, so that nobody leaves


@pytest.mark.parametrize("name", ["popularity", "own recency", "Markov-1"])
def test_recalls_are_those_of_the_evaluation(read: Log, name: str) -> None:
    known = np.flatnonzero(read.split == SPLITS.index("train"))
    table = next_item(read, {name: NEXT_ITEM[name](read, known)}, split="validation", k=20, replicates=2)
    recall = table.predictors[name].figures["recall"].value
    assert found(read)["next_item"][name] == pytest.approx(recall, abs=1e-12)
    assert 0.2 < recall < 1


@pytest.mark.parametrize(
    ("name", "apart"), [("prior", 0.01), ("own recency", 1e-9), ("Markov-1", 0.01), ("Markov-2", 0.05)]
)
def test_losses_of_actions_are_those_of_the_evaluation(read: Log, name: str, apart: float) -> None:
    """But for how few rows are smoothed."""
    known = np.flatnonzero(read.split == SPLITS.index("train"))
    table = next_action(read, {name: NEXT_ACTION[name](read, known)}, split="validation", replicates=2)
    assert found(read)["next_action"][name] == pytest.approx(
        table.predictors[name].figures["log_loss"].value, abs=apart
    )


def test_each_floor_knows_what_it_is_named_after() -> None:
    """Actions in threes, gaps in turn: two actions back, and the last gap, tell what comes and when."""
    times = [list(np.cumsum([10 if k % 2 else 3000 for k in range(60)])) for _ in range(12)]
    made = found(small_log(["ab" * 30] * 12, None, times, ["abb" * 20] * 12))
    action, time = made["next_action"], made["time_to_any"]
    assert action["Markov-2"] < 0.1 < action["Markov-1"] < action["prior"]
    assert strongest(action, "next_action")[0] == "Markov-2"
    assert time["by last gap"] < time["one curve"] - 0.5
    assert strongest(time, "time_to_any")[0] == "by last gap"


def test_a_log_without_validation_rows_of_a_kind_has_floors_all_the_same() -> None:
    made = found(small_log(["abcab"] * 6))
    assert set(made) == {"next_action", "next_item"}
    assert made["next_action"]["prior"] == 0, "one action, always the same"
