import numpy as np
import pytest
from small_logs import random_log, small_log

from models.evaluation.rows import (
    NothingToScoreError,
    batches,
    known_rows,
    scored_rows,
    split_to_score,
    with_open_ends,
)


def test_first_rows_and_context_are_no_targets_and_test_rows_come_before_validation_rows() -> None:
    made = small_log(["abc", "abc", "ab"], ["ttt", "cvv", "ee"])
    assert split_to_score(made) == "test"
    assert scored_rows(made, "test").tolist() == [7]
    assert scored_rows(made, "validation").tolist() == [4, 5]
    assert known_rows(made, "validation").tolist() == [0, 1, 2]
    assert known_rows(made, "test").tolist() == [0, 1, 2, 4, 5]
    assert split_to_score(small_log(["abc", "ab"])) == "validation"


def test_a_log_without_such_rows_is_refused() -> None:
    with pytest.raises(NothingToScoreError, match="no test row"):
        split_to_score(small_log(["abc", "ab"]), "test")
    with pytest.raises(NothingToScoreError, match="no validation row"):
        split_to_score(small_log(["abc", "a"]))


def test_batches_hold_every_row_once_in_order() -> None:
    rows = np.arange(1000)
    parts = list(batches(rows, 1 << 17))
    assert len(parts) == 32
    assert np.concatenate(parts).tolist() == rows.tolist()


def test_open_ends_of_a_log_cut_in_time_are_of_everyone_who_was_there() -> None:
    made = small_log(["ab", "aaa", "b"], ["tt", "tte", "t"], [[0, 10], [0, 50, 100], [20]])
    ended, rows, opened = with_open_ends(made, "test")
    assert ended.first.tolist() == [0, 3, 7]
    assert ended.ts_ms.tolist() == [0, 10_000, 100_000, 0, 50_000, 100_000, 100_000, 20_000, 100_000]
    assert rows.tolist() == [2, 5, 6, 8]
    assert opened.tolist() == [0, 2, 3]
    assert len(ended.columns) == len(ended.item)


def test_open_ends_of_whole_sequences_are_those_of_their_split() -> None:
    made = small_log(["ab", "ab"], ["tt", "ee"], [[0, 10], [0, 20]])
    ended, rows, opened = with_open_ends(made, "test")
    assert rows.tolist() == [3, 4]
    assert opened.tolist() == [1]
    assert ended.names == ["s00", "s01"]


def test_context_before_targets_does_not_make_a_cut_in_time() -> None:
    made = small_log(["ab", "abc"], ["tt", "cee"], [[0, 10], [0, 20, 30]])
    ended, rows, opened = with_open_ends(made, "test")
    assert ended.first.tolist() == [0, 2]
    assert (rows.tolist(), opened.tolist()) == ([3, 4, 5], [2])


def test_what_comes_after_the_end_of_a_split_has_not_come() -> None:
    made = small_log(["abc", "aba"], ["tve", "tve"], [[0, 10, 30], [0, 20, 40]])
    ended, rows, opened = with_open_ends(made, "validation")
    assert ended.ts_ms.max() == 20_000
    assert len(ended.item) == 6
    assert len(rows) == 4
    assert opened.tolist() == [1, 3]


def test_open_ends_keep_the_columns_in_step_with_the_rows() -> None:
    made = random_log(3)
    made = made._replace(columns=made.columns.with_columns(mark=made.item))
    ended, _, _ = with_open_ends(made, "test")
    mark = ended.columns["mark"].to_numpy()
    assert (mark[~np.isnan(mark)] == ended.item[~np.isnan(mark)]).all()
