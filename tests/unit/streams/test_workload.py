"""The input of the benchmarks."""

import numpy as np
import pytest
from peers_folder import peers_modules

from schemas.topics import INPUTS
from streams.benchmark.workload import workload


def test_is_the_same_twice_and_heavy_tailed() -> None:
    first, second = workload(100_000, 1000), workload(100_000, 1000)
    assert list(first.messages()) == list(second.messages())
    assert (np.diff(first.ts_ms) >= 0).all()
    busy = np.sort(np.bincount(first.user))[::-1]
    assert busy[:100].sum() > 2.5 * busy[-100:].sum()
    assert sum(map(sum, first.totals().values())) == 100_000
    assert first.action[first.user % 10 == 0].max() == 0
    assert np.bincount(first.action)[1:].sum() > 0.15 * len(first)


def test_sharp_head_is_one_user_and_leaves_the_other_events_alone() -> None:
    plain, sharp = workload(20_000, 1000), workload(20_000, 1000, head=0.2)
    assert (sharp.user == 1).mean() == pytest.approx(0.2, abs=0.02)
    rest = sharp.user != 1
    assert (sharp.user[rest] == plain.user[rest]).all()
    assert (sharp.item == plain.item).all()
    assert sharp.totals()[b"u1"][1] > 0, "the head clicks too"


def test_is_the_input_of_the_peers_job(monkeypatch: pytest.MonkeyPatch) -> None:
    load = peers_modules(monkeypatch)["load"]
    theirs = [(INPUTS[action], *rest) for action, *rest in load.payloads(load.generate(20_000, 3000, 5))]
    assert list(workload(20_000, 3000, seed=5).messages()) == theirs
