"""`nextact replay`."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    file: Annotated[
        Path, typer.Argument(help="EVENTS: Parquet, CSV or JSON lines with user_id, item_id, action, ts_ms.")
    ],
    speed: Annotated[
        str, typer.Option(help="1 keeps the log's own timing, 60 makes a minute a second, max does not wait.")
    ] = "max",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many events.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Send a log of events to the input topics; each record's time is its event's time.

    The log is old: run the worker with NEXTACT_CLOCK=stream, or it finds that all of its users have been silent since.

    Example:  nextact replay events.parquet --speed 60
    """
    from msgspec import json

    from models.events_file import read_serving_events
    from streams.logs import configure_logging
    from streams.progress import counting
    from streams.replay import replay as send
    from streams.settings import read_settings

    times = parse_speed(speed)
    settings = read_settings()
    configure_logging("warning", settings.log_format)
    events = read_serving_events(file)
    events = events if limit is None else events.head(limit)
    with counting(f"replay {file.name}", len(events)) as report:
        sent = send(settings, events, times, report)
    if as_json:
        summary = {"events": sent.events, "seconds": round(sent.seconds, 3), "events_per_s": round(sent.events_per_s)}
        typer.echo(json.encode(summary | {"topics": sent.by_topic}).decode())
    else:
        topics = ", ".join(f"{topic} {count:,}" for topic, count in sent.by_topic.items())
        typer.echo(
            f"{sent.events:,} events in {sent.seconds:.1f} s ({sent.events_per_s:,.0f}/s), all acknowledged: {topics}"
        )


def parse_speed(text: str) -> float:
    """Return a speed, infinity for `max`.

    Raises:
        SettingsError: it is no number above 0.
    """
    from streams.errors import SettingsError

    try:
        speed = float("inf") if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise SettingsError(f"--speed {text}: give a number above 0, or max")
    return speed
