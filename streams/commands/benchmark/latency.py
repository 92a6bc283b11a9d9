"""`nextact benchmark latency`."""

from pathlib import Path
from typing import Annotated

import typer


def latency(
    rates: Annotated[
        str, typer.Option(help="Events a second, with commas between; `half` is half of the peak.")
    ] = "10,200,half",
    peak: Annotated[
        float | None, typer.Option(min=1, help="Events a second of one worker; otherwise a short backlog tells.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each rate is measured.")] = 20,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds at each rate before that.")] = 3,
    users: Annotated[int, typer.Option(min=1, help="Number of users; the busiest of 50,000 makes 0.16 %.")] = 50_000,
    items: Annotated[int, typer.Option(min=1, help="Number of items that slates are chosen from.")] = 10_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    plot: Annotated[Path | None, typer.Option(help="Draw the histograms to this file: .png or .svg.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """From the moment that an event was due to be sent to the moment that its next action was read, at steady rates.

    The floor is the same sender and reader on the same broker with no worker between them. A sender that is held up
    makes the figures worse, never better. `acknowledged` is the worker's own: record timestamp to outputs and row
    acknowledged, as exact as the edges of its histogram.

    Everything runs on this machine: broker, worker, sender and reader.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark latency --rates 10,200 --plot latency.svg
    """
    import tempfile

    import msgspec
    from rich.console import Console

    from streams.benchmark.histogram import bars, plot_file
    from streams.benchmark.histogram import plot as draw
    from streams.benchmark.latency import EDGES_MS, figures, planned_rates
    from streams.benchmark.latency import latency as measure
    from streams.benchmark.real_broker import real_broker
    from streams.benchmark.report import table
    from streams.settings import read_settings

    console = Console(stderr=True)
    if plot is not None:
        plot_file(plot)
    planned = planned_rates(rates)
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, real_broker(read_settings()) as (settings, broker):
        found = measure(
            settings,
            broker,
            Path(folder),
            rates=planned,
            peak=peak,
            users=users,
            items=items,
            seconds=seconds,
            warm_up_s=warm_up,
            repeat=repeat,
            say=console.print,
        )
    edges = EDGES_MS.tolist()
    panels = {
        f"{rate.rate:,.0f} events/s, {broker}": {"floor": rate.floor.counts, "answer": rate.read.counts}
        for rate in found.rates
    }
    if plot is not None:
        draw(panels, edges, plot)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    shown = Console()
    for (title, series), rate in zip(panels.items(), found.rates, strict=True):
        shown.print(table(figures(rate), title))
        shown.print(bars(series, edges, title))
