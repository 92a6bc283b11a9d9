"""What is kept of runs: a small JSON file each, and a line for every time that test rows were scored."""

from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

Rows: TypeAlias = Literal["test", "validation"]
LEDGER = "test-rows.jsonl"


class Training(msgspec.Struct, frozen=True):
    """How a model was trained.

    Fields:
        command: as a user types it.
        seconds, cpu_seconds: of the whole command.
        version: of the model.
        epochs: that were done.
        rows: training rows of an epoch.
        data_sha256: of the log.
    """

    command: str
    seconds: float
    cpu_seconds: float
    version: str
    epochs: int
    rows: int
    data_sha256: str

    @property
    def rows_per_s(self) -> float:
        """Interactions a second, reading, validation and calibration included."""
        return self.rows * self.epochs / self.seconds


class Run(msgspec.Struct, frozen=True):
    """One question, asked of one model.

    Fields:
        question: its name in the plan.
        rows: which were scored.
        seed: of the training.
        configuration: hash of the code and of all options but the seed.
        commit: of the code, with a + if there were changes beside it.
        scored_at: UTC.
        machine: where.
        convert: command that made the log.
        train: the training.
        evaluate: command that scored.
        seconds: that it took.
        about: how it was scored.
        predictors: floors and model by name; figures by name, each with value, low and high.
    """

    question: str
    rows: Rows
    seed: int
    configuration: str
    commit: str
    scored_at: str
    machine: dict[str, Any]
    convert: str
    train: Training
    evaluate: str
    seconds: float
    about: dict[str, Any]
    predictors: dict[str, dict[str, Any]]


class Scored(msgspec.Struct, frozen=True):
    """A line of the ledger: test rows are about to be scored."""

    at: str
    question: str
    seed: int
    configuration: str
    commit: str
    forced: bool = False


HEADS = ("next action", "next item", "time to next")


class Held(msgspec.Struct, frozen=True):
    """A model of simulated shoppers, held against the truth.

    Fields:
        seed: of the training; the shop is always the same.
        events: of the log; the last tenth judges, the tenth before chooses.
        rows: that judge.
        model, truth: log-loss of each of `HEADS`, nats.
        seconds: of the training.
        commit, tree: of the code.
        scored_at: UTC.
    """

    seed: int
    events: int
    rows: int
    model: dict[str, float]
    truth: dict[str, float]
    seconds: float
    commit: str
    tree: str
    scored_at: str

    def over(self, head: str) -> float:
        """Return by how much the model's log-loss is above the truth's, as a share of it."""
        return self.model[head] / self.truth[head] - 1


class Shelf:
    """The folder that runs are kept in.

    Args:
        folder: is made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, rows: Rows, question: str, configuration: str, seed: int) -> Path:
        """Return where a run is kept."""
        return self.folder / rows / f"{question}-{configuration}-seed{seed}.json"

    def keep(self, run: Run) -> None:
        """Keep a run, whole or not at all."""
        path = self.path(run.rows, run.question, run.configuration, run.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
        part.replace(path)

    def runs(self, rows: Rows) -> list[Run]:
        """Return all runs on such rows, the oldest first."""
        found = [
            msgspec.json.decode(path.read_bytes(), type=Run) for path in sorted((self.folder / rows).glob("*.json"))
        ]
        return sorted(found, key=lambda run: run.scored_at)

    def held_path(self, tree: str, seed: int) -> Path:
        """Return where a model of simulated shoppers is kept."""
        return self.folder / "simulator" / f"{tree}-seed{seed}.json"

    def keep_held(self, held: Held) -> None:
        """Keep what a model of simulated shoppers came to."""
        path = self.held_path(held.tree, held.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(held), indent=1) + b"\n")

    def held(self) -> list[Held]:
        """Return the models of simulated shoppers of the newest code, by seed."""
        paths = sorted((self.folder / "simulator").glob("*.json"))
        found = sorted((msgspec.json.decode(path.read_bytes(), type=Held) for path in paths), key=lambda h: h.scored_at)
        return sorted((held for held in found if held.tree == found[-1].tree), key=lambda held: held.seed)

    def ledger(self) -> list[Scored]:
        """Return when test rows were scored, the oldest first."""
        path = self.folder / LEDGER
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [msgspec.json.decode(line, type=Scored) for line in lines]

    def note(self, scored: Scored) -> None:
        """Write down that test rows are about to be scored."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LEDGER).open("ab") as file:
            file.write(msgspec.json.encode(scored) + b"\n")


def latest(runs: list[Run]) -> dict[str, list[Run]]:
    """Return the runs of each question's newest configuration, by seed."""
    newest = {run.question: run.configuration for run in runs}
    found: dict[str, dict[int, Run]] = {}
    for run in runs:
        if run.configuration == newest[run.question]:
            found.setdefault(run.question, {})[run.seed] = run
    return {question: [by_seed[seed] for seed in sorted(by_seed)] for question, by_seed in found.items()}
