"""The broker of a benchmark: one that is named, or an Apache Kafka started for it; never the embedded one."""

from contextlib import AbstractContextManager

from streams.broker import open_broker
from streams.errors import BrokerUnavailable
from streams.settings import Settings


def real_broker(settings: Settings) -> AbstractContextManager[tuple[Settings, str]]:
    """Yield what `open_broker` does, but for the embedded broker: its figures would say nothing of Apache Kafka.

    Raises:
        BrokerUnavailable: no broker is named, nor a folder to start one from.
    """
    if not settings.servers and settings.home is None:
        raise BrokerUnavailable(
            "a benchmark needs Apache Kafka: set KAFKA_HOME to a folder of it, or KAFKA_BOOTSTRAP_SERVERS=host:port"
        )
    return open_broker(settings)
