"""What `nextact train` shows: a bar while it learns, and how good the model is next to its floors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from models.model_directory import Model
    from models.training import Progress


@contextmanager
def training_bar(*, shown: bool = True) -> "Iterator[Callable[[Progress], None]]":
    """Show a bar on stderr, if that is a terminal; yields what shows the progress.

    Args:
        shown: or nothing at all.
    """
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TextColumn("{task.fields[losses]}"))
    left = (rich.TextColumn("left at most"), rich.TimeRemainingColumn())
    with rich.Progress(*columns, *left, console=console, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task("reading the log", total=None, losses="")

        def show(progress: "Progress") -> None:
            losses = f"loss {progress.loss:.3f}"
            if not isnan(progress.validation_loss):
                losses += f", validation {progress.validation_loss:.3f}, best {progress.best_loss:.3f}"
            bar.update(
                task,
                description=f"epoch {progress.epoch} of {progress.epochs}",
                total=progress.epochs,
                completed=progress.epoch - 1 + progress.share,
                losses=losses,
            )

        yield show


def print_metrics(model: "Model", out: Path) -> None:
    """Show a model's figures on its validation rows."""
    from rich.console import Console

    figures = model.card.metrics["validation"]
    console = Console()
    if figures["rows"]:
        table, lost = _table(figures)
        console.print(table)
        if lost:
            console.print(lost, style="bold red", highlight=False, soft_wrap=True)
    console.print(
        f"model {model.card.name} {model.card.version}, {len(model.items):,} items, in {out}",
        highlight=False,
        markup=False,
    )


def stopped(model: "Model", out: Path, why: str) -> str:
    """Return what to say of a training that was stopped, of which a model was kept.

    Args:
        model: that was kept.
        out: its directory.
        why: what stopped the training.
    """
    from models.checkpoint import FILE
    from models.report.learning import best, learning_curves

    if not model.card.metrics["stopped"]:
        return f"stopped by {why} when the training had ended: nothing is missing in {out}"
    epochs = learning_curves(model.card.metrics)
    kept = f"stopped by {why} at epoch {len(epochs)}: the best so far, of epoch {best(epochs).epoch}, is kept in {out}"
    if (out / FILE).is_file():
        return f"{kept}; the same command with --resume goes on"
    return f"{kept}; no epoch had ended, so that --resume has nothing to go on from"


def nothing_kept(why: str, out: Path) -> str:
    """Return what to say of a training that was stopped and of which no model was kept."""
    from models.checkpoint import FILE

    if (out / FILE).is_file():
        return f"stopped by {why}: {out} is as it was after the last whole epoch, from where --resume goes on"
    return f"stopped by {why} before an epoch had ended: nothing of it is kept"


def _table(figures: dict[str, Any]) -> "tuple[Table, str]":
    """Return the table, and in what the model is behind a floor."""
    from rich.table import Table

    from models.comparison import TITLES, behind, floors
    from models.comparison import figures as compared

    table = Table(title=f"{figures['rows']:,} events held out", title_justify="left", caption_justify="left")
    table.caption = "floor: the best of those that cost next to nothing; `nextact evaluate` has all"
    for column in ("", "model", "floor", "which is"):
        table.add_column(column, justify="right" if column in ("model", "floor") else "left")
    mine, lost = compared(figures), list[str]()
    for name, floor in floors(figures).items():
        shown = f"{mine[name]:.4f}"
        if behind(name, mine[name], floor):
            shown, lost = f"[bold red]{shown}[/]", [*lost, TITLES[name]]
        table.add_row(TITLES[name], shown, f"{floor.value:.4f}", floor.name)
    return table, f"behind the floor: {'; '.join(lost)}" if lost else ""
