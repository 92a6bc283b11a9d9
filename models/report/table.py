"""A model beside its floors on the same rows, as a report asks for it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from models.evaluation.result import Report
from models.evaluation.rows import known_rows, scored_rows
from models.log import Log
from models.report.asked import MODEL, Asked, Counting
from models.state import Ints

P = TypeVar("P")


def beside_floors(
    what: str,
    score: Callable[..., Report],
    floors: Mapping[str, Callable[[Log, Ints], P]],
    log: Log,
    model: P,
    asked: Asked,
    counting: Counting,
    **settings: Any,  # noqa: ANN401 - of the task
) -> Report:
    """Score a task.

    Args:
        what: is scored, for the progress.
        score: the task, as `models.evaluation` has it.
        floors: by name, each made of the rows that may be learned from.
        log: with its splits.
        model: what the report is about.
        asked: how to score.
        counting: shows the progress.
        settings: of this task.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    known = known_rows(log, asked.split)
    predictors = {name: floor(log, known) for name, floor in floors.items()} | {MODEL: model}
    with counting(what, len(scored_rows(log, asked.split)) * len(predictors)) as report:
        return score(
            log, predictors, split=asked.split, replicates=asked.replicates, seed=asked.seed, report=report, **settings
        )
