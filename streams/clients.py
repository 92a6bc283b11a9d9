"""Clients of kafka-python, and what aiokafka needs to reach the same broker: addresses and security."""

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from streams.errors import BrokerSilent, BrokerUnavailable
from streams.settings import Settings

CONNECT_TIMEOUT_S = 3.0
BOOTSTRAP_TIMEOUT_MS = 5000

BATCH_BYTES = 262_144
"""A producer's batch: large batches are what makes the sends of a pure Python client cheap."""


def admin(settings: Settings) -> KafkaAdminClient:
    """Return an admin client; close it.

    Raises:
        BrokerUnavailable: nothing that speaks Kafka answers.
    """
    with _reachable(settings):
        return KafkaAdminClient(**kafka_arguments(settings))


def producer(settings: Settings, **options: Any) -> KafkaProducer:  # noqa: ANN401 - as kafka-python has them
    """Return a producer that waits for all replicas and partitions by murmur2. Close it.

    It retries without duplicates, but where a broker is killed: then a batch may come twice.

    Raises:
        BrokerUnavailable: nothing that speaks Kafka answers.
    """
    defaults = {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": "lz4",
        "batch_size": BATCH_BYTES,
        "linger_ms": 5,
        "request_timeout_ms": 15_000,
        "delivery_timeout_ms": 60_000,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
    with _reachable(settings):
        return KafkaProducer(**kafka_arguments(settings), **(defaults | options))


def consumer(settings: Settings, **options: Any) -> KafkaConsumer:  # noqa: ANN401 - as kafka-python has them
    """Return a consumer with no subscription and no group unless the options name one. Close it.

    Raises:
        BrokerUnavailable: nothing that speaks Kafka answers.
    """
    defaults = {
        "group_id": None,
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
    with _reachable(settings):
        return KafkaConsumer(**kafka_arguments(settings), **(defaults | options))


def check_broker(settings: Settings) -> None:
    """Make sure that a broker answers, or raise `BrokerUnavailable` within seconds."""
    admin(settings).close()


def kafka_arguments(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of every kafka-python client: where the broker is and how to be let in."""
    arguments = {
        "bootstrap_servers": servers(settings),
        "client_id": settings.group,
        "security_protocol": settings.security_protocol,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "reconnect_backoff_max_ms": 1000,
    }
    return arguments | _security(settings)


def aiokafka_arguments(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of every aiokafka client: where the broker is and how to be let in."""
    arguments = {
        "bootstrap_servers": servers(settings),
        "client_id": settings.group,
        "security_protocol": settings.security_protocol,
    }
    return arguments | _security(settings)


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context of the settings, None if the connection is not encrypted.

    Raises:
        BrokerUnavailable: a certificate or key cannot be used.
    """
    if "SSL" not in settings.security_protocol.split("_"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_cafile)
        context.check_hostname = settings.ssl_check_hostname
        if settings.ssl_certfile is not None:
            password = settings.ssl_password.get_secret_value() if settings.ssl_password else None
            context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile, password)
    except (ssl.SSLError, OSError) as error:
        raise BrokerUnavailable(f"TLS cannot be set up ({error}): check the files that KAFKA_SSL_* name") from None
    return context


def servers(settings: Settings) -> list[str]:
    """Return the addresses of the broker.

    Raises:
        BrokerUnavailable: the settings name none.
    """
    if not settings.servers:
        raise BrokerUnavailable(
            "no broker is named: set KAFKA_BOOTSTRAP_SERVERS=host:port, or start one here with `nextact broker`"
        )
    return settings.servers


def _security(settings: Settings) -> dict[str, Any]:
    arguments: dict[str, Any] = {"ssl_context": ssl_context(settings)}
    if settings.security_protocol.startswith("SASL"):
        arguments["sasl_mechanism"] = settings.sasl_mechanism
        arguments["sasl_plain_username"] = settings.sasl_username
        arguments["sasl_plain_password"] = settings.sasl_password.get_secret_value() if settings.sasl_password else None
    return arguments


@contextmanager
def _reachable(settings: Settings) -> Iterator[None]:
    """Turn every way in which a client cannot reach its broker into one line that names the reason."""
    problems = [problem for problem in map(_connect_problem, servers(settings)) if problem]
    if len(problems) == len(settings.servers):
        raise BrokerUnavailable(
            f"no broker answers: {'; '.join(problems)}. Start it, or correct KAFKA_BOOTSTRAP_SERVERS"
        )
    log, reasons = logging.getLogger("kafka"), _Reasons()
    level = log.level
    log.addHandler(reasons)
    log.setLevel(logging.WARNING)  # it may have been silenced
    log.propagate = False  # what it says while it tries again and again goes into one line
    try:
        yield
    except KafkaError:
        silent = all(isinstance(error, RequestTimedOutError) for error in reasons.errors)
        kind = BrokerSilent if silent else BrokerUnavailable
        raise kind(f"{','.join(settings.servers)} {not_let_in(settings, reasons.errors)}") from None
    finally:
        log.removeHandler(reasons)
        log.setLevel(level)
        log.propagate = True


def not_let_in(settings: Settings, errors: Sequence[Exception]) -> str:
    """Return why a broker does not let us in, and what to do: the most telling of the errors of all attempts."""
    for error in errors:
        if isinstance(error, SaslAuthenticationFailedError):
            return (
                "does not take this user name or password: correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD,"
                f" or KAFKA_SASL_MECHANISM={settings.sasl_mechanism}"
            )
        if isinstance(error, UnsupportedSaslMechanismError):
            return f"does not offer KAFKA_SASL_MECHANISM={settings.sasl_mechanism}: set another"
    said = [str(error).splitlines()[0][:200] if str(error) else type(error).__name__ for error in errors]
    for text in said:
        for sign, advice in _TLS_ADVICE.items():
            if sign in text:
                words = text.rpartition("] ")[2].partition(" (_ssl")[0]
                return advice.format(reason=words.removeprefix("certificate verify failed: ").rstrip("."))
    protocol = settings.security_protocol
    if "SASL" in protocol and any("disconnected" in text for text in said):  # over TLS the broker's answer may get lost
        return (
            "closes the connection when we log in: correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD,"
            f" KAFKA_SASL_MECHANISM={settings.sasl_mechanism} or KAFKA_SECURITY_PROTOCOL={protocol}"
        )
    suspects = ["KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SECURITY_PROTOCOL"]
    suspects += ["KAFKA_SASL_*"] if "SASL" in protocol else []
    suspects += ["KAFKA_SSL_*"] if "SSL" in protocol else []
    return (
        f"accepts connections and does not answer as a Kafka broker over {protocol}"
        f" ({said[-1] if said else 'no reason given'}): correct {' or '.join(suspects)}"
    )


_TLS_ADVICE = {
    "certificate has expired": "shows a certificate that has expired: renew it on the broker",
    "not yet valid": "shows a certificate that is not valid yet: compare the clocks, or renew it on the broker",
    "mismatch": (
        "shows a certificate for another name ({reason}): name the broker in KAFKA_BOOTSTRAP_SERVERS as its"
        " certificate does"
    ),
    "CERTIFICATE_VERIFY_FAILED": (
        "shows a certificate that nobody trusted here has signed ({reason}): name the file of the authority that did"
        " in KAFKA_SSL_CAFILE"
    ),
    "alert": (
        "refuses this client's certificate, or that there is none ({reason}): set KAFKA_SSL_CERTFILE and"
        " KAFKA_SSL_KEYFILE to one that it trusts"
    ),
}
"""What a client's TLS says, and what to do about it; the first that fits."""


class _Reasons(logging.Handler):
    """Keeps why attempts failed: kafka-python tells it to its log, and not to its caller."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        errors = (error for error in arguments if isinstance(error, Exception))
        self.errors += [error for error in errors if not isinstance(error, KafkaTimeoutError)]  # which says nothing


def _connect_problem(server: str) -> str | None:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except socket.gaierror:
        return f"the name {host} does not resolve"
    except TimeoutError:
        return f"{server} does not answer within {CONNECT_TIMEOUT_S:.0f} s"
    except OSError as error:
        return f"{server}: {(error.strerror or str(error)).lower()}"
    return None
