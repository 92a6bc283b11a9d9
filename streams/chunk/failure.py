"""The end of a worker that cannot go on: at once, with nothing unfinished committed. Restart it and it recovers."""

import logging
import os
from typing import NoReturn

import structlog

EXIT_RESTART = 70
"""Exit code of a worker that wants to be started again (EX_SOFTWARE)."""

EXIT_CONFIGURATION = 2
"""Exit code of a worker that will not get further when it is started again as it is."""

PATIENCE_S = 10.0
"""How long brokers may say what cannot be, before it is taken for what there is.

One that was paused takes itself for the leader for a moment after it wakes, and has not got what others wrote
meanwhile.
"""


def fail_stop(
    event: str, error: BaseException | None = None, *, code: int = EXIT_RESTART, **context: object
) -> NoReturn:
    """Log why and end the process, before anything else can be acknowledged."""
    structlog.get_logger("nextact").critical(event, exc_info=error, exit_code=code, **context)
    logging.shutdown()
    os._exit(code)
