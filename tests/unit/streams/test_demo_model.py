"""The demo's model is there whole or not at all."""

import subprocess
from pathlib import Path

import pytest
from builders import random_model

from models.model_directory import save
from streams.demo_model import ITEMS, MODEL, demo_model


def half_trained(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
    """Stand in for the training: it saves, and then Ctrl-C comes."""
    save(random_model(ITEMS), Path(command[command.index("--out") + 1]))
    raise KeyboardInterrupt


def trained(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
    save(random_model(ITEMS), Path(command[command.index("--out") + 1]))
    return subprocess.CompletedProcess(command, 0)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streams.demo_model.TRAIN_EVENTS", 200)
    work = tmp_path / "work"
    work.mkdir()
    return work


def test_interrupted_training_leaves_no_model(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", half_trained)
    with pytest.raises(KeyboardInterrupt):
        demo_model(elsewhere, 20, lambda _: None)
    assert not MODEL.exists()


def test_trained_model_is_kept_in_the_place_of_a_broken_one(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", trained)
    MODEL.mkdir(parents=True)
    (MODEL / "model.json").write_text("{")
    assert demo_model(elsewhere, 20, lambda _: None) == MODEL
    said: list[str] = []
    assert demo_model(elsewhere, 20, said.append) == MODEL
    assert said == [], "the second time it is there"
    assert [found.name for found in MODEL.parent.iterdir()] == [MODEL.name]


def test_model_that_cannot_be_kept_is_used_where_it_was_trained(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", trained)
    MODEL.parent.write_text("a file where the folder should be")
    said: list[str] = []
    assert demo_model(elsewhere, 20, said.append) == elsewhere / "model"
    assert "cannot be kept" in said[-1]
