"""The tables of docs/results.md, made of the runs that are kept."""

import re
from collections.abc import Callable, Iterator
from math import isfinite
from statistics import median_low
from typing import Any, NamedTuple

from results.execution import commands, shown
from results.kept import HEADS, Held, Rows, Run, Shelf, latest
from results.plan import ECE_BOUND, OVER_BOUND, QUESTIONS, SPEED, Goal, Question

MODEL = "model"
NOT_RUN = "not run yet"
_HELD = "held by `tests/unit/models/test_learned.py`"
_BLOCK = re.compile(r"(<!-- made by `make results`: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DESCRIBES = ("coverage", "novelty")


class Shown(NamedTuple):
    """A figure over seeds: that of the median seed, with its interval, and the least and the largest."""

    value: float
    low: float | None
    high: float | None
    least: float
    most: float
    seeds: int


def renewed(page: str, shelf: Shelf) -> str:
    """Return a page with its tables made anew."""
    made: dict[str, Callable[[], str]] = {
        "goals": lambda: goals(shelf.runs("test"), "test", shelf.held()),
        "ledger": lambda: ledger(shelf),
        "validation": lambda: goals(shelf.runs("validation"), "validation", []),
        "commands": commands_of_all,
    }
    return _BLOCK.sub(lambda found: f"{found[1]}\n{made[found[2]]()}\n{found[3]}", page)


def goals(runs: list[Run], rows: Rows, held: list[Held]) -> str:
    """Return the table of goals, one line a figure, then calibration and what else was measured."""
    by_question = latest(runs)
    lines = [
        ("data", "measure", "goal", "best floor", "ours", "95 %", "seeds: least to most", "reached"),
        *(line for question in QUESTIONS for line in _goal_lines(question, by_question.get(question.name, []), rows)),
        *_calibration_line(by_question),
        *_simulator_lines(held),
        (
            "step at serving against the whole sequence",
            "largest difference in float32",
            "<= 1e-5",
            "",
            _HELD,
            "",
            "",
            "",
        ),
        *_speed_line(by_question.get(SPEED[0], [])),
    ]
    if rows == "validation":
        lines = [(*line[:2], *line[3:-1]) for line in lines]  # goals are of other rows
    parts = [_table(lines)]
    if by_question:
        parts += ["All figures of these models:", _table([_HEADING, *_details(by_question)])]
        parts += ["Trainings and runs:", _table([_RUN_HEADING, *_run_lines(by_question)])]
    return "\n\n".join(parts) + "\n"


def commands_of_all() -> str:
    """Return every command of the test rows, as a user types it."""
    lines: dict[str, None] = {}
    for question in QUESTIONS:
        for arguments in commands(question, "test", 0):
            lines[shown(arguments)] = None
    order = sorted(lines, key=lambda line: ("convert", "train", "evaluate").index(line.split()[1]))
    return "\n".join(["```", *order, "```", ""])


def ledger(shelf: Shelf) -> str:
    """Return when test rows were scored, by which code."""
    lines = shelf.ledger()
    if not lines:
        return "No test row has been scored with a model.\n"
    heading = ("scored", "question", "seed", "configuration", "commit", "")
    return (
        _table(
            [
                heading,
                *(
                    (
                        line.at,
                        line.question,
                        str(line.seed),
                        line.configuration,
                        line.commit,
                        "again" if line.forced else "",
                    )
                    for line in lines
                ),
            ]
        )
        + "\n"
    )


def over_seeds(runs: list[Run], path: tuple[str, ...]) -> Shown | None:
    """Return a figure of the models over seeds; None where a run lacks it."""
    found = [figure for run in runs if (figure := _figure(run.predictors[MODEL], path)) is not None]
    if not found or len(found) < len(runs):
        return None
    values = [figure["value"] for figure in found]
    middle = found[values.index(median_low(values))]
    return Shown(middle["value"], middle["low"], middle["high"], min(values), max(values), len(values))


def best_floor(run: Run, goal: Goal) -> tuple[str, float] | None:
    """Return the best floor of a run and its figure."""
    floors = {
        name: figure["value"]
        for name, figures in run.predictors.items()
        if name != MODEL and (figure := _figure(figures, (goal.figure,))) is not None
    }
    if not floors:
        return None
    name = (min if goal.most else max)(floors, key=floors.__getitem__)
    return name, floors[name]


def plain(value: float | None) -> str:
    """Return a figure with three decimals, as tables have it.

    >>> plain(0.1234), plain(1.5), plain(-0.25), plain(None)
    ('.123', '1.500', '-.250', '-')
    """
    if value is None or not isfinite(value):
        return "-"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:,.3f}"


def _goal_lines(question: Question, runs: list[Run], rows: Rows) -> Iterator[tuple[str, ...]]:
    for k, goal in enumerate(question.goals):
        title = question.title if k == 0 else ""
        bound = f"{'<=' if goal.most else '>='} {plain(goal.bound)}"
        found = over_seeds(runs, (goal.figure,)) if runs else None
        if found is None:
            yield title, goal.label, bound, goal.floor if rows == "test" else "", NOT_RUN, "", "", ""
            continue
        floor_ = best_floor(runs[0], goal)
        said = "-" if floor_ is None else f"{plain(floor_[1])} ({floor_[0]})"
        reached = "yes" if goal.met(found.value) else "no"
        yield title, goal.label, bound, said, f"**{plain(found.value)}**", _interval(found), _spread(found), reached


