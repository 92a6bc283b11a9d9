"""`nextact tail`."""

from typing import Annotated

import typer


def tail(
    topic: Annotated[str, typer.Argument(help="A topic of ours, with or without the prefix, such as next-actions.")],
    user: Annotated[str | None, typer.Option(help="Only messages with this key.")] = None,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Start with the oldest message.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    limit: Annotated[int | None, typer.Option("--max", min=1, help="End after so many messages.")] = None,
    until_now: Annotated[bool, typer.Option("--until-now", help="End at what the broker has now.")] = False,
) -> None:
    """Show what flows through a topic, one line a message, until Ctrl-C.

    Example:  nextact tail churn-risk --user u000042 --from-beginning
    """
    from streams.logs import configure_logging, silence_clients
    from streams.settings import read_settings
    from streams.tail import json_line, readable_line
    from streams.tail import tail as read

    line = json_line if as_json else readable_line
    settings = read_settings()
    configure_logging("warning", settings.log_format)
    if until_now:
        silence_clients()
    for message in read(settings, topic, user=user, from_beginning=from_beginning, limit=limit, follow=not until_now):
        typer.echo(line(message))
