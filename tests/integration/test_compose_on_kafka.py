"""What compose.yaml starts, started without containers: its settings of Kafka, its commands, its variables."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployment import COMPOSE, DEPLOY, ROOT
from kafka.admin import ConfigResource, ConfigResourceType

from streams.broker import KafkaHome
from streams.clients import admin
from streams.local_broker import free_ports
from streams.processes import nextact
from streams.settings import Settings
from streams.worker_process import WorkerProcess, handled

pytestmark = [pytest.mark.broker, pytest.mark.long]
SERVICES = COMPOSE["services"]
EVENTS = 500
PATIENCE_S = 120


def kafka_properties(port: int) -> dict[str, str]:
    """What Kafka's image makes of its variables, on this machine."""
    ports = dict(zip((9092, 9093, 29092), (port, *free_ports(2)), strict=True))
    made = {}
    for name, value in SERVICES["kafka"]["environment"].items():
        value = value.replace("kafka:", "127.0.0.1:")
        for theirs, ours in ports.items():
            value = value.replace(f":{theirs}", f":{ours}")
        made[name.removeprefix("KAFKA_").lower().replace("_", ".")] = value
    return made


@pytest.fixture(scope="module")
def broker(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_ports(1)[0]
    with KafkaHome(kafka_home, tmp_path_factory.mktemp("kafka"), port, kafka_properties(port)) as started:
        yield started.bootstrap_servers


def variables(service: str, broker: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    ours: dict[str, str] = SERVICES[service]["environment"]
    return kept | ours | {"KAFKA_BOOTSTRAP_SERVERS": broker, "PYTHONPATH": str(ROOT)} | more


def learn(folder: Path, broker: str) -> None:
    """Run the script of the service `model`, with less to learn."""
    (folder / "bin").mkdir(exist_ok=True)
    command = folder / "bin" / "nextact"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(nextact())} "$@"\n')
    command.chmod(0o755)
    script: str = SERVICES["model"]["command"][0]
    less = script.replace("--events 40000", "--events 4000").replace("--max-minutes 1", "--max-minutes 0.05")
    assert less.count("4000") == 1
    assert "0.05" in less
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        [*SERVICES["model"]["entrypoint"], less.replace("/tmp", str(folder))],  # noqa: S108
        env=variables("model", broker, PATH=path),
        cwd=folder,
        check=True,
        timeout=PATIENCE_S,
    )


def test_settings_of_kafka_are_known_to_kafka(broker: str) -> None:
    with admin(Settings(bootstrap_servers=broker)) as client:
        found = client.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")], config_filter="all")
    [known] = found["broker"].values()
    asked = kafka_properties(int(broker.rpartition(":")[2]))
    assert set(asked) <= set(known)
    assert known["auto.create.topics.enable"]["value"] == asked["auto.create.topics.enable"]


def test_all_of_it_comes_up_answers_and_stops_in_time(broker: str, tmp_path: Path) -> None:
    created = nextact(*SERVICES["topics"]["command"])
    subprocess.run(created, env=variables("topics", broker), check=True, timeout=PATIENCE_S)
    learn(tmp_path, broker)
    began = (tmp_path / "shop").stat().st_mtime_ns
    learn(tmp_path, broker)
    assert (tmp_path / "shop").stat().st_mtime_ns == began  # learned once

    settings = Settings(bootstrap_servers=broker, model=tmp_path / "shop", clock="stream")
    with WorkerProcess(
        settings,
        tmp_path / "worker.log",
        SERVICES["worker"]["environment"]
        | {
            "KAFKA_BOOTSTRAP_SERVERS": broker,
            "NEXTACT_MODEL": str(tmp_path / "shop"),
        },
    ) as worker:
        wait_until_ready(worker)
        shoppers = nextact(*SERVICES["simulator"]["command"], "--events", str(EVENTS))
        subprocess.run(shoppers, env=variables("simulator", broker), check=True, timeout=PATIENCE_S)
        worker.wait_until(lambda samples: handled(samples) == EVENTS, PATIENCE_S)
        began_s = time.monotonic()
        assert worker.stop(PATIENCE_S) == 0
        assert time.monotonic() - began_s < int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))


def wait_until_ready(worker: WorkerProcess) -> None:
    """Wait as Docker does, by the health check of the image."""
    check = [sys.executable, "-I", str(DEPLOY / "health.py"), "ready"]
    address = os.environ | {"NEXTACT_METRICS_HOST": "127.0.0.1", "NEXTACT_METRICS_PORT": str(worker.port)}
    deadline_s = time.monotonic() + PATIENCE_S
    while (done := subprocess.run(check, env=address, capture_output=True, text=True)).returncode:
        assert worker.code is None, worker.last_words()
        assert time.monotonic() < deadline_s, done.stdout
        time.sleep(0.5)
