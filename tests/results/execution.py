"""Runs, as a user would do them: the commands themselves, those that are not done yet."""

import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from results.checkout import ROOT, Code, configuration_of, machine
from results.kept import Rows, Run, Scored, Shelf, Training
from results.plan import LOGS, THREADS, Question

_TRAINED = "trained.json"

Execute = Callable[[Sequence[str], Path], str]
"""Runs `nextact` with arguments in a folder and returns its stdout."""


class RefusedError(Exception):
    """A run is not done; the message says why and what to do."""


class CommandError(Exception):
    """A command ended with an error; it has said which."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"`{command}` ended with {code}")
        self.code = code


class Bench(NamedTuple):
    """What runs need.

    Fields:
        data: folder of the public logs.
        work: folder for EVENTS and models, which may be deleted at any time.
        shelf: where runs are kept.
        code: what runs are of.
        tell: takes a line on what goes on.
        execute: runs a command.
    """

    data: Path
    work: Path
    shelf: Shelf
    code: Code
    tell: Callable[[str], None]
    execute: Execute


def nextact(arguments: Sequence[str], folder: Path) -> str:
    """Run `nextact` in a folder, its messages going to ours.

    Raises:
        CommandError: it ended with another code than 0.
    """
    command = [sys.executable, "-m", "streams", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise CommandError(shown(arguments), done.returncode)
    return done.stdout


def shown(arguments: Sequence[str]) -> str:
    """Return a command as a user types it."""
    return shlex.join(["nextact", *(argument for argument in arguments if argument != "--json")])


def commands(question: Question, rows: Rows, seed: int) -> tuple[list[str], list[str], list[str]]:
    """Return the arguments of convert, train and evaluate; files are those of the working folder.

    >>> from results.plan import QUESTIONS
    >>> [shown(arguments) for arguments in commands(QUESTIONS[0], "test", 1)[1:]][0]
    'nextact train movielens.parquet --out movielens-1 --seed 1 --threads 2'
    """
    source, asked = LOGS[question.log], question.test if rows == "test" else question.validation
    file, model = f"{question.log}.parquet", _model(question, rows, seed)
    return (
        ["convert", source.converter, *source.files, "--out", file],
        ["train", file, "--out", model, "--seed", str(seed), "--threads", str(THREADS), *asked.train],
        ["evaluate", model, file, *asked.evaluate],
    )


def _model(question: Question, rows: Rows, seed: int) -> str:
    """Return the folder of a model: questions that train alike share it."""
    asked = question.test if rows == "test" else question.validation
    of = "-".join(word.strip("-") for word in asked.train) if asked.train != question.test.train else ""
    return "-".join(filter(None, [question.log, of, str(seed)]))


def done(question: Question, rows: Rows, seed: int, bench: Bench) -> bool:
    """Return whether this was run before, with this code and these options."""
    return bench.shelf.path(rows, question.name, _configuration(question, rows, bench.code), seed).exists()


def check(question: Question, seed: int, bench: Bench, *, force: bool) -> None:
    """Make sure that test rows may be scored: the code is committed, and they were not with this configuration.

    Raises:
        RefusedError: they may not.
    """
    if bench.code.changed:
        raise RefusedError("there are changes that are not committed: test rows are for final configurations only")
    configuration = _configuration(question, "test", bench.code)
    before = [
        line
        for line in bench.shelf.ledger()
        if (line.question, line.seed, line.configuration) == (question.name, seed, configuration)
    ]
    if before and not force:
        raise RefusedError(
            f"{question.name}, seed {seed}: its test rows were scored with this configuration on {before[-1].at}"
            " already; --force scores them again, and that is written down too"
        )


def run(question: Question, rows: Rows, seed: int, bench: Bench, *, force: bool = False) -> Run:
    """Do all of a run that is not done yet, and keep it.

    Test rows are scored once for each configuration and seed: a line is written down before they are.

    Raises:
        RefusedError: they were scored before, or the code is not committed.
        CommandError: a command ended with an error.
        OSError: a file cannot be read or written.
    """
    if rows == "test":
        check(question, seed, bench, force=force)
    folder = bench.work / bench.code.tree
    folder.mkdir(parents=True, exist_ok=True)
    convert, train, evaluate = commands(question, rows, seed)
    where = f"{question.name}, seed {seed}"
    _convert(convert, folder, bench)
    trained = _train(train, folder, bench, where)
    configuration = _configuration(question, rows, bench.code)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if rows == "test":
        again = any(line.configuration == configuration and line.seed == seed for line in bench.shelf.ledger())
        bench.shelf.note(Scored(at, question.name, seed, configuration, bench.code.commit, forced=force and again))
    bench.tell(f"{where}: {shown(evaluate)}")
    began_s = time.monotonic()
    told: dict[str, Any] = msgspec.json.decode(bench.execute([*evaluate, "--json"], folder))
    found = Run(
        question=question.name,
        rows=rows,
        seed=seed,
        configuration=configuration,
        commit=bench.code.commit,
        scored_at=at,
        machine=machine(),
        convert=shown(convert),
        train=trained,
        evaluate=shown(evaluate),
        seconds=round(time.monotonic() - began_s, 1),
        predictors={name: _short(figures) for name, figures in told.pop("predictors").items()},
        about=told,
    )
    bench.shelf.keep(found)
    return found


def _configuration(question: Question, rows: Rows, code: Code) -> str:
    asked = question.test if rows == "test" else question.validation
    return configuration_of(code, *asked, LOGS[question.log].files, (str(THREADS),))


def _convert(arguments: list[str], folder: Path, bench: Bench) -> None:
    file = folder / arguments[-1]
    if file.exists():
        return
    bench.tell(shown(arguments))
    files = [str(bench.data / name) for name in arguments[2:-2]]
    part = f"part-{file.name}"
    bench.execute([*arguments[:2], *files, "--out", part], folder)
    (folder / part).replace(file)


def _train(arguments: list[str], folder: Path, bench: Bench, where: str) -> Training:
    model = folder / arguments[arguments.index("--out") + 1]
    if (model / _TRAINED).exists():
        return msgspec.json.decode((model / _TRAINED).read_bytes(), type=Training)
    bench.tell(f"{where}: {shown(arguments)}")
    shutil.rmtree(model, ignore_errors=True)  # of a training that was cut off: its seconds would not be known
    began_s, cpu_s = time.monotonic(), _cpu_s()
    told = msgspec.json.decode(bench.execute([*arguments, "--json"], folder))
    trained = Training(
        command=shown(arguments),
        seconds=round(time.monotonic() - began_s, 1),
        cpu_seconds=round(_cpu_s() - cpu_s, 1),
        version=told["version"],
        epochs=len(told["metrics"]["history"]),
        rows=told["data"]["splits"]["train"],
        data_sha256=told["data"]["sha256"],
    )
    (model / _TRAINED).write_bytes(msgspec.json.encode(trained))
    return trained


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _short(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures without the counts of what was taken for what: they are long, and a command away."""
    return {name: figure for name, figure in figures.items() if name != "confusion"}
