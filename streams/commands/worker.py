"""`nextact worker`: answer events."""

from pathlib import Path
from typing import Annotated

import typer


def worker(
    model: Annotated[Path | None, typer.Option(help="Model directory; else NEXTACT_MODEL.", show_default=False)] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of /metrics; else NEXTACT_METRICS_PORT.", show_default=False)
    ] = None,
) -> None:
    """Run one worker until SIGTERM or Ctrl-C.

    It reads views, clicks and purchases, and writes next-actions, recommendations, churn-risk and dead-letters. Start
    as many as you like, up to the number of partitions: they share the users among them. Exit code 70 means that it
    ended on purpose, to be started again.

    Example: KAFKA_BOOTSTRAP_SERVERS=localhost:9092 nextact worker --model shop-model
    """
    from streams.logs import configure_logging
    from streams.settings import read_settings
    from streams.worker import run

    settings = read_settings(model=model, metrics_port=metrics_port)
    configure_logging(settings.log_level, settings.log_format)
    run(settings)
