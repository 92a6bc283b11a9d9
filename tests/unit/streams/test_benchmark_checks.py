"""What the benchmarks refuse: outputs that are not on the broker or not of all events, states of another network."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest
from kafka import TopicPartition
from typer.testing import CliRunner

from models.latest import codes
from models.model_directory import OUTCOMES, Model, save
from models.predictor import Predictor
from models.state import ACTIONS, Rows
from models.windows import BIN_EDGES
from schemas.topics import OUTPUTS
from streams.benchmark import published
from streams.benchmark.final_state import BenchmarkFailed, check_network
from streams.benchmark.limit import limit
from streams.benchmark.published import check_counts, check_next_actions
from streams.benchmark.real_broker import real_broker
from streams.benchmark.workload import Workload, random_model, workload
from streams.commands.benchmark import app
from streams.errors import BrokerUnavailable
from streams.options import Options
from streams.settings import Settings, read_settings
from streams.worker_process import Samples

SETTINGS = read_settings(partitions=1)
INPUT = workload(2000, users=30)
WINDOWS = {name: {action: 7 * n + k for k, action in enumerate(ACTIONS)} for n, name in enumerate(("1h", "1d", "14d"))}
PLACES = [TopicPartition(topic, 0) for topic in OUTPUTS]


def folded(model: Model) -> tuple[list[bytes], Rows]:
    """Return the users of the input, and the rows that a worker would leave."""
    _, users = limit(INPUT, Predictor(model), Options(slate_size=0), partitions=1, at_once=200, warm_up=0)
    keys = list(INPUT.totals())
    return keys, users.read(0, keys)


def test_states_of_the_worker_are_those_of_the_plain_network() -> None:
    model = random_model(40)
    check_network(*folded(model), INPUT, model)


def test_states_that_differ_in_one_unit_are_refused() -> None:
    model = random_model(40)
    keys, rows = folded(model)
    rows["now"][7, 3] += 1
    with pytest.raises(BenchmarkFailed, match="of 1 of 30 users is not that of the plain network"):
        check_network(keys, rows, INPUT, model)


def test_network_that_never_steps_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Predictor, "advance", lambda _self, states, *_: states.copy())
    model = random_model(40)
    with pytest.raises(BenchmarkFailed, match="of 30 of 30 users"):
        check_network(*folded(model), INPUT, model)


def test_of_users_with_very_many_events_one_is_checked() -> None:
    model, one = random_model(40), workload(1500, users=1)
    _, users = limit(one, Predictor(model), Options(slate_size=0), partitions=1, at_once=200, warm_up=0)
    rows = users.read(0, [b"u0"])
    check_network([b"u0"], rows, one, model)
    rows["now"] = 0
    with pytest.raises(BenchmarkFailed, match="of 1 of 1 users"):
        check_network([b"u0"], rows, one, model)


def next_actions(
    monkeypatch: pytest.MonkeyPatch, totals: Mapping[bytes, list[int]], actions: Mapping[bytes, dict[str, float]]
) -> None:
    values = {
        key: msgspec.json.encode(
            {"actions": actions[key], "windows": WINDOWS, "totals": dict(zip(ACTIONS, counts, strict=True))}
        )
        for key, counts in totals.items()
    }
    monkeypatch.setattr(published, "last_values", lambda *_: values)


def test_last_next_actions_must_be_those_of_all_events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = save(random_model(40), tmp_path)
    settings, since = SETTINGS.model_copy(update={"model": tmp_path}), dict.fromkeys(PLACES, 0)
    keys, rows = folded(model)
    counts = [count for window in WINDOWS.values() for count in window.values()]
    bins = np.searchsorted(BIN_EDGES, [counts] * len(rows), side="right")
    made = Predictor(model).heads(rows["now"], bins, codes(rows, len(ACTIONS)))[0].round(6).tolist()
    actions = {key: dict(zip(OUTCOMES, p, strict=True)) for key, p in zip(keys, made, strict=True)}
    totals = INPUT.totals()
    next_actions(monkeypatch, totals, actions)
    check_next_actions(settings, INPUT, since, keys, rows)
    next_actions(monkeypatch, totals, actions | {keys[3]: actions[keys[3]] | {"leave": 0.5}})
    with pytest.raises(BenchmarkFailed, match="the probabilities of 1 of 30 users"):
        check_next_actions(settings, INPUT, since, keys, rows)
    next_actions(monkeypatch, totals | {keys[0]: [count + 1 for count in totals[keys[0]]]}, actions)
    with pytest.raises(BenchmarkFailed, match="0 have no next action, and 1 one that counts other events"):
        check_next_actions(settings, INPUT, since, keys, rows)
    next_actions(monkeypatch, {}, actions)
    with pytest.raises(BenchmarkFailed, match="30 have no next action, and 0 one"):
        check_next_actions(settings, INPUT, since, keys, rows)


def test_broker_must_have_what_the_workers_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = [dict.fromkeys(PLACES, 7), dict.fromkeys(PLACES, 9)]  # the second time all is there
    monkeypatch.setattr(published, "output_ends", lambda _: ends[0] if len(ends) == 1 else ends.pop(0))
    monkeypatch.setattr(published, "_PATIENCE_S", 0.5)
    since = dict.fromkeys(PLACES, 5)
    samples: Samples = {("nextact_outputs_total", topic): 2.0 for topic in OUTPUTS}
    assert check_counts(SETTINGS, since, lambda: [samples, samples]) == dict.fromkeys(OUTPUTS, 4)
    with pytest.raises(BenchmarkFailed, match="4 records of next-actions, not 2, 4 records of recommendations, not 2"):
        check_counts(SETTINGS, since, lambda: [samples])


def without_broker(settings: Settings) -> Settings:
    return settings.model_copy(update={"bootstrap_servers": None, "home": None})


def test_embedded_broker_is_refused() -> None:
    with (
        pytest.raises(BrokerUnavailable, match="needs Apache Kafka: set KAFKA_HOME"),
        real_broker(without_broker(SETTINGS)),
    ):
        pass


@pytest.mark.parametrize("command", ["latency", "memory", "recovery", "scaling", "throughput"])
def test_no_command_measures_the_embedded_broker(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA_HOME", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, BrokerUnavailable)
    assert "a benchmark needs Apache Kafka" in str(result.exception)


def test_workload_is_in_order_of_time() -> None:
    """`check_network` goes through it as it stands."""
    assert isinstance(INPUT, Workload)
    assert (np.diff(INPUT.ts_ms) > 0).all()
