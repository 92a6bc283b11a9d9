"""`nextact dead-letters`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.letter_replay import Outcome
    from streams.letters import Selection
    from streams.settings import Settings

ROWS = 100
"""Letters that the table shows unless told."""

WIDTH = 200
"""Of a table that no terminal shows."""

app = typer.Typer(help="Records that were refused: look, correct, send again.", no_args_is_help=True)

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only of this reason; may be given often.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Only records of this input topic.")]
Ids = Annotated[list[str] | None, typer.Option("--id", help="Only this letter, such as views-3-1042.")]
Since = Annotated[str | None, typer.Option(help="Refused since: 90m, 12h, 7d ago, or an ISO time, UTC.")]
Until = Annotated[str | None, typer.Option(help="Refused before: as --since.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the newest so many.")]


@app.callback()
def main() -> None:
    """Records that were refused: look, correct, send again."""


@app.command("list")
def list_(
    reason: Reasons = None,
    topic: Topics = None,
    id_: Ids = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those not sent again.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One letter a line, all of them; correct it and `replay --from` sends it.")
    ] = False,
) -> None:
    """Show which records were refused and why, how many for each reason, and which were sent again.

    Example:  nextact dead-letters list --reason wrong_type --since 12h
    """
    from rich.console import Console

    from streams.letter_lines import json_line
    from streams.letters import LetterLog, newest
    from streams.logs import configure_logging, silence_clients
    from streams.settings import read_settings

    settings = read_settings()
    configure_logging("warning", settings.log_format)
    silence_clients()
    with LetterLog(settings, _selection(settings, reason, topic, id_, since, until)) as log:
        log.read()
        found = newest((each for each in log.found.values() if not open_only or each.sent is None), limit)
        unreadable = log.unreadable
    if as_json:
        for each in found:
            typer.echo(json_line(each))
        return
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    shown = found if limit is not None else found[-ROWS:]
    if shown:
        console.print(_letters(shown))
    if len(shown) < len(found):
        typer.echo(f"the newest {len(shown)} of {len(found):,}: --limit shows more, --json all")
    console.print(_reasons(found))
    if unreadable:
        typer.echo(f"{unreadable:,} records of the topic are no letters")


@app.command()
def replay(
    reason: Reasons = None,
    topic: Topics = None,
    id_: Ids = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters, if nothing else says which.")] = False,
    corrected: Annotated[
        Path | None,
        typer.Option("--from", help="Only the letters of this file, as they stand there: lines of `list --json`."),
    ] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE in each event; the value as JSON, else as text.")
    ] = None,
    rekey: Annotated[bool, typer.Option("--rekey", help="Key each record by its user_id.")] = False,
    without_header: Annotated[list[str] | None, typer.Option(help="Leave this header out.")] = None,
    even_if_refused: Annotated[
        bool, typer.Option("--even-if-refused", help="Send what would only be refused again, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Send refused records to their topics again, as they came or corrected; each letter once.

    A letter that was sent before is left out, whoever sent it. A record that is refused again becomes a letter again,
    whose header nextact_replay_of names the first.

    Example:  nextact dead-letters replay --reason key_mismatch --rekey --dry-run
    """
    import msgspec

    from streams.errors import SettingsError
    from streams.letter_lines import read_corrections
    from streams.letter_plan import Correction
    from streams.letter_replay import replay_letters
    from streams.logs import configure_logging, silence_clients
    from streams.progress import counting
    from streams.settings import read_settings

    settings = read_settings()
    configure_logging("warning", settings.log_format)
    silence_clients()
    if not (everything or reason or topic or id_ or since or until or limit or corrected):
        raise SettingsError(
            "say which letters: --reason, --topic, --id, --since, --until, --limit or --from; else --all"
        )
    correction = Correction(
        contents=None if corrected is None else read_corrections(corrected),
        fields=dict(map(_field, fields or ())),
        rekey=rekey,
        without_headers=frozenset(without_header or ()),
    )
    with counting("replay", None) as report:
        outcome = replay_letters(
            settings,
            _selection(settings, reason, topic, id_, since, until),
            correction,
            limit=limit,
            even_if_refused=even_if_refused,
            dry_run=dry_run,
            report=report,
        )
    would = sum(not plan.obstacle for plan in outcome.plans)
    if as_json:
        summary = {"sent": outcome.sent, "arrived_before": outcome.arrived, "not_sent": dict(outcome.not_sent)}
        typer.echo(msgspec.json.encode(summary | ({"would_send": would} if dry_run else {})).decode())
        return
    if dry_run:
        _show_plans(outcome)
        typer.echo(f"{would:,} records would be sent")
    else:
        typer.echo(f"{outcome.sent:,} records sent and acknowledged")
    if outcome.arrived:
        typer.echo(f"{outcome.arrived:,} had arrived: sent by a call that was interrupted")
    for why, count in outcome.not_sent.most_common():
        typer.echo(f"{count:,} not sent: {why}")


