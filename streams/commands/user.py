"""`nextact user`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table

    from models.predictor import Predictor
    from streams.one_user import UserRow

WIDTH = 120
"""Of a table that no terminal shows."""

app = typer.Typer(help="One user: what is known, and what moved a prediction.", no_args_is_help=True)

Who = Annotated[str, typer.Argument(metavar="USER", help="User id.")]
ModelDirectory = Annotated[
    Path | None, typer.Option("--model", help="Model directory; else NEXTACT_MODEL.", show_default=False)
]
EventsFile = Annotated[Path | None, typer.Option("--events", help="EVENTS that the user is in.", show_default=False)]
Live = Annotated[bool, typer.Option("--kafka", help="Instead of --events: the row that the workers keep.")]
Until = Annotated[str | None, typer.Option(help="Only events before: ISO, UTC if no zone is given, or ms.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]


@app.callback()
def main() -> None:
    """One user: what is known, and what moved a prediction."""


@app.command()
def explain(
    user: Who,
    model: ModelDirectory = None,
    events: EventsFile = None,
    kafka: Live = False,
    target: Annotated[
        str, typer.Option(help="What is predicted: purchase, view, click, leave, churn, item:ID.")
    ] = "purchase",
    items: Annotated[
        list[str] | None, typer.Option("--item", metavar="ID", help="Tell how likely this item is next; repeatable.")
    ] = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show how much each of a user's last events moved a prediction: what it would be had that event never come.

    The next event's gap is longer then and the windows count one event less; all else is as it was. What a change is
    of: the probability, in points of a percent, and its log-odds. Changes of single events do not add up. They are
    exact for the model, and say nothing about causes in the person.

    Example:  nextact user explain u000042 --model shop-model --events events.parquet --target purchase
    """
    from streams.explanation import chances, check_items, check_target, explained, explanation_tables

    predictor, asked = _predictor(model), list(dict.fromkeys(items or []))
    check_target(target, predictor)
    check_items(asked, "--item", predictor)
    who = _row(user, predictor, events, until, kafka=kafka)
    told = explained(who, predictor, target)
    if asked:
        told["items"] = chances(who, predictor, asked)
    _print(told, explanation_tables, as_json=as_json)


@app.command()
def show(
    user: Who,
    model: ModelDirectory = None,
    events: EventsFile = None,
    kafka: Live = False,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a user: counts in the rolling windows, totals, the last events, items from before them.

    Windows are as of the last event; churn risk is as of then, or of the silence after it that last changed the band.

    Example:  nextact user show u000042 --model shop-model --kafka
    """
    from streams.explanation import known, known_tables

    _print(known(_row(user, _predictor(model), events, until, kafka=kafka)), known_tables, as_json=as_json)


def _predictor(directory: Path | None) -> "Predictor":
    from models.model_directory import load
    from models.predictor import Predictor
    from streams.errors import ModelUnusable
    from streams.settings import read_settings

    named = directory or read_settings().model
    if named is None:
        raise ModelUnusable("no model is named: give --model DIR or set NEXTACT_MODEL; make one with `nextact train`")
    return Predictor(load(named))


def _row(user: str, predictor: "Predictor", events: Path | None, until: str | None, *, kafka: bool) -> "UserRow":
    from streams.commands.log_options import parse_time
    from streams.errors import SettingsError
    from streams.logs import configure_logging, silence_clients
    from streams.one_user import from_changelog, from_log
    from streams.settings import read_settings

    settings = read_settings()
    if kafka == (events is not None):
        raise SettingsError("give --events FILE or --kafka, and not both: where is the user known?")
    if events is not None:
        until_ms = None if until is None else parse_time(until, 0)
        return from_log(events, user, predictor, settings, until_ms)
    if until is not None:
        raise SettingsError("--until goes with --events: the workers keep the last row only")
    configure_logging("warning", settings.log_format)
    silence_clients()
    return from_changelog(settings, user, predictor)


def _print(told: dict[str, Any], tables: "Callable[[dict[str, Any]], Iterator[Table]]", *, as_json: bool) -> None:
    import msgspec
    from rich.console import Console

    if as_json:
        typer.echo(msgspec.json.encode(told).decode())
        return
    width = None if sys.stdout.isatty() else WIDTH
    console = Console(width=width, markup=False, emoji=False)  # an id is shown as it is, [red] or :cat: as well
    for table in tables(told):
        console.print(table)
