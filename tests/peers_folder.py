"""The folder of the peers' job, where there is one."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def peers_folder() -> Path:
    """Return the folder that PEERS_HOME names, relative to the root of the repository; skip the test without it."""
    named = os.environ.get("PEERS_HOME")
    if not named:
        pytest.skip("PEERS_HOME is not set: it names the folder of the peers' job, with job.py, load.py, run.py")
    return (ROOT / named).resolve()
