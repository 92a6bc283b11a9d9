"""No floor knows what comes after: with another future its answers stay the same."""

import numpy as np
import pytest
from leaks import assert_blind_after, assert_blind_to_the_future
from small_logs import random_log

from models.evaluation.rows import known_rows
from models.features import GAP_EDGES_MS
from models.floors.catalogue import CHURN, NEXT_ACTION, NEXT_ITEM, TIME_TO_NEXT
from models.log import Log
from models.state import Floats

LOG = random_log(7, sequences=40)


@pytest.mark.parametrize("name", NEXT_ITEM)
def test_next_item(name: str) -> None:
    assert_blind_to_the_future(NEXT_ITEM[name](LOG, known_rows(LOG, "test")).item_scores, LOG)


@pytest.mark.parametrize("name", NEXT_ACTION)
def test_next_action(name: str) -> None:
    assert_blind_to_the_future(NEXT_ACTION[name](LOG, known_rows(LOG, "test")).action_probabilities, LOG)


@pytest.mark.parametrize("name", TIME_TO_NEXT)
def test_time_to_next(name: str) -> None:
    floor = TIME_TO_NEXT[name](LOG, known_rows(LOG, "test"))
    assert_blind_to_the_future(lambda made, rows: floor.survival(made, rows, GAP_EDGES_MS), LOG)


@pytest.mark.parametrize("name", CHURN)
def test_churn(name: str) -> None:
    at_ms = int(np.quantile(LOG.ts_ms, 0.7))

    def answers(made: Log) -> Floats:
        floor = CHURN[name](made, np.arange(len(made.item)))  # even where it is handed the future to learn from
        return np.stack(floor.activity(made, at_ms, 30 * 86_400_000), axis=1)

    assert_blind_after(answers, LOG, at_ms - 1)
