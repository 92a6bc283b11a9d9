"""What is installed, and what is imported when."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported_with(module: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after an import."""
    code = f"import json, sys, {module}; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
    return set(msgspec.json.decode(done.stdout, type=list[str]))


def test_worker_runs_without_torch() -> None:
    imported = imported_with("streams.worker")
    assert "faust" in imported
    assert not imported & {"torch", "polars", "matplotlib"}


def test_command_line_answers_without_loading_what_commands_need() -> None:
    imported = imported_with("streams.cli")
    assert "typer" in imported
    assert not imported & {"torch", "polars", "faust", "matplotlib", "numpy", "kafka", "aiokafka", "pydantic"}


def test_constraints_pin_all_that_gets_installed_and_fit_what_the_project_asks_for() -> None:
    lines = [Requirement(line.partition("#")[0]) for line in _constraints()]
    pins = {canonicalize_name(line.name): line for line in lines}
    assert all(str(line.specifier).startswith("==") for line in lines)
    wanted = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(r for extra in PROJECT["project"]["optional-dependencies"].values() for r in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    todo, seen = [Requirement(r) for r in wanted], set[str]()
    while todo:
        need = todo.pop()
        name = canonicalize_name(need.name)
        assert name in pins, f"{need} is not pinned"
        assert need.specifier.contains(next(iter(pins[name].specifier)).version), f"{pins[name]} is not {need}"
        if name not in seen:
            seen.add(name)
            todo += _required_by(name)


def _constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _required_by(name: str) -> list[Requirement]:
    """Return what an installed package needs here, its extras left out."""
    try:
        needs = [Requirement(r) for r in requires(name) or []]
    except PackageNotFoundError:
        return []  # needed for builds only, which have an environment of their own
    return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
