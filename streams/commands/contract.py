"""`nextact contract`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.state import Ints
    from streams.contract.record import Record, Unreadable
    from streams.settings import Settings

WRONG = 1
AT_ONCE = 1000

app = typer.Typer(help="What producers and consumers rely on: docs/contract.md.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """What producers and consumers rely on: docs/contract.md."""


@app.command()
def check(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Lines: events as they will be sent, or records as `tail --json` and `kcat -J` write them; - is stdin."
        ),
    ] = None,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Instead of a file: this input topic as it stands; may be given often."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest so many of each partition.")] = None,
    as_topic: Annotated[
        str | None,
        typer.Option("--as", help="views, clicks or purchases: what lines are for that do not say so; else views."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model directory, else NEXTACT_MODEL; only with NEXTACT_UNKNOWN_ITEMS=reject.")
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Show so many findings of each sort; all are counted.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Tell which records a worker would refuse, drop as sent twice or take too late, or find on the wrong partition.

    Ends with code 1 if there are any, with 2 if there is nothing to check, and sends nothing. NEXTACT_PARTITIONS and
    the limits of the settings hold, as for a worker. A line that is an event has no key: that producers key it by
    user_id is taken for granted then.

    Example:  nextact contract check events.jsonl
    """
    import time
    from collections import Counter
    from itertools import islice

    from msgspec import json

    from streams.contract import words
    from streams.contract.check import Check, Finding
    from streams.errors import SettingsError, TopicsEmpty
    from streams.progress import counting
    from streams.settings import read_settings

    settings = read_settings()
    source = _source(settings, file, topic, last, as_topic)
    checking = Check(settings.limits, time.time_ns() // 1_000_000, settings.partitions, _knows(settings, model))
    shown: list[Finding] = []
    kept: Counter[tuple[str, str]] = Counter()
    with source as records, counting("check", None) as report:
        while some := list(islice(records, AT_ONCE)):
            for finding in checking.feed(some):
                if kept[finding.kind, finding.code] < show:
                    kept[finding.kind, finding.code] += 1
                    shown.append(finding)
            report(checking.counts.records)
    if not checking.counts.records:
        if file is None:
            raise TopicsEmpty(f"{', '.join(topic or ())}: the broker has no record there: nothing was checked")
        raise SettingsError(f"{file}: no line stands there: nothing was checked")
    if as_json:
        typer.echo(json.encode(words.as_json(checking.counts, shown)).decode())
    else:
        for finding in shown:
            typer.echo(words.line(finding))
        left_out = checking.counts.findings.total() - len(shown)
        if left_out:
            typer.echo(f"and {left_out:,} more: --show {max(checking.counts.findings.values())} shows all")
        for line in words.summary(checking.counts):
            typer.echo(line)
    if checking.counts.findings:
        raise typer.Exit(WRONG)


@contextmanager
def _source(
    settings: "Settings", file: Path | None, topics: list[str] | None, last: int | None, as_topic: str | None
) -> "Iterator[Iterator[Record | Unreadable]]":
    from schemas.topics import INPUTS
    from streams.errors import SettingsError

    if (file is None) == (not topics):
        raise SettingsError("give a FILE or --topic, and not both: what is to be checked?")
    if (last if file else as_topic) is not None:
        raise SettingsError("--last goes with --topic" if file else "--as goes with a FILE")
    if file is None:
        from streams.contract.topic import records as of_topics
        from streams.logs import configure_logging, silence_clients

        configure_logging("warning", settings.log_format)
        silence_clients()
        yield of_topics(settings, topics or [], last)
        return
    from streams.contract.lines import records as of_lines

    if as_topic is not None and as_topic not in INPUTS:
        raise SettingsError(f"--as {as_topic}: give one of {', '.join(INPUTS)}")
    if file.suffix in (".parquet", ".csv", ".gz"):
        raise SettingsError(
            f"{file}: give lines of JSON; other EVENTS files are checked when `nextact replay` reads them"
        )
    if str(file) == "-":
        yield of_lines(sys.stdin.buffer, "stdin", as_topic, settings.topic_prefix)
        return
    with file.open("rb") as lines:
        yield of_lines(lines, str(file), as_topic, settings.topic_prefix)


def _knows(settings: "Settings", model: Path | None) -> "Callable[[Ints], Sequence[bool]] | None":
    """Return whether the model knows items, None where workers take those that it does not know."""
    if settings.unknown_items != "reject":
        return None
    from models.model_directory import load
    from models.predictor import Predictor
    from streams.errors import ModelUnusable

    named = model or settings.model
    if named is None:
        raise ModelUnusable("NEXTACT_UNKNOWN_ITEMS=reject needs a model: give --model DIR or set NEXTACT_MODEL")
    predictor = Predictor(load(named))
    return lambda items: predictor.knows(items).tolist()
