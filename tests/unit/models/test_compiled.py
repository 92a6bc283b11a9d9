"""A compiled loop is kept, and made anew when anything changes that it was made of."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONSTANT = "SIZE = {}\n"
CALLED = "from models.compiled import compiled\n\n@compiled\ndef one():\n    return {}\n"
LOOP = """
from constant import SIZE
from called import one
from models.compiled import compiled

@compiled
def answer():
    return below() + one()

@compiled
def below():
    return SIZE

print(answer(), sum(answer.stats.cache_hits.values()))
"""


def run(folder: Path, size: int, called: int, **more: str) -> list[int]:
    """Return what the loop answers, and how often it was found compiled."""
    (folder / "constant.py").write_text(CONSTANT.format(size))
    (folder / "called.py").write_text(CALLED.format(called))
    done = subprocess.run(
        [sys.executable, "-B", "-m", "loop"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"} | more,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


def test_loop_is_made_anew_when_a_constant_or_a_loop_of_another_file_changes(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    assert run(tmp_path, 10, 1) == [11, 0]
    assert run(tmp_path, 10, 1) == [11, 1]
    assert run(tmp_path, 20, 1) == [21, 0]
    assert run(tmp_path, 20, 33) == [53, 0]
    assert run(tmp_path, 20, 33) == [53, 1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's home can be named without being there")
def test_loop_works_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    no_home = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "NUMBA_CACHE_DIR": "/proc/none"}
    assert run(tmp_path, 10, 1, **no_home) == [11, 0]
