"""What an evaluation gives: one table, each predictor scored on the same rows."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import msgspec

from models.evaluation.bootstrap import Figure

_LESS_IS_BETTER = ("log_loss", "error", "ece", "brier", "mae")
_DESCRIBES = ("coverage", "novelty")


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


def best(name: str, figures: Mapping[str, Figure]) -> str | None:
    """Return whose figure of a name is best; None where it only describes, or is defined for nobody.

    >>> figures = {"popularity": Figure(0.1, 0.0, 0.2), "model": Figure(0.3, 0.2, 0.4)}
    >>> best("recall", figures), best("log_loss", figures), best("novelty", figures)
    ('model', 'popularity', None)
    """
    known = {who: figure.value for who, figure in figures.items() if isfinite(figure.value)}
    if not known or name in _DESCRIBES:
        return None
    return (min if name.startswith(_LESS_IS_BETTER) else max)(known, key=known.__getitem__)


def behind(report: Report, model: str) -> dict[str, str]:
    """Return the best floor by each figure in which a model is behind one.

    Calibration is left out: who always says the same is calibrated, and knows nothing.
    """
    found = {}
    for name, mine in report.predictors[model].figures.items():
        by = {who: scores.figures[name] for who, scores in report.predictors.items() if name in scores.figures}
        first = None if name == "ece" else best(name, by)
        if first is not None and by[first].value != mine.value:
            found[name] = first
    return found
