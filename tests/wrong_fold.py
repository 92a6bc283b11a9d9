"""A plain fold that is wrong: what a benchmark's check must refuse."""

import pytest

from streams.benchmark.workload import Workload


def count_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fold give one user one event more than it has."""
    honest = Workload.totals

    def one_more(self: Workload) -> dict[bytes, list[int]]:
        totals = honest(self)
        next(iter(totals.values()))[0] += 1
        return totals

    monkeypatch.setattr(Workload, "totals", one_more)
