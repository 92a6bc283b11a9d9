"""`nextact simulate`."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    users: Annotated[int, typer.Option(min=1, help="Shoppers at any one time.")] = 1000,
    items: Annotated[int, typer.Option(min=32, help="Items of the shop.")] = 800,
    rate: Annotated[float, typer.Option(min=0.001, help="Events a second while event time lies in the past.")] = 100.0,
    past_days: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=20_000.0,
            help="How far in the past event time starts; 0: now, and then at life's own pace.",
        ),
    ] = 365.0,
    events: Annotated[int | None, typer.Option(min=1, help="End after so many; otherwise with Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another shop.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Send nothing: write the --events before that start to this file.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Let simulated shoppers browse and buy, live on the input topics, until Ctrl-C.

    Their time starts in the past and runs fast until it has caught up: run the worker with NEXTACT_CLOCK=stream. With
    --out it writes a log of what they did before, to learn from; no broker is needed.

    Example:  nextact simulate --users 2000 --rate 200
    """
    import signal
    import time
    from threading import Event

    from msgspec import json

    from models.events_file import write_events
    from models.simulator import Shop, log
    from streams.logs import configure_logging
    from streams.progress import counting
    from streams.settings import read_settings
    from streams.simulate import simulate as send

    settings = read_settings()
    configure_logging("warning", settings.log_format)
    shop = Shop(seed=seed, users=users, items=items)
    start_ms = int((time.time() - past_days * 86_400) * 1000)
    if out is not None:
        if events is None:
            raise typer.BadParameter("--out needs --events: how many to write")
        write_events(log(shop, start_ms, events=events), out)
        summary = {"events": events, "out": str(out)}
        typer.echo(json.encode(summary).decode() if as_json else f"{events:,} events in {out}")
        return
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with counting("simulate", events) as report:
        sent = send(settings, shop, start_ms=start_ms, rate=rate, events=events, report=report, stop=stop)
    if as_json:
        figures = {"events": sent.events, "seconds": round(sent.seconds, 3), "events_per_s": round(sent.events_per_s)}
        typer.echo(json.encode(figures | {"topics": sent.by_topic}).decode())
    else:
        topics = ", ".join(f"{topic} {count:,}" for topic, count in sent.by_topic.items())
        typer.echo(
            f"{sent.events:,} events in {sent.seconds:.1f} s ({sent.events_per_s:,.0f}/s), all acknowledged: {topics}"
        )
