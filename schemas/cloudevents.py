"""CloudEvents 1.0 in binary mode: the attributes of a message as Kafka headers.

Source: CloudEvents 1.0.2 and its Kafka protocol binding 1.0.2, section 3.2.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

SPEC_VERSION = b"1.0"
CONTENT_TYPE = b"application/json"
OWN = b"nextact."
"""Start of the types that this contract defines. A producer may send any other type of its own."""

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""Headers of a record as Kafka carries them: a name may stand there often, a value may be null."""


def message_type(topic: str) -> str:
    """Return the type, version included, of the messages of a topic (its name without prefix).

    >>> message_type("next-actions")
    'nextact.next-actions.v1'
    """
    return f"nextact.{topic}.v1"


def output_headers(topic: str, id_: str, time_ms: int, source: str = "/nextact") -> list[tuple[str, bytes]]:
    """Return the headers of a message that we publish.

    Args:
        topic: name without prefix.
        id_: the message's own id; source and id together name a message, so that a consumer can drop duplicates.
        time_ms: the moment that the message is about, ms since 1970.
        source: who speaks, a URI reference.

    >>> output_headers("churn-risk", "a1", 1_700_000_000_123)[3:5]
    [('ce_type', b'nextact.churn-risk.v1'), ('ce_time', b'2023-11-14T22:13:20.123Z')]
    """
    time = datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
    text = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return attributes(topic, id_.encode(), text.encode(), source)


def attributes(topic: str, id_: bytes, time: bytes, source: str = "/nextact") -> list[tuple[str, bytes]]:
    """Return what `output_headers` does, from an id and a time (RFC 3339) that are text already."""
    return [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", id_),
        ("ce_source", source.encode()),
        ("ce_type", message_type(topic).encode()),
        ("ce_time", time),
        ("content-type", CONTENT_TYPE),
    ]


def unsupported(headers: Headers, topic: str) -> str | None:
    """Return why the headers of an input record ask for a version that we do not read, or None.

    No header is needed. Another CloudEvents version, or a `nextact.` type other than this topic's, is refused.

    >>> unsupported([("traceparent", b"00-4bf9"), ("ce_type", b"com.shop.viewed")], "views")
    >>> unsupported([("ce_type", b"nextact.views.v2")], "views")
    'ce_type is not nextact.views.v1'
    """
    for name, value in headers:
        if name == "ce_specversion" and value != SPEC_VERSION:
            return "ce_specversion is not 1.0"
        if name == "ce_type" and value is not None and value.startswith(OWN) and value != message_type(topic).encode():
            return f"ce_type is not {message_type(topic)}"
    return None


def source(headers: Headers) -> str | None:
    """Return who sent an input record, where its headers say so: never raises, odd bytes become U+FFFD.

    >>> source([("ce_source", b"/shop/web")])
    '/shop/web'
    """
    for name, value in headers:
        if name == "ce_source" and value is not None:
            return value.decode(errors="replace")
    return None
