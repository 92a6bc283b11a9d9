"""`make results`: what was not run yet is run, and the tables of docs/results.md are made of what is kept."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from results.checkout import ROOT, Code, code_of
from results.execution import Bench, CommandError, RefusedError, commands, done, nextact, run, shown
from results.kept import Rows, Shelf
from results.page import renewed
from results.plan import LOGS, SEEDS, Question, chosen

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _stop(message: str, code: int = 2) -> typer.Exit:
    _tell(f"error: {message}")
    return typer.Exit(code)


@app.command()
def main(
    only: Annotated[str, typer.Option(help=f"Logs or questions, with commas between; logs: {', '.join(LOGS)}.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds, from 0 on.")] = SEEDS,
    validation: Annotated[
        bool,
        typer.Option("--validation", help="Score validation rows, as often as you like; test rows are left alone."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Score test rows again that this configuration has scored; it is noted.")
    ] = False,
    simulator: Annotated[
        bool, typer.Option("--simulator", help="Models of simulated shoppers against the truth, and nothing else.")
    ] = False,
    tables: Annotated[bool, typer.Option("--tables", help="Run nothing: make the tables of what is kept.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the commands of what would be run.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the public logs; by default what NEXTACT_DATA names.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Folder for EVENTS and models.")] = ROOT / ".nextact/results",
    kept: Annotated[Path, typer.Option(help="Folder that runs are kept in.")] = ROOT / "docs/results",
    page: Annotated[Path, typer.Option(help="Page whose tables are made.")] = ROOT / "docs/results.md",
) -> None:
    """Convert, train with the defaults, evaluate: all that was not done yet with this code. Then make the tables.

    Test rows are scored once for each configuration (code and options) and seed, and only of code that is committed.

    Example:  python -m results --validation --only cdnow,jd --seeds 1
    """
    shelf = Shelf(kept)
    rows: Rows = "validation" if validation else "test"
    try:
        questions = chosen([name for name in only.split(",") if name])
        lines: Iterator[str]
        if simulator:
            lines = _simulated(shelf, code_of(), range(seeds))
        elif tables:
            lines = iter(())
        else:
            bench = Bench(data or _named(), work, shelf, code_of(), _tell, nextact)
            lines = _runs(bench, questions, rows, range(seeds), force, dry_run)
        for done_with in lines:
            _tell(done_with)
            page.write_text(renewed(page.read_text(), shelf))
        if not dry_run:
            page.write_text(renewed(page.read_text(), shelf))
    except (RefusedError, ValueError) as error:
        raise _stop(str(error)) from None
    except CommandError as error:
        raise _stop(str(error), error.code) from None
    except KeyboardInterrupt:
        raise _stop("stopped by Ctrl-C: what was done is kept, the same command goes on", 130) from None


def _simulated(shelf: Shelf, code: Code, seeds: range) -> Iterator[str]:
    """Hold models against the truth that were not yet; yield a line after each."""
    from results.simulator import held

    for seed in seeds:
        if not shelf.held_path(code.tree, seed).exists():
            found = held(seed, code)
            shelf.keep_held(found)
            yield f"simulator, seed {seed}: " + ", ".join(f"{head} {found.over(head):+.1%}" for head in found.model)


def _runs(
    bench: Bench, questions: list[Question], rows: Rows, seeds: range, force: bool, dry_run: bool
) -> Iterator[str]:
    """Do what is not done yet, or show it; yield a line after each run."""
    missing = [file for question in questions for file in LOGS[question.log].files if not (bench.data / file).exists()]
    if missing and not dry_run:
        raise RefusedError(f"{bench.data} does not hold {missing[0]}: --data names the folder of the public logs")
    wanted = [(question, seed) for question in questions for seed in seeds]
    todo = [(question, seed) for question, seed in wanted if force or not done(question, rows, seed, bench)]
    _tell(f"{len(todo)} of {len(wanted)} runs on {rows} rows to do")
    for number, (question, seed) in enumerate(todo, 1):
        if dry_run:
            typer.echo("\n".join(shown(arguments) for arguments in commands(question, rows, seed)))
        else:
            made = run(question, rows, seed, bench, force=force)
            yield f"{number} of {len(todo)}: {question.name}, seed {seed}, scored {made.about['rows']:,} rows"


def _named() -> Path:
    folder = os.environ.get("NEXTACT_DATA")
    if not folder:
        raise RefusedError("NEXTACT_DATA is not set: it names the folder of the public logs, as --data does")
    return (ROOT / folder).resolve()


if __name__ == "__main__":
    app()
