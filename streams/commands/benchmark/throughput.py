"""`nextact benchmark throughput`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from streams.benchmark.peers import Ours, Peer
    from streams.benchmark.throughput import Measured, Variant


def throughput(
    events: Annotated[int, typer.Option(min=1000, help="Number of events.")] = 1_000_000,
    users: Annotated[int, typer.Option(min=2, help="Number of users; the busiest of 50,000 makes 0.16 %.")] = 50_000,
    slates: Annotated[
        str, typer.Option(help="What to measure, with commas between: `none`, or LENGTHxITEMS for exact slates.")
    ] = "none,20x10000",
    head: Annotated[
        float, typer.Option(min=0, max=0.99, help="Measure also, without slates, one user with this share of events.")
    ] = 0.0,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    peers: Annotated[
        Path | None, typer.Option(help="Folder of the peers' job: run it too, on the same broker.", metavar="DIR")
    ] = None,
    which: Annotated[
        str, typer.Option(help="Which peers; `nextact` is their job on our chunk path, faust gets 200,000 events.")
    ] = "limit,kstreams,kstreams2,quix,nextact,faust",
    peers_python: Annotated[
        Path | None, typer.Option(help="Interpreter that has what the peers need: see `make peers`.", metavar="PYTHON")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Events a second of one worker that reads a backlog: the whole job, the first tenth left out.

    Everything runs on this machine: broker, worker, and the sender before it. Quote ratios of one run, not seconds.
    The limit is the worker's own work on the same events in one loop, with no broker.

    Ratios to the peers are of events/s when both are warm: ours without the first tenth, theirs the last 60 %. Their
    CPU time is that of all events, with the warm-up of the JVM's compiler.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark throughput --events 200000 --slates none
    """
    import tempfile
    from contextlib import nullcontext

    import msgspec
    from rich.console import Console

    from streams.benchmark.peers import PeersJob, with_ratios
    from streams.benchmark.real_broker import real_broker
    from streams.benchmark.throughput import throughput as measure
    from streams.settings import read_settings

    console = Console(stderr=True, highlight=False)
    variants = _variants(slates, head)
    job = PeersJob(peers, which.split(","), peers_python) if peers else None
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, real_broker(read_settings()) as (settings, broker):
        console.print(f"{broker}: {settings.partitions} partitions")
        with job.topics(settings) if job else nullcontext():
            measured = measure(
                settings, Path(folder), variants, events=events, users=users, repeat=repeat, say=console.print
            )
            rows = job.run(settings, Path(folder), events, users, repeat, console.print) if job else []
        rows = with_ratios(rows, _ours(measured, rows))
    if as_json:
        summary = {"broker": broker, "events": events, "users": users, "measured": measured, "peers": rows}
        typer.echo(msgspec.json.encode(summary).decode())
        return
    _show(Console(), broker, measured, rows)


def _variants(slates: str, head: float) -> "list[Variant]":
    from streams.benchmark.throughput import Variant
    from streams.errors import SettingsError

    variants = []
    for asked in slates.split(","):
        size, _, items = asked.strip().partition("x")
        if asked.strip() == "none":
            variants.append(Variant(0, NO_SLATE_ITEMS))
        elif size.isdecimal() and items.isdecimal() and 0 < int(size) <= min(500, int(items)):
            variants.append(Variant(int(size), int(items)))
        else:
            raise SettingsError(f"--slates {asked}: not `none`, nor LENGTHxITEMS as in 20x10000, LENGTH up to 500")
    return [*variants, Variant(0, NO_SLATE_ITEMS, head)] if head else variants


