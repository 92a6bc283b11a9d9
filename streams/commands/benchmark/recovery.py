"""`nextact benchmark recovery`."""

from typing import Annotated

import typer


def recovery(
    users: Annotated[int, typer.Option(min=1, help="Number of users in the changelog.")] = 1_000_000,
    repeat: Annotated[int, typer.Option(min=1, help="Repetitions.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
) -> None:
    """Seconds until a worker answers that starts with nothing but a changelog full of users.

    Then 2,000 users spread over all are asked about, and the rows that the worker writes are checked.

    Example:  KAFKA_HOME=/opt/kafka nextact benchmark recovery --users 100000
    """
    import tempfile
    from pathlib import Path

    import msgspec
    from rich.console import Console

    from streams.benchmark.real_broker import real_broker
    from streams.benchmark.recovery import recovery as measure
    from streams.benchmark.report import table
    from streams.settings import read_settings

    say = Console(stderr=True).print
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, real_broker(read_settings()) as (settings, broker):
        summary = measure(settings, broker, Path(folder), users=users, repeat=repeat, say=say)
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    figures = {
        "s to the first answer": summary.first_answer_s,
        "s of them the recovery": summary.recovery_s,
        "users/s": summary.users_per_s,
    }
    Console().print(table(figures, f"{summary.users:,} users, {broker}"))
