"""`nextact benchmark scaling`."""

from typing import Annotated

import typer


def scaling(
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="How many workers at once; give it several times. [default: 1, 2]")
    ] = None,
    events: Annotated[int, typer.Option(min=1000, help="Number of events.")] = 500_000,
    users: Annotated[int, typer.Option(min=2, help="Number of users; the busiest of 50,000 makes 0.16 %.")] = 50_000,
    items: Annotated[int, typer.Option(min=1, help="Number of items that slates are chosen from.")] = 10_000,
    slate_size: Annotated[int, typer.Option(min=0, max=500, help="Items in a slate; 0: no slates.")] = 10,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Events a second of one worker and of two that share a backlog, first tenth left out.

    Everything runs on this machine: with as many busy cores as it has, workers and broker are in each other's way.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark scaling --events 200000
    """
    import tempfile
    from pathlib import Path

    import msgspec
    from rich.console import Console

    from streams.benchmark.real_broker import real_broker
    from streams.benchmark.report import table
    from streams.benchmark.scaling import figures
    from streams.benchmark.scaling import scaling as measure
    from streams.settings import read_settings

    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, real_broker(read_settings()) as (settings, broker):
        found = measure(
            settings.model_copy(update={"slate_size": slate_size}),
            broker,
            Path(folder),
            workers=workers or [1, 2],
            events=events,
            users=users,
            items=items,
            repeat=repeat,
            say=console.print,
        )
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    Console().print(table(figures(found), f"{broker}: {found.partitions} partitions, {events:,} events"))
