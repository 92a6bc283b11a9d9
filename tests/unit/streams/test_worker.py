"""What a worker does to the machine that it runs on."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from builders import random_model

from models.model_directory import save
from streams.settings import read_settings
from streams.topics import create_topics
from streams.worker_process import environment

ROOT = Path(__file__).parents[3]
PATIENCE_S = 40


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_worker_keeps_to_a_private_folder_and_removes_it(tmp_path: Path, embedded_broker: str) -> None:
    save(random_model(), tmp_path / "model")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "nextact").write_text("somebody else's")
    prefix = f"w{time.time_ns()}."
    settings = read_settings(
        bootstrap_servers=embedded_broker, topic_prefix=prefix, partitions=2, model=tmp_path / "model"
    )
    create_topics(settings)
    with subprocess.Popen(
        [sys.executable, "-m", "streams", "worker", "--metrics-port", "0"],
        env=os.environ | environment(settings) | {"TMPDIR": str(tmp_path / "t"), "PYTHONPATH": str(ROOT)},
        cwd="/proc",  # nobody can write there, not even root
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: list((tmp_path / "t").glob("*/v1/tables")), process)
            (folder,) = (path for path in (tmp_path / "t").iterdir() if path.is_dir())
            assert folder.stat().st_mode & 0o777 == 0o700
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["nextact"]
