"""The end of a worker that cannot go on: at once, with nothing unfinished committed. Restart it and it recovers."""

import logging
import os
from typing import NoReturn

import structlog

EXIT_RESTART = 70
"""Exit code of a worker that wants to be started again (EX_SOFTWARE)."""

EXIT_CONFIGURATION = 2
"""Exit code of a worker that will not get further when it is started again as it is."""


def fail_stop(
    event: str, error: BaseException | None = None, *, code: int = EXIT_RESTART, **context: object
) -> NoReturn:
    """Log why and end the process, before anything else can be acknowledged."""
    structlog.get_logger("nextact").critical(event, exc_info=error, exit_code=code, **context)
    logging.shutdown()
    os._exit(code)
