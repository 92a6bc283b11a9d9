"""Figures of a model beside its floors, as rows and columns of text for a page."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from streams.durations import readable

if TYPE_CHECKING:
    from models.evaluation.bootstrap import Figure
    from models.evaluation.result import Report

_NAMES = {
    "ndcg": "NDCG",
    "mrr": "MRR",
    "roc_auc": "ROC-AUC",
    "ece": "ECE",
    "mae_s": "mean error, s",
    "mae_min": "mean error, min",
    "mae_h": "mean error, h",
    "mae_d": "mean error, d",
    "log_loss": "log-loss",
    "brier": "Brier",
    "macro_f1": "macro-F1",
}


class Cell(NamedTuple):
    """A figure and its interval, each as text."""

    value: str
    interval: str


class Table(NamedTuple):
    """A table.

    Fields:
        title: above it.
        columns: names of the figures.
        rows: name, whether it is the model's, and a cell for each column.
    """

    title: str
    columns: list[str]
    rows: list[tuple[str, bool, list[Cell]]]


def tables(report: "Report", model: str) -> Iterator[Table]:
    """Yield the table of all predictors, then that of the model's parts (actions, horizons).

    Args:
        report: of a task.
        model: the model's name in it.
    """
    figures = {name: scores.figures for name, scores in report.predictors.items()}
    yield _table("The model and what it has to beat, on the same rows", figures, model)
    parts = report.predictors[model].parts
    came = report.about.get("came", {})
    kept = {f"{part}, {came[part]:,} rows" if part in came else part: some for part, some in parts.items() if some}
    if kept:
        yield _table("The model, part by part", kept, None)


def _table(title: str, rows: "Mapping[str, Mapping[str, Figure]]", model: str | None) -> Table:
    rows = readable(rows)
    columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    return Table(
        title,
        [_NAMES.get(name, name.replace("_", " ")) for name in columns],
        [(name, name == model, [_cell(figures.get(column)) for column in columns]) for name, figures in rows.items()],
    )


def _cell(figure: "Figure | None") -> Cell:
    """Return a figure as text.

    >>> from models.evaluation.bootstrap import Figure
    >>> _cell(Figure(0.5, 0.25, 0.75)), _cell(None)
    (Cell(value='0.500', interval='0.250-0.750'), Cell(value='-', interval=''))
    """
    if figure is None or not isfinite(figure.value):
        return Cell("-", "")
    interval = f"{figure.low:.3f}-{figure.high:.3f}" if isfinite(figure.low) else ""
    return Cell(f"{figure.value:.3f}", interval)
