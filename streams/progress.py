"""The progress bar of a long job: on stderr, with rate and time left, and silent where stderr is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class RateColumn(ProgressColumn):
    """Events a second, lately."""

    def render(self, task: Task) -> Text:
        """Return the cell."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


@contextmanager
def counting(what: str, total: int | None) -> Iterator[Callable[..., None]]:
    """Yield a function that takes the number done so far, and the total if that was not known; None: without end."""
    console = Console(stderr=True)
    left = [TextColumn("left"), TimeRemainingColumn()] if total is not None else []
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), RateColumn(), *left]
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, total=None: progress.update(task, completed=done, total=total)
