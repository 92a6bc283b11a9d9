"""The small model of the demo: trained once on simulated shoppers of the past, and kept."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.events_file import write_events
from models.model_directory import ModelDirectoryError, load
from models.simulator import Shop, log
from streams.errors import ModelUnusable
from streams.processes import nextact

MODEL = Path(".nextact/demo-model")
"""Where the demo keeps the model that it trains: from the second run on it starts at once."""

TRAIN_EVENTS = 40_000
TRAIN_MINUTES = 0.4
TRAIN_UNTIL_MS = 1_750_000_000_000
ITEMS = 400


def demo_model(folder: Path, users: int, say: Callable[[str], None]) -> Path:
    """Return the demo's model directory; train it if it is not there.

    Args:
        folder: where to train: what is interrupted halfway is gone with it.
        users: shoppers of the past that it learns from.
        say: told what begins.

    Raises:
        ModelUnusable: training failed.
    """
    with suppress(ModelDirectoryError):
        load(MODEL)
        return MODEL
    say(f"train a small model on {TRAIN_EVENTS:,} events of the past (once: it is kept in {MODEL})")
    shop = Shop(users=users, items=ITEMS)
    write_events(log(shop, TRAIN_UNTIL_MS, events=TRAIN_EVENTS), folder / "past.parquet")
    trained = folder / "model"
    command = nextact("train", str(folder / "past.parquet"), "--out", str(trained), "--name", "demo")
    done = subprocess.run(  # noqa: S603 - the command is ours
        [*command, "--max-minutes", str(TRAIN_MINUTES)], stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise ModelUnusable(f"training ended with code {done.returncode}: see above, or name a model with --model DIR")
    try:
        keep_model(trained, MODEL)
    except OSError as error:
        say(f"the model cannot be kept in {MODEL} ({error.strerror or error}): the next demo trains again")
        return trained
    return MODEL


def keep_model(trained: Path, place: Path) -> None:
    """Copy a model directory into its place, whole or not at all.

    Raises:
        OSError: it cannot be written there.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{place.name}-", dir=place.parent) as folder:
        copied = Path(folder) / "model"
        shutil.copytree(trained, copied, ignore=shutil.ignore_patterns("checkpoint*"))
        if place.exists():
            place.rename(Path(folder) / "before")
        copied.rename(place)
