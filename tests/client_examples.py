"""The producers of docs/clients, and the partitions that Kafka's Java client puts keys on."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

FOLDER = Path(__file__).parents[1] / "docs" / "clients"

VECTORS: list[dict[str, Any]] = msgspec.json.decode((FOLDER / "murmur2.json").read_bytes())["vectors"]
"""Each with `key`, `murmur2` and `partition` by number of partitions."""


def example(name: str) -> ModuleType:
    """Return one of the producers in Python as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
