"""`nextact topics`."""

from typing import Annotated

import typer

app = typer.Typer(help="The topics of the pipeline.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The topics of the pipeline."""


@app.command()
def create(
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of each topic of users (NEXTACT_PARTITIONS, 8).")
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, help="Replicas (NEXTACT_REPLICATION_FACTOR, the broker's default).")
    ] = None,
    for_replay: Annotated[
        bool, typer.Option("--for-replay", help="Keep records however old their time is, so that logs can be replayed.")
    ] = False,
) -> None:
    """Create the topics that are missing; those that exist are checked and kept.

    Example:  nextact topics create --partitions 16 --replication-factor 3
    """
    from rich.console import Console
    from rich.table import Table

    from streams.settings import read_settings
    from streams.topics import create_topics

    settings = read_settings(partitions=partitions, replication_factor=replication_factor)
    table = Table("topic", "partitions", "")
    for topic in create_topics(settings, for_replay=for_replay):
        table.add_row(topic.name, str(topic.partitions), topic.status)
    Console().print(table)
