"""What tests of deploy/ share: its files as values, and the command line held against the real one."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import typer.main
import yaml

from streams.cli import app
from streams.extras import NOT_FOR_WORKERS
from streams.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
WITHOUT = NOT_FOR_WORKERS
"""Packages that the worker's image leaves out."""


def instructions(dockerfile: str = DOCKERFILE) -> list[tuple[str, str]]:
    """Return instructions and their arguments, in order, comments left out."""
    lines = "\n".join(line for line in dockerfile.splitlines() if not line.startswith("#"))
    joined = [line for line in lines.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in joined)]


def tool(name: str) -> str | None:
    """Return the path of a program that stands beside the interpreter, or elsewhere on this machine."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name)


def parse(arguments: list[str]) -> str:
    """Parse what follows `nextact` with the real command line, and return the command's name.

    Raises:
        click.UsageError: there is no such command or option, or a value is none.
    """
    command, name, rest = typer.main.get_command(app), "nextact", list(arguments)
    while subcommands := getattr(command, "commands", None):
        assert set(rest[:1]) & set(subcommands), f"no command {rest[:1]} of {name}"
        command, name = subcommands[rest[0]], f"{name} {rest.pop(0)}"
    command.make_context(name, rest)
    return name.removeprefix("nextact ")


def commands_of_script(script: str) -> list[list[str]]:
    """Return the arguments of each `nextact` of a shell script."""
    lines = [shlex.split(line) for line in script.replace("\\\n", " ").splitlines() if line.strip()]
    return [words[1:] for words in lines if words[0] == "nextact"]


def check_settings(environment: dict[str, str]) -> Settings:
    """Read an environment as `Settings` does, and refuse names that it does not know.

    Raises:
        pydantic.ValidationError: a value cannot be used.
    """
    known = {str(f.validation_alias or f"NEXTACT_{n.upper()}"): n for n, f in Settings.model_fields.items()}
    ours = {name: value for name, value in environment.items() if name.startswith(("KAFKA_", "NEXTACT_"))}
    assert set(ours) <= set(known), set(ours) - set(known)
    return Settings(**{known[name]: value for name, value in ours.items()})  # type: ignore[arg-type]
