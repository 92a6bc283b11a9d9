"""What an evaluation gives: one table, each predictor scored on the same rows."""

from typing import Any

import msgspec

from models.evaluation.bootstrap import Figure


class Scores(msgspec.Struct, omit_defaults=True):
    """Figures of one predictor.

    Fields:
        figures: by name, over all rows.
        parts: by action or horizon and by name, where the task has such parts.
        confusion: rows by the action that came (first axis) and the one forecast as most likely.
    """

    figures: dict[str, Figure]
    parts: dict[str, dict[str, Figure]] = {}
    confusion: list[list[int]] = []


class Report(msgspec.Struct):
    """A table.

    Fields:
        task: which one.
        about: how it was scored: split, numbers of rows and sequences, settings.
        predictors: scores by name of the predictor, floors first.
    """

    task: str
    about: dict[str, Any]
    predictors: dict[str, Scores]
