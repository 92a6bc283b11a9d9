"""Where a training stands, on disk after every epoch: one safetensors file whose metadata is JSON. Never pickle."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from models.model_directory import ModelDirectoryError, load_any
from models.network import Network
from models.updates import Updates

FILE = "checkpoint.safetensors"


class CheckpointError(ValueError):
    """A training cannot go on from what a folder holds; the message says why."""


class Standing(NamedTuple):
    """Where a training stands after an epoch, but for what an update depends on.

    Fields:
        epoch: last one that is done, from 1 on.
        validation_loss: after it.
        best, best_loss, best_epoch, best_update: weights of the best validation, its loss, and when it was.
        falls: times that the learning rate has fallen.
        history: of each epoch what `report.learning.Epoch` says.
    """

    epoch: int
    validation_loss: float
    best: dict[str, Tensor]
    best_loss: float
    best_epoch: int
    best_update: int
    falls: int
    history: list[dict[str, Any]]


def copied(network: Network) -> dict[str, Tensor]:
    """Return a copy of a network's weights."""
    return {name: weight.detach().clone() for name, weight in network.state_dict().items()}


def write(folder: Path, of: dict[str, Any], standing: Standing, updates: Updates) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        folder: of the model.
        of: what the training is of; it goes on only where this is the same.
        standing: of the training.
        updates: at the end of an epoch.

    Raises:
        OSError: it cannot be written.
    """
    adam = updates.optimizer.state_dict()["state"]
    tensors = _named("network", copied(updates.network)) | _named("average", copied(updates.average))
    tensors |= _named("best", standing.best)
    for number, state in adam.items():
        tensors |= _named(f"adam.{number}", state)
    tensors |= _named("generator", {str(k): made.get_state() for k, made in enumerate(updates.generators)})
    numbers = standing._asdict() | {"count": updates.count, "learning_rate": updates.learning_rate}
    del numbers["best"]
    metadata = {"of": of, "numbers": numbers, "rng": updates.rng.bit_generator.state}
    part = folder / f".{FILE}.part"
    try:
        part.write_bytes(save(tensors, {"training": json.dumps(metadata)}))
        part.replace(folder / FILE)
    finally:
        part.unlink(missing_ok=True)


def read(folder: Path, of: dict[str, Any], updates: Updates) -> Standing:
    """Bring updates to where a checkpoint stands, in place, and return where the training stands.

    Raises:
        CheckpointError: there is none, it is broken, or of another log or other options.
    """
    if not (folder / FILE).is_file():
        raise CheckpointError(f"{folder} {_nothing_there(folder)}")
    try:
        with safe_open(folder / FILE, "pt") as file:
            metadata = json.loads(file.metadata()["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / FILE} is broken ({error}): train without --resume") from None
    other = [name for name, value in json.loads(json.dumps(of)).items() if metadata["of"].get(name) != value]
    if other:
        what = f"{folder} holds a training with another {other[0]}"
        raise CheckpointError(f"{what}: give the same to go on, or train without --resume to begin anew")
    numbers = metadata["numbers"]
    updates.network.load_state_dict(_under("network", tensors))
    updates.average.load_state_dict(_under("average", tensors))
    adam = updates.optimizer.state_dict()
    count = sum(len(group["params"]) for group in adam["param_groups"])
    adam["state"] = {number: _under(f"adam.{number}", tensors) for number in range(count)}
    updates.optimizer.load_state_dict(adam)
    for name, state in _under("generator", tensors).items():
        updates.generators[int(name)].set_state(state)
    updates.rng.bit_generator.state = metadata["rng"]
    updates.count, updates.learning_rate = numbers.pop("count"), numbers.pop("learning_rate")
    return Standing(best=_under("best", tensors), **numbers)


def _nothing_there(folder: Path) -> str:
    """Return why there is no checkpoint, and what to do."""
    try:
        metrics = load_any(folder).card.metrics
    except ModelDirectoryError:
        return "holds no training to resume: train without --resume"
    if metrics.get("stopped"):
        return "holds a training that was stopped before its first epoch had ended: train without --resume"
    return "holds a training that has ended: nothing is left to resume; train without --resume to begin anew"


def remove(folder: Path) -> None:
    """Remove the checkpoint, if there is one."""
    (folder / FILE).unlink(missing_ok=True)


def _named(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor.contiguous() for name, tensor in tensors.items()}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
