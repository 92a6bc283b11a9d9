"""The producers of docs/clients against a broker: what they send is read, from the right partitions."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from client_examples import FOLDER, VECTORS
from letters import input_records

from schemas.events import Event, decode_event
from streams.settings import Settings, read_settings
from streams.topics import create_topics

NOW_MS = 1_760_000_000_000
EVENTS = [
    {"event_id": f"e{k}", "user_id": vector["key"], "item_id": "i1", "ts_ms": NOW_MS}
    for k, vector in enumerate(VECTORS)
]


@pytest.fixture
def settings(embedded_broker: str) -> Settings:
    made = read_settings(bootstrap_servers=embedded_broker, topic_prefix=f"clients{time.time_ns()}.", partitions=8)
    create_topics(made)
    return made


def python(name: str) -> list[str]:
    return [sys.executable, str(FOLDER / f"{name}_client.py")]


def java(request: pytest.FixtureRequest) -> list[str]:
    if shutil.which("javac") is None:
        pytest.skip("a JDK is needed to run a Java source file, and javac is not here")
    return ["java", "-cp", f"{request.getfixturevalue('kafka_home')}/libs/*", str(FOLDER / "JavaClient.java")]


def node(request: pytest.FixtureRequest) -> list[str]:
    request.getfixturevalue("node_folder")
    return ["node", str(FOLDER / "kafkajs_client.js")]


CLIENTS: dict[str, Callable[[pytest.FixtureRequest], list[str]]] = {
    "kafka-python": lambda _: python("kafka_python"),
    "confluent-kafka": lambda _: python("confluent"),
    "java": java,
    "kafkajs": node,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_events_of_every_client_are_read_and_stand_where_the_java_client_puts_them(
    client: str, settings: Settings, request: pytest.FixtureRequest
) -> None:
    command = CLIENTS[client](request)
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in EVENTS)
    node_path = {"NODE_PATH": str(Path(__file__).parents[1] / "node" / "node_modules")}
    sent = subprocess.run(
        [*command, str(settings.bootstrap_servers), f"{settings.topic_prefix}views"],
        input=lines,
        capture_output=True,
        timeout=120,
        env=os.environ | node_path,
    )
    assert sent.returncode == 0, sent.stderr.decode()
    found = input_records(settings)
    for record in found:
        assert isinstance(decode_event(record.value, record.key, record.headers, "views", NOW_MS), Event)
        assert dict(record.headers)["ce_specversion"] == b"1.0"
    assert {record.key.decode(): record.partition for record in found} == {
        vector["key"]: vector["partition"][str(settings.partitions)] for vector in VECTORS
    }
