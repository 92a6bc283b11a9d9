"""`nextact broker`."""

from pathlib import Path
from typing import Annotated

import typer


def broker(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data stay between runs; without it they are deleted at the end.")
    ] = None,
) -> None:
    """Run a broker on this machine until Ctrl-C, for trying out: Apache Kafka from KAFKA_HOME, else the embedded one.

    Example:  nextact broker --data-dir ~/nextact-broker
    """
    import threading

    from streams.broker import open_broker
    from streams.errors import SettingsError
    from streams.settings import read_settings

    settings = read_settings()
    if settings.servers:
        raise SettingsError(
            f"KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers} names a broker: there is none to start"
        )
    with open_broker(settings, data_dir) as (opened, name):
        typer.echo(f"{name} answers. In another terminal: export KAFKA_BOOTSTRAP_SERVERS={opened.bootstrap_servers}")
        threading.Event().wait()
