"""One line a message, whatever the message is."""

import time
from itertools import islice
from typing import Any

import msgspec
import pytest

from schemas.dead_letters import dead_letter, encode_dead_letter
from schemas.events import Reason, Rejected
from schemas.outputs import ChurnRisk, NextAction, Position, Recommendation, SlateItem, encode_output
from streams.clients import producer
from streams.errors import SettingsError, TopicsMissing
from streams.settings import Settings, read_settings
from streams.tail import Message, json_line, readable_line, tail
from streams.topics import create_topics

ABOUT: dict[str, Any] = {
    "id": "x",
    "user_id": "u1",
    "as_of_ms": 1_700_000_000_000,
    "valid_until_ms": 1_700_000_001_000,
    "model_version": "m",
    "based_on": Position(0, {"views": 1}),
}


@pytest.fixture
def settings(embedded_broker: str) -> Settings:
    return read_settings(bootstrap_servers=embedded_broker, topic_prefix=f"l{time.time_ns()}.", partitions=2)


def send(settings: Settings, topic: str, *records: tuple[bytes, bytes | None]) -> None:
    with producer(settings) as client:
        for key, value in records:
            client.send(settings.topic_prefix + topic, value, key)
        client.flush()


def test_old_messages_of_one_user_are_shown(settings: Settings) -> None:
    create_topics(settings)
    send(settings, "views", *((b"u%d" % (k % 3), b'{"n":%d}' % k) for k in range(9)))
    found = tail(settings, "views", user="u1", from_beginning=True, follow=False)
    assert [message.value for message in found] == [b'{"n":1}', b'{"n":4}', b'{"n":7}']


def test_only_new_messages_are_shown_without_from_beginning(settings: Settings) -> None:
    create_topics(settings)
    send(settings, "views", (b"u", b"old"))
    assert list(tail(settings, "views", follow=False)) == []


def test_tail_ends_after_so_many(settings: Settings) -> None:
    create_topics(settings)
    send(settings, "views", *((b"u", b"%d" % k) for k in range(5)))
    assert len(list(islice(tail(settings, "views", from_beginning=True, limit=2), 5))) == 2


def test_topic_may_be_named_with_its_prefix(settings: Settings) -> None:
    create_topics(settings)
    assert list(tail(settings, f"{settings.topic_prefix}views", follow=False)) == []


def test_unknown_topic_names_the_known_ones(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="views, clicks, purchases"):
        next(tail(settings, "likes"))


def test_topic_that_is_missing_says_how_to_create_it(settings: Settings) -> None:
    with pytest.raises(TopicsMissing, match="nextact topics create"):
        next(tail(settings, "views"))


@pytest.mark.parametrize(
    ("topic", "value", "line"),
    [
        (
            "next-actions",
            NextAction(
                **ABOUT, actions={"view": 0.6, "leave": 0.4}, purchase_within={"1h": 0.125}, windows={}, totals={}
            ),
            "2023-11-14 22:13:20  u1        view 60.0% leave 40.0% | purchase within 1h 12.5%",
        ),
        (
            "recommendations",
            Recommendation(**ABOUT, slate=[SlateItem("i7", 1, 0.5, 1.0, "predicted")]),
            "2023-11-14 22:13:20  u1        i7 | top-n, none",
        ),
        (
            "churn-risk",
            ChurnRisk(**ABOUT, silent_for={"7d": 0.5}, band="medium", trigger="silence", silent_ms=0),
            "2023-11-14 22:13:20  u1        medium (silence) | no event within 7d 50.0%",
        ),
    ],
)
def test_outputs_are_readable(topic: str, value: NextAction | Recommendation | ChurnRisk, line: str) -> None:
    assert readable_line(Message(topic, 0, 0, 0, b"u1", encode_output(value))) == line


def test_dead_letter_shows_reason_and_position() -> None:
    letter = dead_letter(
        Rejected(Reason.NOT_JSON, "malformed"),
        topic="views",
        partition=3,
        offset=7,
        timestamp_ms=0,
        key=b"u",
        value=b"{",
        headers=[],
        rejected_at_ms=0,
    )
    line = readable_line(Message("dead-letters", 0, 0, 0, b"u", encode_dead_letter(letter)))
    assert line.endswith("not_json: malformed (views-3 at 7)")


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff\x00", b"[1]", b'{"actions":3}', b'{"as_of_ms":1e300}'])
@pytest.mark.parametrize("topic", ["views", "next-actions", "recommendations", "churn-risk", "dead-letters", "items"])
def test_any_bytes_make_one_line(topic: str, value: bytes | None) -> None:
    message = Message(topic, 1, 2, 3, b"\xff", value)
    assert "\n" not in readable_line(message)
    assert msgspec.json.decode(json_line(message))["offset"] == 2
