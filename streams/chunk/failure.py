"""The end of a worker that cannot go on: at once, with nothing unfinished committed. Restart it and it recovers."""

import logging
import os
from typing import NoReturn

import structlog

EXIT_RESTART = 70
"""Exit code of a worker that wants to be started again (EX_SOFTWARE)."""


def fail_stop(event: str, error: BaseException | None = None, **context: object) -> NoReturn:
    """Log why and end the process with code 70, before anything else can be acknowledged."""
    structlog.get_logger("nextact").critical(event, exc_info=error, exit_code=EXIT_RESTART, **context)
    logging.shutdown()
    os._exit(EXIT_RESTART)
