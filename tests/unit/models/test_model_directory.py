"""A model on disk: what is saved is loaded, what is broken is refused in one line that says what to do."""

import errno
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from builders import random_model
from safetensors.numpy import load_file, save_file

from models import model_directory
from models.model_directory import FILES, Card, Churn, Model, ModelDirectoryError, load, save, shapes
from models.predictor import Predictor
from models.reference import Reference


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Path]:
    directory = tmp_path_factory.mktemp("model") / "new" / "deep"
    card = Card(
        name="shoes",
        utc_offset_h=2,
        churn=Churn(horizons_ms=(1000,), band_horizon_ms=500, band_edges=(0.1, 0.2)),
        trained_until_ms=5,
        metrics={"log_loss": 0.5, "floor": {"log_loss": 1.0}},
        data={"rows": 7, "sha256": "ab"},
        command="nextact train x",
    )
    made = random_model(3)
    return save(Model(card, ["a", "b", "\u00e9\x00\U0001f45f"], made.weights), directory), directory


@pytest.fixture
def directory(saved: tuple[Model, Path], tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(saved[1], tmp_path / "model"))


def test_what_is_saved_is_loaded(saved: tuple[Model, Path]) -> None:
    model, directory = saved
    again = load(directory)
    assert (again.card, again.items) == (model.card, model.items)
    assert set(again.weights) == set(shapes(3))
    for name, weights in model.weights.items():
        assert again.weights[name].dtype == np.float32
        assert again.weights[name].tobytes() == weights.tobytes()
    assert Predictor(again).tag == int(model.card.version[:8], 16)


def test_a_model_of_before_there_were_codes_of_the_last_events_says_what_it_said(tmp_path: Path) -> None:
    made = random_model(3)
    weights = {name: weight for name, weight in made.weights.items() if name != "latest"}
    version = model_directory._version(made.card, made.items, weights)
    save(made, tmp_path)
    save_file(weights, tmp_path / "weights.safetensors")
    card = msgspec.structs.replace(made.card, version=version)
    (tmp_path / "model.json").write_bytes(msgspec.json.encode(card))
    assert not load(tmp_path).weights["latest"].any()


def test_version_is_made_of_the_whole_content(tmp_path: Path) -> None:
    model = random_model(2)
    version = save(model, tmp_path / "one").card.version
    assert len(version) == 12
    assert save(model, tmp_path / "again").card.version == version
    assert save(load(tmp_path / "one"), tmp_path / "copy").card.version == version
    other_name = Model(msgspec.structs.replace(model.card, name="other"), model.items, model.weights)
    other_items = Model(model.card, ["i0", "j1"], model.weights)
    other_weights = Model(model.card, model.items, model.weights | {"item_bias": model.weights["item_bias"] + 1})
    other_curve = Model(
        msgspec.structs.replace(model.card, likeliest_item=(0.8, 0.0, -0.6)), model.items, model.weights
    )
    others = (other_name, other_items, other_weights, other_curve)
    versions = {save(m, tmp_path / "other").card.version for m in others}
    assert len(versions | {version}) == 5
    assert load(tmp_path / "other").card.likeliest_item == (0.8, 0.0, -0.6)


def test_saving_over_a_model_replaces_it(tmp_path: Path) -> None:
    save(random_model(2, seed=1), tmp_path)
    second = save(random_model(5, seed=2), tmp_path)
    assert load(tmp_path).card == second.card


def test_files_are_json_and_safetensors_and_no_pickle(saved: tuple[Model, Path]) -> None:
    _, directory = saved
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)
    assert msgspec.json.decode((directory / "model.json").read_bytes())["name"] == "shoes"
    assert len(msgspec.json.decode((directory / "items.json").read_bytes())) == 3
    assert set(load_file(directory / "weights.safetensors")) == set(shapes(3))
    assert "pickle" not in Path(model_directory.__file__).read_text().replace("Never pickle", "")


def test_pickled_weights_are_refused_and_not_run(directory: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return Path.touch, (directory / "owned",)

    (directory / "weights.safetensors").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelDirectoryError, match="is broken"):
        load(directory)
    assert not (directory / "owned").exists()


def edit_card(directory: Path, **changes: object) -> None:
    card = msgspec.json.decode((directory / "model.json").read_bytes())
    (directory / "model.json").write_bytes(msgspec.json.encode(card | changes))


def edit_weights(directory: Path, **changes: Any) -> None:
    weights = load_file(directory / "weights.safetensors") | changes
    save_file({name: w for name, w in weights.items() if w is not None}, directory / "weights.safetensors")


