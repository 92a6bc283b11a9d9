"""The folder with public logs, where there is one."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def public_file(name: str) -> Path:
    """Return a file of the folder that NEXTACT_DATA names, relative to the repository's root; skip the test without."""
    folder = os.environ.get("NEXTACT_DATA")
    if not folder:
        pytest.skip(f"NEXTACT_DATA is not set: it names the folder with {name}")
    path = (ROOT / folder).resolve() / name
    if not path.exists():
        pytest.skip(f"NEXTACT_DATA names a folder without {name}")
    return path
