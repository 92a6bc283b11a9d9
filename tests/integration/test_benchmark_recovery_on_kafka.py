"""The benchmark of recovery runs, recovers every user and refuses rows that are not those that were written."""

from pathlib import Path

import pytest

from models.state import Rows
from streams.benchmark import recovery as module
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.known_users import known_users
from streams.benchmark.recovery import recovery
from streams.settings import read_settings

pytestmark = pytest.mark.broker
USERS = 3000


def run(kafka: str, folder: Path, repeat: int) -> module.Summary:
    settings = read_settings(bootstrap_servers=kafka, partitions=2)
    return recovery(settings, "test", folder, users=USERS, repeat=repeat, say=lambda _: None)


def test_every_user_is_recovered_again_and_again(kafka: str, tmp_path: Path) -> None:
    summary = run(kafka, tmp_path, 2)
    assert len(summary.runs) == 2
    for one in summary.runs:
        assert one.first_answer_s > one.recovery_s > 0
        assert one.users_per_s == pytest.approx(USERS / one.recovery_s)


def test_row_that_differs_in_one_count_is_refused(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_more(first: int, *others: object) -> tuple[list[bytes], Rows]:
        keys, rows = known_users(first, *others)  # type: ignore[arg-type]
        rows["total"][0, 0] += first == USERS // 2
        return keys, rows

    monkeypatch.setattr("streams.benchmark.recovery.known_users", one_more)
    with pytest.raises(BenchmarkFailed, match="not those that were written"):
        run(kafka, tmp_path, 1)
