"""`nextact benchmark memory`."""

from pathlib import Path
from typing import Annotated

import typer


def memory(
    users: Annotated[int, typer.Option(min=1, help="Number of users, at the most.")] = 1_000_000,
    items: Annotated[int, typer.Option(min=1, help="Number of items, at the most.")] = 1_000_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    plot: Annotated[Path | None, typer.Option(help="Draw the cost of an event: a .png or .svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Bytes a user in memory and in the changelog; how the cost of an event grows with users and with items.

    The cost is that of the pipeline alone, in this process: no broker.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark memory --users 100000 --items 10000
    """
    import tempfile

    import msgspec
    from rich.console import Console
    from threadpoolctl import threadpool_limits

    from streams.benchmark.histogram import plot_file
    from streams.benchmark.memory import memory as measure
    from streams.benchmark.memory import plot as draw
    from streams.benchmark.real_broker import real_broker
    from streams.benchmark.report import Spread, table
    from streams.settings import read_settings

    if plot is not None:
        plot_file(plot)
    say = Console(stderr=True).print
    with (
        tempfile.TemporaryDirectory(prefix="nextact-") as folder,
        real_broker(read_settings()) as (settings, broker),
        threadpool_limits(1),
    ):
        summary = measure(settings, broker, Path(folder), users=users, items=items, repeat=repeat, say=say)
    if plot is not None:
        draw(summary, plot)
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    figures: dict[str, Spread | float] = {
        "bytes of a row": summary.row_bytes,
        "bytes a user: the table alone": summary.table_bytes,
        "bytes a user: a worker": summary.worker_bytes,
        "bytes a user: the changelog": summary.changelog_bytes,
    }
    for cost in summary.by_users:
        figures[f"us an event, {cost.known:,} users, as many a chunk"] = cost.same_users_us
    for cost in summary.by_users:
        if cost.as_drawn_us is not None:
            figures[f"us an event, {cost.known:,} users, {cost.users_of_a_chunk:,.0f} a chunk"] = cost.as_drawn_us
    for cost in summary.by_items:
        figures[f"us an event with slates, {cost.known:,} items"] = cost.same_users_us
    Console().print(table(figures, f"{users:,} users, {broker}"))
