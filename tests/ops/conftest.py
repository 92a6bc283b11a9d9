"""Fixtures of tests that watch a running shop."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.watched import Watched, running


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """Path of Prometheus."""
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not here: apt-get install --no-install-recommends prometheus")
    return found


@pytest.fixture(scope="session")
def watched(kafka_home: Path, prometheus_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Two workers under load on a real Kafka, scraped by a real Prometheus; shared by all tests of the run.

    A test that does harm undoes it, and waits until all is well again.
    """
    with running(kafka_home, prometheus_program, tmp_path_factory.mktemp("watched")) as made:
        yield made
