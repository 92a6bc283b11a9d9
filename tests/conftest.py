"""What tests share: a real Apache Kafka where KAFKA_HOME names one, and the embedded broker."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: threads for tiny tensors wait for each other

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from streams.broker import EmbeddedBroker, KafkaHome

ROOT = Path(__file__).parent.parent

EXAMPLES = "PROPERTY_EXAMPLES"
"""The variable with the number of examples of each property under --hypothesis-profile=many."""

settings.register_profile("quick", deadline=None)  # the first call of a compiled loop may have to compile it
settings.register_profile("many", deadline=None, max_examples=int(os.environ.get(EXAMPLES, "10000")))
settings.load_profile("quick")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script: what we start would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """The folder with Apache Kafka's jars; a relative KAFKA_HOME counts from the root of the repository."""
    named = os.environ.get("KAFKA_HOME")
    if not named:
        pytest.skip("KAFKA_HOME is not set: it names a folder with Apache Kafka's jars in libs/, which Java 17 runs")
    return (ROOT / named).resolve()


@pytest.fixture(scope="session")
def kafka(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an Apache Kafka that all tests of the run share: give your topics a prefix of their own."""
    with KafkaHome(kafka_home, tmp_path_factory.mktemp("kafka")) as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def embedded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the embedded broker: enough for what sends and reads without a group."""
    if not EmbeddedBroker.is_installed():
        pytest.skip("the embedded broker is not installed: pip install 'nextact[demo]'")
    with EmbeddedBroker(tmp_path_factory.mktemp("embedded")) as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """The folder with what runs on Node.js: AsyncAPI's parser, kafkajs."""
    folder = ROOT / "tests" / "node"
    if shutil.which("node") is None or not (folder / "node_modules" / ".ready").exists():
        pytest.skip("AsyncAPI's parser and kafkajs are not here: `make node` installs them, with npm")
    return folder
