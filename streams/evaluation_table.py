"""An evaluation as JSON and as tables for people."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from rich.markup import escape
from rich.table import Table

from models.evaluation.bootstrap import CONFIDENCE, Figure
from models.evaluation.result import Report, Scores, behind, best
from streams.durations import readable


def as_dict(report: Report) -> dict[str, Any]:
    """Return all of a report for JSON, figures with six decimals, durations in hours; what is not defined is None."""
    return {"task": report.task} | report.about | {"confidence": CONFIDENCE, "predictors": _predictors(report)}


def _predictors(report: Report) -> dict[str, Any]:
    found = {}
    for name, scores in report.predictors.items():
        found[name] = _plain(scores.figures)
        if scores.parts:
            found[name]["parts"] = {part: _plain(figures) for part, figures in scores.parts.items()}
        if scores.confusion:
            found[name]["confusion"] = scores.confusion
    return found


def _plain(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {
        name: {
            field: round(number, 6) if isfinite(number := getattr(figure, field)) else None
            for field in figure.__struct_fields__
        }
        for name, figure in figures.items()
    }


def tables(report: Report) -> Iterator[Table]:
    """Yield the table of all predictors, then one for each part and figure, then what was taken for what.

    Predictors stand below each other with their intervals; the best figure of a column is bold.
    """
    yield _of_figures(_title(report), {name: scores.figures for name, scores in report.predictors.items()})
    parts = {part: None for scores in report.predictors.values() for part in scores.parts}
    for part in parts:
        rows = {name: scores.parts[part] for name, scores in report.predictors.items() if scores.parts.get(part)}
        if rows:
            yield _of_figures(_part_title(report, part), rows)
    *_, (name, scores) = report.predictors.items()
    if scores.confusion:
        yield _confusion(name, scores, report)


def _title(report: Report) -> str:
    about = report.about
    rows = f"{about['rows']:,} users" if report.task == "churn" else f"{about['rows']:,} {about['split']} rows"
    if "sequences" in about:
        rows += f" of {about['sequences']:,} sequences"
    if "k" in about:
        rows += f", first {about['k']} of {about['candidates']:,} items"
        rows += ", those in the history left out" if about["exclude_seen"] else ""
    return f"{report.task}: {rows}"


def _part_title(report: Report, part: str) -> str:
    came = report.about.get("came")
    return f"within {part}" if came is None else f"{escape(part)}: {came[part]:,} rows"


def _of_figures(title: str, rows: Mapping[str, Mapping[str, Figure]]) -> Table:
    rows = readable(rows)
    table = Table(title=title, title_justify="left", caption=f"[{CONFIDENCE:.0%} interval]", caption_justify="right")
    table.add_column("")
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    firsts = {name: _best(name, rows) for name in names}
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for predictor, figures in rows.items():
        table.add_row(escape(predictor), *(_cell(figures.get(name), firsts[name]) for name in names))
    return table


def _best(name: str, rows: Mapping[str, Mapping[str, Figure]]) -> float | None:
    by = {who: figures[name] for who, figures in rows.items() if name in figures}
    first = best(name, by)
    return None if first is None else by[first].value


def verdict(report: Report, model: str) -> str:
    """Return in which figures a model is behind a floor, for people; nothing where it is behind none."""
    lost = [f"{name.removesuffix('_h').replace('_', ' ')} ({who})" for name, who in behind(report, model).items()]
    return f"The {model} is behind a floor: {', '.join(lost)}." if lost else ""


def _cell(figure: Figure | None, best: float | None) -> str:
    if figure is None or not isfinite(figure.value):
        return "-"
    value = f"[bold]{figure.value:.3f}[/bold]" if figure.value == best else f"{figure.value:.3f}"
    return value if not isfinite(figure.low) else f"{value} [dim]{figure.low:.3f}-{figure.high:.3f}[/dim]"


def _confusion(name: str, scores: Scores, report: Report) -> Table:
    named: list[str] = report.about["actions"]
    table = Table(title=f"what came (rows) and what {escape(name)} held most likely", title_justify="left")
    for column in ("", *named):
        table.add_column(escape(column), justify="right" if column else "left")
    for action, row in zip(named, scores.confusion, strict=True):
        table.add_row(escape(action), *(f"{count:,}" for count in row))
    return table
