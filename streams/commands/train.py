"""`nextact train`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from models import training
    from models.model_directory import Model

_THREADS = 4  # the matrices are small: more threads only wait for each other
_MOST_THREADS = 4 * (os.cpu_count() or 1)


def _named(value: str) -> str:
    if not value.strip():
        raise typer.BadParameter("must not be empty")
    return value


def _positive(value: float | None) -> float | None:
    if value is not None and not value > 0:  # nan too
        raise typer.BadParameter("must be more than 0")
    return value


def train(
    file: Annotated[Path, typer.Argument(help="EVENTS: Parquet, CSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    name: Annotated[str, typer.Option(callback=_named, help="Name of the model.")] = "shop",
    until: Annotated[
        str | None,
        typer.Option(
            help="Learn only from events before this time: ISO, at the shop's place if no zone is given, or ms."
        ),
    ] = None,
    utc_offset_h: Annotated[int, typer.Option(min=-12, max=14, help="Hours from UTC to the shop's time.")] = 0,
    leave_after_min: Annotated[int, typer.Option(min=1, help="Minutes of silence after which a user has left.")] = 30,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs at most; by default fewer for a long log.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(callback=_positive, help="Stop after so long and keep the best so far.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, max=_MOST_THREADS, help="Processor threads; by default as many as help.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Learn a model from a log of events; Ctrl-C keeps the best so far.

    Example:  nextact train events.parquet --out shop-model --until 2026-05-01
    """
    import msgspec
    import polars as pl
    import torch

    from models.events_file import read_events
    from models.model_directory import Card, save
    from models.training import Options
    from models.training import train as learn
    from streams.errors import NextactError

    end_ms = None if until is None else parse_time(until, utc_offset_h)
    events = read_events(file)
    if end_ms is not None:
        events = events.filter(pl.col("ts_ms") < end_ms)
        if not len(events):
            raise NextactError(f"{file} holds no event before --until {until}")
    _make(out)
    torch.set_num_threads(threads or min(torch.get_num_threads(), _THREADS))
    # the file's name alone: a model tells nothing about the machine that made it
    command = f"nextact train {file.name} --name {name} --seed {seed} --utc-offset-h {utc_offset_h}"
    command += f" --leave-after-min {leave_after_min}"
    command += "".join(
        f" --{option} {value}" for option, value in (("until", until), ("epochs", epochs)) if value is not None
    )
    card = Card(name=name, utc_offset_h=utc_offset_h, leave_after_ms=leave_after_min * 60_000, command=command)
    deadline_s = None if max_minutes is None else monotonic() + max_minutes * 60
    with _bar() as show:

        def report(progress: "training.Progress") -> bool:
            show(progress)
            return deadline_s is None or monotonic() < deadline_s

        try:
            model = learn(events, card, Options(seed=seed, epochs=epochs), report)
        except ValueError as error:
            raise NextactError(f"{file}: {error}") from None
    model = save(model, out)
    if as_json:
        summary = {"out": str(out), "version": model.card.version, "items": len(model.items)}
        summary |= {"data": model.card.data, "metrics": model.card.metrics}
        typer.echo(msgspec.json.encode(summary).decode())
    else:
        _print_metrics(model, out)


def parse_time(text: str, utc_offset_h: int) -> int:
    """Return a time in ms since 1970.

    Args:
        text: ISO date or time, or ms.
        utc_offset_h: zone of an ISO time that names none.

    Raises:
        SettingsError: it is neither.

    >>> parse_time("2017-12-02", 8) == parse_time("2017-12-02T00:00:00+08:00", 0) == parse_time("1512144000000", 0)
    True
    """
    from streams.errors import SettingsError

    if text.isdecimal() and len(text) > len("20260501"):
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"--until {text}: give a date, a time like 2026-05-01T12:00+02:00, or ms") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone(timedelta(hours=utc_offset_h)))
    return round(time.timestamp() * 1000)


def _make(directory: Path) -> None:
    """Make a folder and write to it once: better refused now than after all the learning."""
    from streams.errors import NextactError

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise NextactError(f"cannot write {directory}: {error.strerror}") from None


@contextmanager
def _bar() -> Iterator[Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[losses]}"))
    left = (TextColumn("left at most"), TimeRemainingColumn())
    with Progress(*columns, *left, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the log", total=None, losses="")

        def show(progress: "training.Progress") -> None:
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


def _print_metrics(model: "Model", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from models.validation import TOP

    figures = model.card.metrics["validation"]
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
        time = figures[f"time_to_{target}"]
        model_loss, floor = -time["log_likelihood"], -time["marginal_log_likelihood"]
        table.add_row(f"time to the {what}, log-loss", f"{model_loss:.4f}", f"{floor:.4f}", "one curve for all")
    console = Console()
    console.print(table)
    console.print(
        f"model {model.card.name} {model.card.version}, {len(model.items):,} items, in {out}", highlight=False
    )