def _calibration_line(by_question: dict[str, list[Run]]) -> Iterator[tuple[str, ...]]:
    found = dict(_heads(by_question))
    title, bound = "every head, every log", f"<= {plain(ECE_BOUND)}"
    if not found:
        yield title, "ECE", bound, "", NOT_RUN, "", "", ""
        return
    worst = max(found, key=lambda head: found[head].value)
    within = sum(shown.value <= ECE_BOUND for shown in found.values())
    figure = f"**{plain(found[worst].value)}** ({worst})"
    yield (
        title,
        "ECE, the largest",
        bound,
        "",
        figure,
        _interval(found[worst]),
        _spread(found[worst]),
        f"{within} of {len(found)}",
    )


def _heads(by_question: dict[str, list[Run]]) -> Iterator[tuple[str, Shown]]:
    """Yield what was held against what came, and how far it was off."""
    for question in QUESTIONS:
        runs = by_question.get(question.name, [])
        if not runs:
            continue
        parts = runs[0].predictors[MODEL].get("parts", {}) if question.name.endswith("time-to-next") else {}
        for path in [("ece",), *(("parts", part, "ece") for part in parts)]:
            found = over_seeds(runs, path)
            if found is not None:
                yield " ".join([question.title, *([f"within {path[1]}"] if len(path) > 1 else [])]), found


def _simulator_lines(held: list[Held]) -> Iterator[tuple[str, ...]]:
    title, bound = "simulator, log-loss over that of the known truth", f"<= +{100 * OVER_BOUND:.0f} %"
    for head in HEADS if held else ():
        middle = median_low(one.over(head) for one in held)
        [figure, *_] = [one for one in held if one.over(head) == middle]
        spread = (
            f"{len(held)}: {min(one.over(head) for one in held):+.1%} to {max(one.over(head) for one in held):+.1%}"
        )
        ours = f"**{middle:+.1%}** ({plain(figure.model[head])}; the truth {plain(figure.truth[head])})"
        yield title, head, bound, "", ours, "", spread, "yes" if middle <= OVER_BOUND else "no"
        title = ""
    if not held:
        yield title, "each head", bound, "", NOT_RUN, "", "", ""


def _speed_line(runs: list[Run]) -> Iterator[tuple[str, ...]]:
    title, bound = "training on MovieLens-1M, 2 cores", f">= {SPEED[1]:,}"
    if not runs:
        yield title, "interactions/s", bound, "", NOT_RUN, "", "", ""
        return
    speeds = sorted(run.train.rows_per_s for run in runs)
    middle = median_low(speeds)
    spread = f"{len(speeds)}: {speeds[0]:,.0f} to {speeds[-1]:,.0f}"
    reached = "yes" if middle >= SPEED[1] else "no"
    yield title, "interactions/s, all of `nextact train`", bound, "", f"**{middle:,.0f}**", "", spread, reached


_HEADING = ("question", "figure", "ours", "95 %", "seeds: least to most", "best floor")


def _details(by_question: dict[str, list[Run]]) -> Iterator[tuple[str, ...]]:
    for question in QUESTIONS:
        runs = by_question.get(question.name, [])
        first = question.title
        for name in runs[0].predictors[MODEL] if runs else ():
            found = over_seeds(runs, (name,))
            if found is None:
                continue
            least = name.startswith(("log_loss", "error", "ece", "brier", "mae"))
            floor = None if name in _DESCRIBES else best_floor(runs[0], Goal(name, name, 0, most=least))
            said = "-" if floor is None else f"{plain(floor[1])} ({floor[0]})"
            yield first, name.replace("_", " "), plain(found.value), _interval(found), _spread(found), said
            first = ""
    for head, ece in _heads(by_question):
        if " within " in head:
            yield head, "ece", plain(ece.value), _interval(ece), _spread(ece), ""


_RUN_HEADING = ("run", "seed", "trained with", "s", "CPU s", "epochs", "scored with", "s", "rows", "commit")


def _run_lines(by_question: dict[str, list[Run]]) -> Iterator[tuple[str, ...]]:
    for question in QUESTIONS:
        for run in by_question.get(question.name, []):
            yield (
                question.name,
                str(run.seed),
                f"`{run.train.command}`",
                f"{run.train.seconds:,.0f}",
                f"{run.train.cpu_seconds:,.0f}",
                str(run.train.epochs),
                f"`{run.evaluate}`",
                f"{run.seconds:,.0f}",
                f"{run.about['rows']:,}",
                run.commit,
            )


def _figure(figures: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    for name in path:
        figures = figures.get(name, {})
    return figures if isinstance(figures.get("value"), float | int) else None


def _interval(found: Shown) -> str:
    return "" if found.low is None else f"{plain(found.low)} to {plain(found.high)}"


def _spread(found: Shown) -> str:
    return f"{found.seeds}: {plain(found.least)} to {plain(found.most)}"


def _table(lines: list[tuple[str, ...]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]])
