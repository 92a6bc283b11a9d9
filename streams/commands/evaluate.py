"""`nextact evaluate`."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.log_options import (
    ActionColumn,
    By,
    DrawSeed,
    ItemColumn,
    Replicates,
    Split,
    UtcOffsetH,
    parse_time,
)

if TYPE_CHECKING:
    from models.evaluation.result import Report
    from models.log import Log
    from models.state import Ints

_DAY_MS = 86_400_000
_MODEL = "model"


class Task(StrEnum):
    """What is predicted."""

    next_item = "next-item"
    next_action = "next-action"
    churn = "churn"
    time_to_next = "time-to-next"


def evaluate(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="[DIR] EVENTS", help="Model directory, left out: floors alone; then the log."),
    ],
    task: Annotated[Task, typer.Option(help="What is predicted.")],
    k: Annotated[int, typer.Option(min=1, help="next-item: length of the lists.")] = 20,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="next-item: leave out the items of the row's own history.")
    ] = False,
    at: Annotated[
        str | None,
        typer.Option(help="churn: the moment; ISO, at the shop's place if no zone is given, or ms."),
    ] = None,
    horizon_days: Annotated[int | None, typer.Option(min=1, help="churn: how far ahead.")] = None,
    split: Split = None,
    by: By = None,
    item_column: ItemColumn = "item_id",
    action_column: ActionColumn = "action",
    utc_offset_h: UtcOffsetH = 0,
    replicates: Replicates = 200,
    seed: DrawSeed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Score a model beside floors on the same rows; with no DIR, the floors alone.

    Each target is predicted from the rows before it in its sequence. Figures come with intervals from drawing whole
    sequences again. A tie among items counts as the middle of its places; items that were never learned count as
    missed. Floors learn from training rows, for test rows from validation rows too, for churn from all before --at.

    Example:  nextact evaluate shop-model events.parquet --task next-item --k 20
    """
    from streams.extras import require

    require("evaluate", "sklearn", "scipy")
    import msgspec
    from rich.console import Console

    from models.evaluation.rows import NothingToScoreError
    from models.events_file import read_log
    from streams.errors import NextactError
    from streams.evaluation_table import as_dict, tables, verdict

    if len(paths) > 2:
        raise NextactError(f"evaluate takes [DIR] EVENTS, not {len(paths)} paths")
    *directories, file = paths
    settings = {"replicates": replicates, "seed": seed}
    if task is Task.churn:
        settings |= _moment(at, horizon_days, utc_offset_h)
    elif at is not None or horizon_days is not None:
        raise NextactError(f"--at and --horizon-days are for --task churn, not {task}")
    made = read_log(file, by, item_column, action_column)
    try:
        if task is Task.next_item:
            settings |= {"k": k, "exclude_seen": exclude_seen}
        model = _model(directories, made, settings.get("at_ms"))
        report = _score(made, task, model, split, settings)
    except (NothingToScoreError, ValueError) as error:
        raise NextactError(f"{file}: {error}") from None
    if as_json:
        about = {"events": file.name, "model": directories[0].name if directories else None}
        typer.echo(msgspec.json.encode(about | as_dict(report)).decode())
        return
    console = Console()
    for table in tables(report):
        console.print(table)
    lost = verdict(report, _MODEL) if directories else ""
    if lost:
        console.print(lost, style="bold red", highlight=False)
    missing = report.about.get("rows_with_item_never_learned")
    if missing:
        console.print(f"{missing:,} rows have an item that was never learned: counted as missed", highlight=False)


def _moment(at: str | None, horizon_days: int | None, utc_offset_h: int) -> dict[str, int]:
    from streams.errors import SettingsError

    if at is None or horizon_days is None:
        raise SettingsError("--task churn needs --at TIME and --horizon-days H")
    return {"at_ms": parse_time(at, utc_offset_h, "--at"), "horizon_ms": horizon_days * _DAY_MS}


def _model(directories: list[Path], made: "Log", until_ms: int | None) -> dict[str, Any]:
    """Return the trained model as a predictor, by the name that tables show; empty where no directory is given."""
    if not directories:
        return {}
    from models.learned import Learned
    from streams.errors import ModelUnusable
    from streams.trained import trained

    [directory] = directories
    model = trained(directory, made)
    if until_ms is not None and model.card.trained_until_ms >= until_ms:
        raise ModelUnusable(f"{directory} has learned from what came after --at: train one with --until that time")
    return {_MODEL: Learned(model)}


def _score(made: "Log", task: Task, model: dict[str, Any], split: str | None, settings: dict[str, Any]) -> "Report":
    """Score the floors of a task and the model, each made when its turn comes."""
    import numpy as np

    from models.evaluation.churn import churn
    from models.evaluation.next_action import next_action
    from models.evaluation.next_item import next_item
    from models.evaluation.rows import known_rows, scored_rows, split_to_score
    from models.evaluation.time_to_next import time_to_next
    from models.floors.catalogue import CHURN, NEXT_ACTION, NEXT_ITEM, TIME_TO_NEXT
    from streams.progress import counting

    tasks: dict[Task, tuple[Callable[..., Report], Mapping[str, Callable[..., Any]]]] = {
        Task.next_item: (next_item, NEXT_ITEM),
        Task.next_action: (next_action, NEXT_ACTION),
        Task.churn: (churn, CHURN),
        Task.time_to_next: (time_to_next, TIME_TO_NEXT),
    }
    run, floors = tasks[task]
    if task is Task.churn:
        known: Ints = np.flatnonzero(made.ts_ms < settings["at_ms"])
        rows = len(made.first)
    else:
        split = split_to_score(made, split)
        known, rows, run = known_rows(made, split), len(scored_rows(made, split)), partial(run, split=split)
    with counting(f"scoring {task}", rows * (len(floors) + len(model))) as report:
        predictors = {name: floor(made, known) for name, floor in floors.items()} | model
        return run(made, predictors, report=report, **settings)
