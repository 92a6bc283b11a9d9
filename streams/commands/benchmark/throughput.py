"""`nextact benchmark throughput`."""

from typing import Annotated

import typer


def throughput(
    events: Annotated[int, typer.Option(min=1000, help="Number of events.")] = 1_000_000,
    users: Annotated[int, typer.Option(min=1, help="Number of users; the busiest of 50,000 makes 0.16 %.")] = 50_000,
    items: Annotated[int, typer.Option(min=1, help="Number of items that slates are chosen from.")] = 10_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Events a second of one worker that reads a backlog: the whole job, slates included, first tenth left out.

    Everything runs on this machine: broker, worker, and the sender before it. Quote ratios of one run, not seconds.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark throughput --events 200000
    """
    import tempfile
    from pathlib import Path

    import msgspec
    from rich.console import Console
    from rich.table import Table

    from streams.benchmark.throughput import throughput as measure
    from streams.broker import open_broker
    from streams.settings import read_settings

    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, open_broker(read_settings()) as (settings, broker):
        summary = measure(
            settings,
            broker,
            Path(folder),
            events=events,
            users=users,
            items=items,
            repeat=repeat,
            say=console.print,
        )
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    table = Table("figure", "median", "least", "most")
    for name, spread in (("events/s", summary.events_per_s), ("CPU us/event", summary.cpu_us_per_event)):
        table.add_row(name, *(f"{value:,.1f}" for value in spread))
    for stage, took in summary.runs[-1].stage_us_per_event.items():
        table.add_row(f"  {stage}, us/event (last run)", f"{took:.1f}", "", "")
    Console().print(table)
