"""Which code a run is of: what learns and scores, as git names it."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
MATTERS = ("models", "streams/commands/train.py", "streams/commands/evaluate.py")
"""What figures depend on."""

DIGITS = 10


class Code(NamedTuple):
    """The code of a checkout.

    Fields:
        tree: hash of what matters, changes that are not committed included.
        commit: with a + if there are such changes.
        changed: whether there are.
    """

    tree: str
    commit: str
    changed: bool


def code_of(root: Path = ROOT) -> Code:
    """Return the code of a checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True, text=True).stdout

    changed = bool(git("status", "--porcelain", "--", *MATTERS).strip())
    said = [git("rev-parse", f"HEAD:{part}") for part in MATTERS]
    if changed:
        said += [path.read_text() for part in MATTERS for path in _files(root / part)]
    tree = hashlib.sha256("".join(said).encode()).hexdigest()[:DIGITS]
    return Code(tree, git("rev-parse", "--short=10", "HEAD").strip() + "+" * changed, changed)


def configuration_of(code: Code, *options: tuple[str, ...]) -> str:
    """Return the hash of the code and of options."""
    packages = {name: version(name) for name in ("torch", "numpy")}
    return hashlib.sha256(json.dumps([code.tree, options, packages]).encode()).hexdigest()[:DIGITS]


def machine() -> dict[str, Any]:
    """Return what seconds depend on."""
    return {
        "cpus": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "system": sys.platform,
    }


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
