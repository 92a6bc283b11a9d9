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
    from models.log import By as BySequence
    from streams.training_log import Wanted

_THREADS = 4  # the matrices are small: more threads only wait for each other
_MOST_THREADS = 4 * (os.cpu_count() or 1)


def _named(value: str) -> str:
    if not value.strip():
        raise typer.BadParameter("must not be empty")
    return value


def train(
    out: Annotated[Path, typer.Option(help="Model directory to write.")],
    file: Annotated[Path | None, typer.Argument(metavar="EVENTS", help="Parquet, CSV or JSON lines.")] = None,
    from_topics: Annotated[
        bool, typer.Option("--from-topics", help="Learn from what stands in the input topics, not from a file.")
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="--from-topics: from the first record of this time on, as --until; else all."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="--from-topics: up to the first record of this time, as --until; else to what is there."),
    ] = None,
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
    SIGTERM with 143, after one line that says what was kept; a second one does not wait for it. With --from-topics the
    records are decoded as a worker does; those that it would refuse are counted and left out. Started by torchrun,
    processes share the work: the first one writes. The same number of threads over all of them gives the same model.

    Example:  nextact train events.parquet --out shop-model --until 2026-05-01
    Example:  nextact train --from-topics --from 2026-04-01 --out shop-model
    Example:  torchrun --nproc-per-node 2 -m streams train events.parquet --out shop-model
    """
    import msgspec
    import torch

    from models.model_directory import Card, save
    from models.peers import peers
    from models.training import train as learn
    from models.updates import Options
    from streams.errors import NextactError
    from streams.stopping import stopping
    from streams.training_view import nothing_kept, print_metrics, stopped, training_bar

    wanted = _wanted(file, from_topics, by, (item_column, action_column), (until, from_, to), utc_offset_h)
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
    deadline_s = None if max_minutes is None else monotonic() + max_minutes * 60
    torch.set_num_threads(1)  # lanes are shared out among threads of ours: those of torch wait for each other too often
    with stopping() as asked, peers() as together:
        threads = threads or (min(os.cpu_count() or 1, _THREADS) if together.size == 1 else 1)
        said: dict[str, object] = {"name": name, "seed": seed, "threads": threads, "utc_offset_h": utc_offset_h}
        said |= {"leave_after_min": leave_after_min, "until": until, "from": from_, "to": to}
        said |= {"max_minutes": max_minutes, "by": by}
        said |= ({"item_column": item_column, "action_column": action_column} if file else {}) | how
        said["network"] = None if network == "gru" else network
        card = Card(
            name=name,
            network=network,
            utc_offset_h=utc_offset_h,
            leave_after_ms=leave_after_min * 60_000,
            command=_command(file, said),
        )
        try:
            with _place(out):
                read = wanted.opened()
                with training_bar(shown=together.rank == 0) as show:

                    def report(progress: "training.Progress") -> bool:
                        go_on = asked.look() and (deadline_s is None or monotonic() < deadline_s)
                        if together.size > 1:
                            asked.finish()  # torchrun asks twice, and ends by itself what does not end in time
                        show(progress)
                        return go_on

                    try:
                        read_from, data = read()
                        card = msgspec.structs.replace(card, data=data)
                        options = msgspec.convert(how | {"seed": seed, "threads": threads}, Options)
                        model = learn(read_from, card, options, report, folder=out, resume=resume, peers=together)
                    except ValueError as error:
                        raise NextactError(f"{wanted.name}: {error}") from None
                    asked.finish()
                    if together.rank == 0:
                        card = msgspec.structs.replace(model.card, trained_at_ms=time_ns() // 1_000_000)
                        model = save(msgspec.structs.replace(model, card=card), out)
        except (KeyboardInterrupt, SystemExit):  # the first is of a library that takes signals itself
            asked.finish()
            asked.ask()
            typer.echo(nothing_kept(asked.why, out), err=True)
            raise typer.Exit(asked.code) from None
        if together.rank:
            raise typer.Exit(asked.code)
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


def _command(file: Path | None, said: dict[str, object]) -> str:
    """Return the command as it was given, the file by its name alone: a model tells nothing about its machine."""
    options = [
        word
        for option, value in said.items()
        if value is not None
        for word in (f"--{option.replace('_', '-')}", str(value))
    ]
    return shlex.join(["nextact", "train", "--from-topics" if file is None else file.name, *options])


def _wanted(
    file: Path | None,
    from_topics: bool,
    by: "BySequence | None",
    columns: tuple[str, str],
    times: tuple[str | None, str | None, str | None],
    utc_offset_h: int,
) -> "Wanted":
    """Return what to learn from.

    Args:
        file: EVENTS.
        from_topics: whether to read the topics instead.
        by: what a sequence is.
        columns: that stand for the item and the action.
        times: --until of a file, --from and --to of topics.
        utc_offset_h: zone of times that name none.

    Raises:
        SettingsError: options do not go together.
    """
    from streams.errors import SettingsError
    from streams.training_log import Wanted

    until, from_, to = times
    if (file is None) != from_topics:
        raise SettingsError("give a file of events, or --from-topics" + (", not both" if from_topics else ""))
    if from_topics and (until is not None or columns != ("item_id", "action")):
        raise SettingsError("--until, --item-column and --action-column are for a file; topics have --from and --to")
    if not from_topics and (from_ is not None or to is not None):
        raise SettingsError("--from and --to are for --from-topics; a file has --until")
    named = (("--until", until), ("--from", from_), ("--to", to))
    until_ms, from_ms, to_ms = (None if text is None else parse_time(text, utc_offset_h, name) for name, text in named)
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise SettingsError(f"--from {from_} is not before --to {to}")
    return Wanted(file, by, *columns, until_ms, from_ms, to_ms)


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
