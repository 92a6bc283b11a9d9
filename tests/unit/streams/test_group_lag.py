"""The thread that asks how far the group is behind: it survives whatever its client does, and says so once."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from schemas.topics import INPUTS
from streams.errors import BrokerUnavailable
from streams.metrics import group_lag as module
from streams.metrics.group_lag import GroupLag
from streams.settings import Settings

SETTINGS = Settings(bootstrap_servers="nowhere:9092", group_lag_interval_s=0.02)
PATIENCE_S = 30


class Client:
    closed = 0

    def close(self) -> None:
        Client.closed += 1


class Cluster:
    """Answers while it is up."""

    def __init__(self) -> None:
        self.up, self.asked, self.connected = False, 0, 0

    def connect(self, settings: Settings) -> Any:
        self.connected += 1
        if not self.up:
            raise BrokerUnavailable("no broker answers")
        return Client()

    def lag(self, client: Client, group: str, topics: dict[str, str]) -> dict[tuple[str, ...], float]:
        self.asked += 1
        if not self.up:
            raise ConnectionError("gone")
        return {(topic,): 5.0 for topic in topics}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(module, "group_lag", made.lag)
    return made


@pytest.fixture
def lag(cluster: Cluster) -> Iterator[GroupLag]:
    made = GroupLag(SETTINGS, cluster.connect)
    yield made
    made.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def unknown(lag: GroupLag) -> bool:
    return all(map(math.isnan, lag.values().values()))


def test_lag_is_unknown_before_the_first_answer(lag: GroupLag) -> None:
    assert unknown(lag)
    assert set(lag.values()) == {(topic,) for topic in INPUTS}


def test_outage_is_told_once_and_the_lag_is_unknown_until_it_is_over(cluster: Cluster, lag: GroupLag) -> None:
    with capture_logs() as said:
        lag.start()
        wait_until(lambda: cluster.connected >= 3)
        assert unknown(lag)
        cluster.up = True
        wait_until(lambda: lag.values() == {(topic,): 5.0 for topic in INPUTS})
        before = Client.closed
        cluster.up = False
        wait_until(lambda: unknown(lag))
        assert Client.closed == before + 1
    levels = [line["log_level"] for line in said]
    assert levels == ["warning", "info", "warning"]
    assert said[0]["reason"] == "no broker answers"


def test_thread_does_not_hold_up_the_end(lag: GroupLag) -> None:
    lag.start()
    mine = [thread for thread in threading.enumerate() if thread.name == "group-lag"]
    assert mine
    assert all(thread.daemon for thread in mine)
