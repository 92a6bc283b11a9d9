"""The folder of the peers' job, where there is one, and its modules."""

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
MODULES = ("job", "load", "limit")


def peers_folder() -> Path:
    """Return the folder that PEERS_HOME names, relative to the root of the repository; skip the test without it."""
    named = os.environ.get("PEERS_HOME")
    if not named:
        pytest.skip("PEERS_HOME is not set: it names the folder of the peers' job, with job.py, load.py, run.py")
    return (ROOT / named).resolve()


def peers_modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Return the modules of the folder that need no Kafka client for what tests ask of them, or skip."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(peers_folder())
    for name, needed in (("confluent_kafka", ["Producer"]), ("confluent_kafka.admin", ["AdminClient", "NewTopic"])):
        module = ModuleType(name)
        vars(module).update(dict.fromkeys(needed))
        monkeypatch.setitem(sys.modules, name, module)
    modules = {name: import_module(name) for name in MODULES}
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name)
    return modules