def _ours(measured: "list[Measured]", peers: "list[Peer]") -> "dict[str, Ours]":
    """Return the medians of our whole job without slates, which is warm, and of the peers' job on our chunk path."""
    from streams.benchmark.peers import Ours

    ours = {}
    for each in measured:
        if not each.variant.slate_size and not each.variant.head:
            rate = each.spread("events_per_s").median
            ours["whole job"] = Ours(None, rate, each.spread("cpu_us_per_event").median)
    for peer in peers:
        if peer.name == "nextact" and peer.events_per_s_last_60:
            rates = peer.events_per_s.median, peer.events_per_s_last_60.median
            ours["nextact"] = Ours(*rates, peer.cpu_us_per_event.median)
    return ours


def _show(console: "Console", broker: str, measured: "list[Measured]", peers: "list[Peer]") -> None:
    from streams.benchmark.report import Spread, table

    for each in measured:
        last = each.runs[-1]
        figures: dict[str, Spread | float] = {}
        figures |= {shown: each.spread(name) for name, shown in SHOWN.items() if getattr(last, name) is not None}
        figures |= {shown: each.limit_spread(name) for name, shown in LIMIT_SHOWN.items()}
        figures |= {f"  {name}, us/event (last run)": took for name, took in last.stage_us_per_event.items()}
        console.print(table(figures, title=f"{each.variant}, {broker}"))
    if peers:
        console.print(_measured_table(peers))
        if any(peer.ratios for peer in peers):
            console.print(_ratios_table(peers))


def _measured_table(peers: "list[Peer]") -> "Table":
    from rich.table import Table

    from streams.benchmark.report import number

    shown = Table("peer", title="The peers' job, medians")
    for name in ("events", "events/s", "last 60 %", "CPU us", "MB", "agree"):
        shown.add_column(name, justify="right")
    for peer in peers:
        last_60 = number(peer.events_per_s_last_60.median) if peer.events_per_s_last_60 else ""
        agree = f"{peer.agree:.1%}" if peer.agree is not None else ""
        figures = map(number, (peer.events_per_s.median, peer.cpu_us_per_event.median, peer.memory_mb.median))
        events_per_s, cpu_us, memory_mb = figures
        shown.add_row(peer.name, f"{peer.events:,}", events_per_s, last_60, cpu_us, memory_mb, agree)
    return shown


def _ratios_table(peers: "list[Peer]") -> "Table":
    from rich.table import Table

    from streams.benchmark.report import number

    shown = Table("times as good as", title="Ours, by events/s and by CPU time an event", caption=RATIOS_ARE)
    ours = list(peers[0].ratios)
    for name in ours:
        shown.add_column(f"{name}: warm events/s", justify="right")
        shown.add_column("CPU", justify="right")
    cold = [name for name in ours if peers[0].ratios[name].events_per_s is not None]
    for name in cold:
        shown.add_column(f"{name}: all events/s", justify="right")
    for peer in peers:
        figures = [figure for name in ours for figure in (peer.ratios[name].last_60, peer.ratios[name].cpu)]
        figures += [peer.ratios[name].events_per_s or 0.0 for name in cold]
        shown.add_row(peer.name, *map(number, figures))
    return shown


NO_SLATE_ITEMS = 10_000
RATIOS_ARE = (
    "warm: ours without the first tenth (nextact: its last 60 %) against the last 60 % of a peer's events;"
    " CPU: a peer's holds its whole run, the warm-up of the JVM's compiler too"
)
LIMIT_SHOWN = {"events_per_s": "limit: events/s", "cpu_us_per_event": "limit: CPU us/event"}
SHOWN = {
    "events_per_s": "events/s",
    "cpu_us_per_event": "CPU us/event",
    "share_of_limit": "share of the limit, events/s",
    "cpu_share_of_limit": "share of the limit, CPU",
    "equal_forecasts": "users with forecasts as in order of time",
    "bytes_in_per_event": "bytes in/event",
    "bytes_out_per_event": "bytes out/event",
    "changelog_bytes_per_event": "changelog bytes/event",
    "outputs_per_event": "outputs/event",
    "changelog_records_per_event": "changelog records/event",
    "peak_memory_mb": "peak memory, MB",
}
