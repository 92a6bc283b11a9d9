"""`nextact plan`."""

from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.log_options import positive

if TYPE_CHECKING:
    from rich.table import Table

    from streams.capacity import Plan


def plan(
    events_per_s: Annotated[float, typer.Option(callback=positive, help="Events a second in the busiest hour.")],
    users: Annotated[int, typer.Option(min=1, help="Users that ever come: none is forgotten.")],
    items: Annotated[int, typer.Option(min=1, help="Items that the model knows.")] = 10_000,
    slate_size: Annotated[int, typer.Option(min=0, max=500, help="Items in a slate, 0: none.")] = 10,
    user_id_bytes: Annotated[int, typer.Option(min=1, help="Length of a user's id.")] = 16,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas of each topic.")] = 3,
    retention_days: Annotated[
        float, typer.Option(callback=positive, help="For how long events and outputs are kept.")
    ] = 7.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Work out partitions, workers, memory, disk and network for a load, from what was measured.

    The figures are those of one machine, docs/operations.md names it and has the formulas: run `nextact benchmark` on
    yours before you buy.

    Example:  nextact plan --events-per-s 20000 --users 5000000 --items 50000
    """
    import msgspec
    from rich.console import Console

    from streams.capacity import Load
    from streams.capacity import plan as planned

    made = planned(Load(events_per_s, users, items, slate_size, user_id_bytes, replicas, retention_days))
    if as_json:
        typer.echo(msgspec.json.encode(made).decode())
        return
    Console().print(_table(made, replicas))


def _table(made: "Plan", replicas: int) -> "Table":
    from rich.table import Table

    disk_gib = made.disk_events_gib + made.disk_outputs_gib + made.disk_changelog_gib
    busy = f"{made.worker_busy:.0%} busy; one does {made.worker_events_per_s:,.0f} events/s"
    brokers = f"{made.brokers_out_mb_per_s:,.1f} MB/s out, all together, with {replicas} replicas and one reader"
    disk = f"events {made.disk_events_gib:,.1f}, outputs {made.disk_outputs_gib:,.1f}"
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value, more in (
        ("partitions", f"{made.partitions:,}", "NEXTACT_PARTITIONS, for good"),
        ("workers", f"{made.workers:,}", f"a core each, {busy}"),
        ("memory", f"{made.worker_memory_mib:,.0f} MiB", "each, also while another one is missing"),
        ("network of a worker", f"{made.worker_in_mb_per_s:,.1f} MB/s in", f"{made.worker_out_mb_per_s:,.1f} MB/s out"),
        ("network of the brokers", f"{made.brokers_in_mb_per_s:,.1f} MB/s in", brokers),
        ("disk of the brokers", f"{disk_gib:,.1f} GiB", f"{disk}, changelog {made.disk_changelog_gib:,.1f}"),
        ("a lost worker's users", f"{made.recovery_s:,.1f} s", "until they are read back, after its session"),
    ):
        table.add_row(name, f"[bold]{value}[/bold]", more)
    return table