def nan_in_bias(directory: Path) -> None:
    edit_weights(directory, item_bias=np.array([0, np.nan, 0, 0], np.float32))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no model.json": (lambda d: (d / "model.json").unlink(), r"model\.json is missing\): train one"),
    "no items.json": (lambda d: (d / "items.json").unlink(), r"items\.json is missing\): train one"),
    "no weights": (lambda d: (d / "weights.safetensors").unlink(), r"weights\.safetensors is missing\): train one"),
    "no directory": (shutil.rmtree, r"model\.json is missing\): train one"),
    "card is no JSON": (lambda d: (d / "model.json").write_text("{"), "is broken .*: copy it again, or train one"),
    "card is not UTF-8": (lambda d: (d / "model.json").write_bytes(b'{"name":"\xff"}'), "is broken .*: copy it again"),
    "card without name": (lambda d: edit_card(d, name=None), "is broken .*: copy it again, or train one"),
    "card of wrong type": (lambda d: edit_card(d, hidden="64"), "is broken .*: copy it again"),
    "items of wrong type": (lambda d: (d / "items.json").write_text("[1, 2, 3]"), "is broken .*: copy it again"),
    "items cut": (lambda d: (d / "items.json").write_text('["a", "b"'), "is broken .*: copy it again"),
    "weights cut": (
        lambda d: (d / "weights.safetensors").write_bytes((d / "weights.safetensors").read_bytes()[:-5]),
        "is broken .*: copy it again, or train one",
    ),
    "weights empty": (lambda d: (d / "weights.safetensors").write_bytes(b""), "is broken .*: copy it again"),
    "format of the future": (lambda d: edit_card(d, format=99), r"\(format 99\) is not for this version.*: train one"),
    "other actions": (lambda d: edit_card(d, actions=["view"]), "tensor action_gap is not .*train one"),
    "other size": (lambda d: edit_card(d, hidden=32), "is not for this version .*: train one"),
    "other network": (lambda d: edit_card(d, network="mlp"), "is not for this version .*: train one"),
    "tensor missing": (lambda d: edit_weights(d, hidden=None), "tensor hidden is not .*train one"),
    "tensor of another shape": (
        lambda d: edit_weights(d, query=np.zeros((2, 2), np.float32)),
        r"tensor query is not a finite array of shape \(128, 64\).*train one",
    ),
    "tensor not finite": (nan_in_bias, "tensor item_bias is not a finite .*train one"),
    "tensor of integers": (
        lambda d: edit_weights(d, item_bias=np.zeros(4, np.int64)),
        "files of different models: copy it again, or train one",
    ),
    "more items than weights": (
        lambda d: (d / "items.json").write_text('["a", "b", "c", "d"]'),
        "tensor item_embedding is not .*train one",
    ),
    "weights of another model": (
        lambda d: edit_weights(d, item_bias=np.ones(4, np.float32)),
        "files of different models: copy it again, or train one",
    ),
    "items of another model": (
        lambda d: (d / "items.json").write_text('["a", "b", "x"]'),
        "files of different models: copy it again, or train one",
    ),
    "card of another model": (lambda d: edit_card(d, name="boots"), "files of different models: copy it again"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_directory_is_refused_with_what_to_do(how: str, directory: Path) -> None:
    break_it, message = BROKEN[how]
    assert load(directory).card.name == "shoes"
    break_it(directory)
    with pytest.raises(ModelDirectoryError, match=message) as caught:
        load(directory)
    assert "\n" not in str(caught.value)
    assert str(directory) in str(caught.value)


def test_all_files_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save(random_model(2), tmp_path)
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(FILES, 0o644)


@pytest.mark.parametrize("broken", FILES)
def test_a_save_that_fails_leaves_the_model_that_was_there(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(random_model(2, seed=1), tmp_path)
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        written = write(path, data[:-1])
        if broken in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        save(random_model(5, seed=2), tmp_path)
    assert load(tmp_path).card == first.card
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)


def test_model_of_wrong_shape_is_not_saved(tmp_path: Path) -> None:
    model = random_model(3)
    with pytest.raises(ModelDirectoryError, match="item_embedding"):
        save(Model(model.card, ["only one"], model.weights), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_card_of_a_later_version_with_more_fields_is_read(directory: Path) -> None:
    edit_card(directory, licence="MIT")
    assert load(directory).card.name == "shoes"


def test_what_is_no_part_of_a_model_does_not_change_its_version(tmp_path: Path) -> None:
    model = random_model()
    counts = Reference(action=(1, 2, 3), gap=(4,), hour=(5,), known_item=(6, 7), next_action=(8, 9, 1))
    card = msgspec.structs.replace(model.card, trained_at_ms=7, reference=counts)
    told = save(msgspec.structs.replace(model, card=card), tmp_path / "told")
    assert told.card.version == save(model, tmp_path / "plain").card.version
    assert load(tmp_path / "told").card.reference == counts
    assert load(tmp_path / "plain").card.reference is None
    before = msgspec.json.decode((tmp_path / "plain" / "model.json").read_bytes())
    del before["reference"], before["trained_at_ms"]  # as a version of nextact wrote it that knew none of them
    (tmp_path / "plain" / "model.json").write_bytes(msgspec.json.encode(before))
    assert load(tmp_path / "plain").card.trained_at_ms == 0
