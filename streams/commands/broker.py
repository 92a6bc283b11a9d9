"""`nextact broker`."""

from pathlib import Path
from typing import Annotated

import typer

CHECK_S = 0.5


def broker(
    data_dir: Annotated[
        Path | None, typer.Option(help="Where its data stay between runs; without it they are deleted at the end.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Where it listens; otherwise a free port.", show_default=False)
    ] = None,
) -> None:
    """Run a broker on this machine until Ctrl-C, for trying out: Apache Kafka from KAFKA_HOME, else the embedded one.

    Example:  nextact broker --data-dir ~/nextact-broker --port 9092
    """
    import tempfile
    import time

    from streams.broker import local_broker
    from streams.errors import SettingsError
    from streams.settings import read_settings

    settings = read_settings()
    if settings.servers:
        raise SettingsError(
            f"KAFKA_BOOTSTRAP_SERVERS={settings.bootstrap_servers} names a broker: there is none to start"
        )
    with (
        tempfile.TemporaryDirectory(prefix="nextact-", ignore_cleanup_errors=True) as folder,
        local_broker(settings, data_dir or Path(folder), port) as started,
    ):
        typer.echo(
            f"{started.name} answers. In another terminal: export KAFKA_BOOTSTRAP_SERVERS={started.bootstrap_servers}"
        )
        while True:
            started.check()
            time.sleep(CHECK_S)
