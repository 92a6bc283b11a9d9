"""What is installed, and what is imported when."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
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
    assert not imported & {"torch", "polars"}


def test_command_line_answers_without_loading_what_commands_need() -> None:
    imported = imported_with("streams.cli")
    assert "typer" in imported
    assert not imported & {"torch", "polars", "faust", "numpy", "kafka", "aiokafka", "pydantic"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported_or_says_why() -> None:
    source_of = packages_distributions()
    imported = {canonicalize_name(name) for module in _third_parties() for name in source_of[module]}
    declared = {canonicalize_name(Requirement(r).name) for r in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"].values()
    assert imported <= declared | {canonicalize_name(Requirement(r).name) for extra in extras for r in extra}
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for name in declared - imported:
        (line,) = (line for line in lines if line.strip().startswith(f'"{name}>='))
        assert "#" in line, f"{name} is not imported"


def test_make_clean_deletes_every_folder_that_git_ignores() -> None:
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if "*" not in line]
    makefile = (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")
    deleted = makefile.partition("\nclean:")[2].partition("\n\n")[0].split()
    assert [name for name in ignored if name not in deleted] == []


def test_peers_have_constraints_of_their_own() -> None:
    pins = {canonicalize_name(line.name): line for line in map(Requirement, _constraints("constraints-peers.txt"))}
    for need in map(Requirement, PROJECT["dependency-groups"]["peers"]):
        assert need.specifier.contains(next(iter(pins[canonicalize_name(need.name)].specifier)).version)


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


def _third_parties() -> Iterator[str]:
    """Yield the top-level names that our modules import from elsewhere."""
    ours = {*PROJECT["tool"]["importlinter"]["root_packages"], *sys.stdlib_module_names}
    for package in PROJECT["tool"]["importlinter"]["root_packages"]:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                yield from (top for name in names if (top := name.partition(".")[0]) not in ours)


def _constraints(name: str = "constraints.txt") -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _required_by(name: str) -> list[Requirement]:
    """Return what an installed package needs here, its extras left out."""
    try:
        needs = [Requirement(r) for r in requires(name) or []]
    except PackageNotFoundError:
        return []  # needed for builds only, which have an environment of their own
    return [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
