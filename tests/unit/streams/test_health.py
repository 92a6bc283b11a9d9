"""What probes and Prometheus are told, over HTTP."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from faust.types import TP

from streams.agents import UserEvents
from streams.errors import SettingsError
from streams.health import Health, serve
from streams.metrics import Metrics


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def served() -> Iterator[tuple[Metrics, Health, int]]:
    metrics, health = Metrics(), Health()
    server, thread = serve("127.0.0.1", 0, metrics.registry, health)
    yield metrics, health, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_metrics_are_read_over_http(served: tuple[Metrics, Health, int]) -> None:
    metrics, _, port = served
    metrics.ask("nextact_users", lambda: 7.0)
    code, text = ask(port, "/metrics")
    assert code == 200
    assert "nextact_users 7.0" in text


def test_worker_that_starts_is_live_and_not_ready(served: tuple[Metrics, Health, int]) -> None:
    _, _, port = served
    assert ask(port, "/live") == (200, "live\n")
    assert ask(port, "/ready") == (503, "not ready: it starts: its compiled loops are made ready\n")


def test_what_is_wrong_is_one_line(served: tuple[Metrics, Health, int]) -> None:
    _, health, port = served
    health.ready = lambda: None
    health.live = lambda: "the event loop has not run for 120 s"
    assert ask(port, "/ready") == (200, "ready\n")
    assert ask(port, "/live?verbose") == (503, "not live: the event loop has not run for 120 s\n")


@pytest.mark.parametrize("path", ["/", "/livez", "/metrics/", "/../etc/passwd"])
def test_nothing_else_is_answered(served: tuple[Metrics, Health, int], path: str) -> None:
    _, _, port = served
    assert ask(port, path) == (404, "here are /live, /ready and /metrics\n")


def test_one_that_says_nothing_holds_nobody_up(served: tuple[Metrics, Health, int]) -> None:
    _, _, port = served
    with socket.create_connection(("127.0.0.1", port)):
        assert ask(port, "/live") == (200, "live\n")


def test_address_of_ipv6_will_do() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server, thread = serve("::1", 0, Metrics().registry, Health())
    except SettingsError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with urlopen(f"http://[::1]:{server.server_port}/live", timeout=5) as answer:
        assert answer.status == 200
    server.shutdown()
    server.server_close()
    thread.join()


def test_taken_port_is_told_with_what_to_do(served: tuple[Metrics, Health, int]) -> None:
    _, _, port = served
    with pytest.raises(SettingsError, match="NEXTACT_METRICS_PORT"):
        serve("127.0.0.1", port, Metrics().registry, Health())


def test_worker_says_what_it_waits_for() -> None:
    app = SimpleNamespace(should_stop=False, rebalancing=False, in_recovery=False)
    app.assignor = SimpleNamespace(assigned_actives=set)
    data = SimpleNamespace(writer=b"", recovered=7)
    events = UserEvents.__new__(UserEvents)
    vars(events).update(_app=app, _table=SimpleNamespace(data=data, changelog_topic_name="log"))
    assert events.waits_for() == "it joins its group"
    data.writer = b"w"
    app.rebalancing = True
    assert events.waits_for() == "partitions change hands"
    app.rebalancing, app.in_recovery = False, True
    assert events.waits_for() == "users are read back, 7 changelog records so far"
    app.in_recovery = False
    assert events.waits_for() == "it owns no partition: there may be more workers than partitions"
    app.assignor.assigned_actives = lambda: {TP("log", 3)}
    assert events.waits_for() is None
    app.should_stop = True
    assert events.waits_for() == "it stops"