def _selection(
    settings: "Settings",
    reasons: list[str] | None,
    topics: list[str] | None,
    ids: list[str] | None,
    since: str | None,
    until: str | None,
) -> "Selection":
    import time

    from streams.letters import Selection

    now_ms = time.time_ns() // 1_000_000
    return Selection(
        reasons=frozenset(reasons or ()),
        topics=frozenset(topics or ()),
        ids=frozenset(ids or ()),
        since_ms=None if since is None else parse_moment("--since", since, now_ms),
        until_ms=None if until is None else parse_moment("--until", until, now_ms),
        prefix=settings.topic_prefix,
    )


def parse_moment(option: str, text: str, now_ms: int) -> int:
    """Return a time in ms since 1970.

    Args:
        option: how it was given, for the error.
        text: so long ago (90s, 90m, 12h, 7d), or an ISO date or time, UTC if it names no zone.
        now_ms: the present.

    Raises:
        SettingsError: it is neither.

    >>> parse_moment("--since", "2h", 10_000_000), parse_moment("--since", "1970-01-02", 0)
    (2800000, 86400000)
    """
    from datetime import UTC, datetime

    from streams.errors import SettingsError

    unit_ms = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}.get(text[-1:])
    if unit_ms and text[:-1].isdecimal():
        return now_ms - int(text[:-1]) * unit_ms
    try:
        time = datetime.fromisoformat(text)
        return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise SettingsError(f"{option} {text}: give 90m, 12h or 7d, a date, or a time like 2026-05-01T12:00") from None


def _field(text: str) -> tuple[str, Any]:
    import msgspec

    from streams.errors import SettingsError

    name, sign, value = text.partition("=")
    if not (name and sign):
        raise SettingsError(f"--set {text}: give FIELD=VALUE, such as --set currency=EUR")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _letters(found: list[Any]) -> Any:  # noqa: ANN401 - rich's, imported late
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from streams.letter_lines import row

    table = Table("refused", "record", "key", "reason", "value", "sent again", box=box.SIMPLE)
    for each in found:
        table.add_row(*map(Text, row(each)))  # as text: rich would take brackets for its own marks
    return table


def _reasons(found: list[Any]) -> Any:  # noqa: ANN401 - rich's, imported late
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from streams.letters import by_reason

    table = Table("reason", "letters", "sent again", box=box.SIMPLE)
    for reason, (count, sent) in by_reason(found).items():
        table.add_row(Text(reason), f"{count:,}", f"{sent:,}")
    table.add_row("all", f"{len(found):,}", f"{sum(each.sent is not None for each in found):,}")
    return table


def _show_plans(outcome: "Outcome") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from streams.letter_lines import SHOWN, shown

    table = Table("record", "to", "key", "value", "", box=box.SIMPLE)
    for plan in outcome.plans[-ROWS:]:
        cells = (plan.found.letter.id, f"{plan.topic} {plan.partition}", shown(plan.key, 24), shown(plan.value, SHOWN))
        table.add_row(*map(Text, (*cells, plan.obstacle and f"not sent: {plan.obstacle}")))
    (Console() if sys.stdout.isatty() else Console(width=WIDTH)).print(table)
