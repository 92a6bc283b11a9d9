"""`nextact topics`."""

from typing import Annotated

import typer

app = typer.Typer(help="The topics of the pipeline.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """The topics of the pipeline."""


@app.command()
def create(
    for_replay: Annotated[
        bool, typer.Option("--for-replay", help="Keep records however old their time is, so that logs can be replayed.")
    ] = False,
) -> None:
    """Create the topics that are missing; those that exist are checked and kept.

    NEXTACT_PARTITIONS and NEXTACT_REPLICATION_FACTOR say how. There are no options for them: workers read
    NEXTACT_PARTITIONS too, and refuse topics that have another number.

    Example:  NEXTACT_PARTITIONS=16 NEXTACT_REPLICATION_FACTOR=3 nextact topics create
    """
    from rich.console import Console
    from rich.table import Table

    from streams.logs import silence_clients
    from streams.settings import read_settings
    from streams.topics import create_topics

    settings = read_settings()
    silence_clients()
    table = Table("topic", "partitions", "")
    for topic in create_topics(settings, for_replay=for_replay):
        table.add_row(topic.name, str(topic.partitions), topic.status)
    Console().print(table)
