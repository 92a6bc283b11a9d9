"""`nextact train`."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.log_options import ActionColumn, By, ItemColumn, Network, UtcOffsetH, parse_time, positive

if TYPE_CHECKING:
    from models import training

_THREADS = 4  # the matrices are small: more threads only wait for each other
_MOST_THREADS = 4 * (os.cpu_count() or 1)


def _named(value: str) -> str:
    if not value.strip():
        raise typer.BadParameter("must not be empty")
    return value


def train(
    file: Annotated[Path, typer.Argument(help="EVENTS: Parquet, CSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    name: Annotated[str, typer.Option(callback=_named, help="Name of the model.")] = "shop",
    network: Annotated[Network, typer.Option(help="What makes the state of a user; only a gru is served.")] = "gru",
    by: By = None,
    item_column: ItemColumn = "item_id",
    action_column: ActionColumn = "action",
    until: Annotated[
        str | None,
        typer.Option(
            help="Learn only from events before this time: ISO, at the shop's place if no zone is given, or ms."
        ),
    ] = None,
    utc_offset_h: UtcOffsetH = 0,
    leave_after_min: Annotated[int, typer.Option(min=1, help="Minutes of silence after which a user has left.")] = 30,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs at most; by default fewer for a long log.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(callback=positive, help="Stop after so long and keep the best so far.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(callback=positive, help="Largest learning rate.")] = None,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of the state's numbers hidden from the heads.")
    ] = None,
    item_dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of the items read that are hidden.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(min=0, help="Decay of the weights (AdamW).")] = None,
    l1: Annotated[float | None, typer.Option("--l1", min=0, help="Weight of the sum of sizes in the loss.")] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Share of each target spread over all outcomes.")
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(min=0, help="Items drawn to stand for all in the loss, 0: all; by default by their number."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same model.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, max=_MOST_THREADS, help="Processor threads; by default one a core, up to 4.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a training that was stopped, from its last whole epoch.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Learn a model from a log of events; Ctrl-C keeps the best so far, and --resume goes on.

    The log may hold any actions; a model of view, click and purchase can be served. A column `split` says which rows
    are learnt from. The size of the state is that of the worker's rows: it is no option. Ctrl-C ends with code 130,
    SIGTERM with 143, after one line that says what was kept; a second one does not wait for it.

    Example:  nextact train events.parquet --out shop-model --until 2026-05-01
    """
    import msgspec
    import torch

    from models.events_file import read_log
    from models.model_directory import Card, save
    from models.training import train as learn
    from models.updates import Options
    from streams.errors import NextactError
    from streams.stopping import stopping
    from streams.training_view import nothing_kept, print_metrics, stopped, training_bar

    read: dict[str, str | None] = {"by": by, "item_column": item_column, "action_column": action_column}
    given: dict[str, float | None] = {
        "learning_rate": learning_rate,
        "dropout": dropout,
        "item_dropout": item_dropout,
        "weight_decay": weight_decay,
        "l1": l1,
        "label_smoothing": label_smoothing,
        "candidates": candidates,
        "epochs": epochs,
    }
    how: dict[str, object] = {option: value for option, value in given.items() if value is not None}
    until_ms = None if until is None else parse_time(until, utc_offset_h)
    threads = threads or min(os.cpu_count() or 1, _THREADS)
    torch.set_num_threads(1)  # lanes are shared out among threads of ours: those of torch wait for each other too often
    said: dict[str, object] = {"name": name, "seed": seed, "threads": threads, "utc_offset_h": utc_offset_h}
    said |= {"leave_after_min": leave_after_min, "until": until, "max_minutes": max_minutes} | read | how
    said["network"] = None if network == "gru" else network
    # the file's name alone: a model tells nothing about the machine that made it
    command = f"nextact train {shlex.quote(file.name)}" + "".join(
        f" --{option.replace('_', '-')} {shlex.quote(str(value))}"
        for option, value in said.items()
        if value is not None
    )
    card = Card(
        name=name,
        network=network,
        utc_offset_h=utc_offset_h,
        leave_after_ms=leave_after_min * 60_000,
        command=command,
        data=dict(read),
    )
    deadline_s = None if max_minutes is None else monotonic() + max_minutes * 60
    with stopping() as asked:
        try:
            with _place(out), training_bar() as show:

                def report(progress: "training.Progress") -> bool:
                    go_on = asked.look() and (deadline_s is None or monotonic() < deadline_s)
                    show(progress)
                    return go_on

                read_from = read_log(file, by, item_column, action_column, until_ms)
                try:
                    options = msgspec.convert(how | {"seed": seed, "threads": threads}, Options)
                    model = learn(read_from, card, options, report, folder=out, resume=resume)
                except ValueError as error:
                    raise NextactError(f"{file}: {error}") from None
                asked.finish()
                card = msgspec.structs.replace(model.card, trained_at_ms=time_ns() // 1_000_000)
                model = save(msgspec.structs.replace(model, card=card), out)
        except (KeyboardInterrupt, SystemExit):  # the first is of a library that takes signals itself
            asked.finish()
            asked.ask()
            typer.echo(nothing_kept(asked.why, out), err=True)
            raise typer.Exit(asked.code) from None
    if as_json:
        summary = {"out": str(out), "version": model.card.version, "items": len(model.items)}
        summary |= {"data": model.card.data, "metrics": model.card.metrics}
        typer.echo(msgspec.json.encode(summary).decode())
    else:
        print_metrics(model, out)
    if asked.code:
        typer.echo(stopped(model, out, asked.why), err=True)
        raise typer.Exit(asked.code)
    if model.card.metrics["stopped"] and not as_json:
        typer.echo(stopped(model, out, "--max-minutes"))


@contextmanager
def _place(folder: Path) -> Iterator[None]:
    """Make a folder and write to it once: better refused now than after all the learning. Leave none that is empty."""
    from streams.errors import NextactError

    try:
        made = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NextactError(f"cannot write {folder}: {error.strerror}") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it holds something
            for one in made:
                one.rmdir()
        raise
