"""`nextact demo`."""

from pathlib import Path
from typing import Annotated

import typer

UNANSWERED = 1


def demo(
    events: Annotated[int | None, typer.Option(min=1, help="End after so many events; otherwise with Ctrl-C.")] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second.")] = 500.0,
    users: Annotated[int, typer.Option(min=1, help="Shoppers at any one time.")] = 1000,
    model: Annotated[
        Path | None, typer.Option(help="Model directory; otherwise a small one is trained once.", show_default=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Keep the last picture in this file, as SVG.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Watch the whole pipeline on this machine: shoppers who shop, and what is predicted for each of them.

    The broker is KAFKA_BOOTSTRAP_SERVERS if that is set (in topics of its own, deleted at the end), else Apache Kafka
    from KAFKA_HOME, else the embedded one. Exit code 0 means that every event was answered.

    Example:  nextact demo --events 20000
    """
    from contextlib import closing

    from msgspec import json
    from rich.console import Console

    from streams.demo import Demo, run_demo
    from streams.demo_view import LiveViewer, TextViewer, in_words
    from streams.logs import configure_logging, silence_clients
    from streams.settings import read_settings

    settings = read_settings()
    configure_logging("error", settings.log_format)
    silence_clients()
    console = Console(stderr=True)
    chosen = Demo(events=events, rate=rate, users=users, model=model)
    if console.is_terminal or picture is not None:
        with closing(LiveViewer(console)) as viewer:
            summary = run_demo(settings, chosen, viewer)
        if picture is not None:
            viewer.save(picture)
    else:
        summary = run_demo(settings, chosen, TextViewer(console))
    if as_json:
        typer.echo(json.encode(summary).decode())
    else:
        typer.echo(in_words(summary))
    if not summary.ok:
        raise typer.Exit(UNANSWERED)
