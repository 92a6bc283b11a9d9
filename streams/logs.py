"""Logging: one stream on stderr, JSON or for people, ours and the libraries'. Nothing about a user above debug.

Tracebacks come without local variables: those hold user ids, events and passwords.
"""

import logging
import sys
import time
from typing import Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

REPEAT_S = 30.0
"""How often a Kafka client may say the same thing: in an outage it would say it a thousand times."""

_CLIENTS = ("kafka", "aiokafka")
_FRAMEWORK = ("faust", "mode", "streams")  # Faust's services, those that we derive from its own among them


class OncePerInterval(logging.Filter):
    """Let a line of the Kafka clients through once an interval, and all other records always."""

    def __init__(self, interval_s: float = REPEAT_S) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._said_s: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        if record.name.partition(".")[0] not in _CLIENTS:
            return True
        place = (record.name, record.lineno)  # not the text: it holds ports and times that differ
        now_s = time.monotonic()
        if now_s - self._said_s.get(place, -self._interval_s) < self._interval_s:
            return False
        self._said_s[place] = now_s
        return True


def silence_clients() -> None:
    """Keep kafka-python's lines off stderr: in a command that ends soon, what fails is said in one line of ours."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def configure_logging(
    level: Literal["debug", "info", "warning", "error"] = "info",
    style: Literal["auto", "json", "console"] = "auto",
) -> None:
    """Send all logging to stderr.

    Args:
        level: the least that is written. The lines of the Kafka clients and of Faust are at least warnings, but for
        debug.
        style: json is one object a line; auto is console on a terminal, else json.
    """
    for_people = style == "console" or (style == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if for_people
        else [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(OncePerInterval())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in (*_CLIENTS, *_FRAMEWORK):
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING) if level != "debug" else logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
