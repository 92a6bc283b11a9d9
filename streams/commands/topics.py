"""`nextact topics`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The topics of the pipeline.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The topics of the pipeline."""


@app.command()
def create(
    for_replay: Annotated[
        bool, typer.Option("--for-replay", help="Keep records however old their time is, so that logs can be replayed.")
    ] = False,
) -> None:
    """Create the topics that are missing; those that exist are checked and kept.

    NEXTACT_PARTITIONS and NEXTACT_REPLICATION_FACTOR say how. There are no options for them: workers read
    NEXTACT_PARTITIONS too, and refuse topics that have another number.

    Example:  NEXTACT_PARTITIONS=16 NEXTACT_REPLICATION_FACTOR=3 nextact topics create
    """
    from rich.console import Console
    from rich.table import Table

    from streams.logs import silence_clients
    from streams.settings import read_settings
    from streams.topics import create_topics

    settings = read_settings()
    silence_clients()
    table = Table("topic", "partitions", "")
    for topic in create_topics(settings, for_replay=for_replay):
        table.add_row(topic.name, str(topic.partitions), topic.status)
    Console().print(table)


@app.command()
def save(
    file: Annotated[Path, typer.Argument(help="EVENTS to write: .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz.")],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Begin each partition at its first record of this time: ISO, UTC, or ms."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="End each before its first record of this time; else at its end.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Write the events of the input topics to a file that `replay` sends again, here or to another cluster.

    Records that a worker would refuse are left out and counted; what a producer sent twice stands there twice. Of two
    files, one --to a time and one --from it, each event is in one. Headers are not kept. Needs memory for all events.

    Example:  nextact topics save events-2026-05-01.parquet --from 2026-05-01 --to 2026-05-02
    """
    import time

    from msgspec import json

    from models.event_forms import suffix_of
    from models.events_file import write_events
    from streams.commands.log_options import parse_time
    from streams.errors import SettingsError
    from streams.logs import configure_logging, silence_clients
    from streams.progress import counting
    from streams.settings import read_settings
    from streams.topic_log import read_topics, summary

    suffix_of(file)
    from_ms, to_ms = (
        None if text is None else parse_time(text, 0, name) for text, name in ((from_, "--from"), (to, "--to"))
    )
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise SettingsError(f"--from {from_} is not before --to {to}")
    settings = read_settings()
    configure_logging("warning", settings.log_format)
    silence_clients()
    with counting("reading the input topics", 0) as report:
        found = read_topics(settings, from_ms, to_ms, time.time_ns() // 1_000_000, report, by_place=True)
    write_events(found.events, file)
    if as_json:
        said = {"events": len(found.events), "records": found.records, "refused": dict(found.refused)}
        typer.echo(json.encode(said | {"topics": found.offsets}).decode())
    else:
        typer.echo(f"{file}: {len(found.events):,} events; {summary(found)}")
