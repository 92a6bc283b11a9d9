"""What `nextact train` shows: a bar while it learns, and how good the model is next to its floors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from models.model_directory import Model
    from models.training import Progress


@contextmanager
def training_bar() -> "Iterator[Callable[[Progress], None]]":
    """Show a bar on stderr, if that is a terminal; yields what shows the progress."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True)
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.TextColumn("{task.fields[losses]}"))
    left = (rich.TextColumn("left at most"), rich.TimeRemainingColumn())
    with rich.Progress(*columns, *left, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the log", total=None, losses="")

        def show(progress: "Progress") -> None:
            losses = f"loss {progress.loss:.3f}"
            if progress.epoch > 1:
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
        console.print(_table(figures))
    console.print(
        f"model {model.card.name} {model.card.version}, {len(model.items):,} items, in {out}", highlight=False
    )


def _table(figures: dict[str, Any]) -> "Table":
    from rich.table import Table

    from models.validation import TOP

    table = Table(title=f"{figures['rows']:,} events held out", title_justify="left")
    for column in ("", "model", "floor", "which is"):
        table.add_column(column, justify="left" if column in ("", "which is") else "right")
    action, item = figures["next_action"], figures["next_item"]
    table.add_row("next action, log-loss", f"{action['log_loss']:.4f}", f"{action['prior_log_loss']:.4f}", "the prior")
    table.add_row("", "", f"{action['markov_log_loss']:.4f}", "the last action alone")
    recall = f"recall_at_{TOP}"
    table.add_row(
        f"next item, recall at {TOP}", f"{item[recall]:.4f}", f"{item[f'popularity_{recall}']:.4f}", "the most popular"
    )
    for target, what in (("any", "next event"), ("purchase", "next purchase")):
        if f"time_to_{target}" not in figures:
            continue
        time = figures[f"time_to_{target}"]
        model_loss, floor = -time["log_likelihood"], -time["marginal_log_likelihood"]
        table.add_row(f"time to the {what}, log-loss", f"{model_loss:.4f}", f"{floor:.4f}", "one curve for all")
    return table
