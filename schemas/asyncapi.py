"""The contract as an AsyncAPI 3 document: every topic, message, key and header, with examples, and the rules as text.

It stands committed in `schemas/asyncapi.json`; `python -m schemas` writes it anew.

Source: AsyncAPI 3.0.0 and its Kafka bindings 0.5.0. Payloads are JSON Schema as AsyncAPI has it, draft 07.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from schemas.cloudevents import CONTENT_TYPE, message_type
from schemas.examples import EXAMPLES, Example
from schemas.fields import MAX_LENGTH
from schemas.header_schemas import Json, header_schema
from schemas.reasons import MEANINGS
from schemas.rules import filled
from schemas.topics import (
    CHURN_RISK,
    DEAD_LETTERS,
    INPUTS,
    ITEMS,
    MODELS,
    NEXT_ACTIONS,
    RECOMMENDATIONS,
    Topic,
    topics,
)

PATH = Path(__file__).parent / "asyncapi.json"

VERSION = "1.0"
"""Of the contract: the first number is the `v1` of the types, the second rises with what is added to it."""

_BINDING = "0.5.0"
_REF = "#/components/schemas/{name}"
_LINK = re.compile(r"\[([^\]]+)\]\((?!https:)[^)]*\)")

_ABOUT: dict[str, tuple[str, str]] = {
    "views": ("A shopper looked at an item", "Sent by the shop."),
    "clicks": ("A shopper clicked on an item", "Sent by the shop."),
    "purchases": ("A shopper bought an item", "Sent by the shop."),
    NEXT_ACTIONS: ("What the user does next", "At least once; told apart by `id`."),
    RECOMMENDATIONS: ("What to show the user", "At least once; told apart by `id`."),
    CHURN_RISK: ("How likely it is that the user stays away", "At least once; told apart by `id`."),
    DEAD_LETTERS: ("A record that was refused, as it came, with the reason", "At least once; told apart by `id`."),
    ITEMS: ("An item of the catalogue as it stands now", "No worker reads it yet. A record without value removes it."),
    MODELS: ("Which model is in force", "No worker reads it yet."),
}


def document() -> Json:
    """Return the document.

    >>> document()["channels"]["next-actions"]["messages"]
    {'next-actions': {'$ref': '#/components/messages/next-actions'}}
    """
    all_ = topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "nextact",
            "version": VERSION,
            "description": _LINK.sub(r"\1", filled()),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE.decode(),
        "servers": {
            "yours": {
                "host": "localhost:9092",
                "protocol": "kafka",
                "description": "Your own Kafka: what `KAFKA_BOOTSTRAP_SERVERS` names.",
            }
        },
        "channels": {name: _channel(topic) for name, topic in all_.items()},
        "operations": {name: _operation(name) for name in all_ if name not in (ITEMS, MODELS)},
        "components": {
            "messages": {name: _message(topic) for name, topic in all_.items()},
            "schemas": _schemas(all_),
        },
    }


def encoded() -> bytes:
    """Return what the committed file should hold."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def _channel(topic: Topic) -> Json:
    config: Json = {"cleanup.policy": [topic.config["cleanup.policy"]]}
    if "retention.ms" in topic.config:
        config["retention.ms"] = int(topic.config["retention.ms"])
    title, about = _ABOUT[topic.logical]
    kafka = {"topic": topic.name, "partitions": topic.partitions, "topicConfiguration": config}
    return {
        "address": topic.name,
        "title": title,
        "description": about,
        "messages": {topic.logical: {"$ref": f"#/components/messages/{topic.logical}"}},
        "bindings": {"kafka": kafka | {"bindingVersion": _BINDING}},
    }


def _operation(name: str) -> Json:
    return {
        "action": "receive" if name in INPUTS else "send",
        "title": f"{'Reads' if name in INPUTS else 'Writes'} {name}",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }


def _message(topic: Topic) -> Json:
    assert topic.message is not None  # noqa: S101 - of every topic of the contract
    title, about = _ABOUT[topic.logical]
    message = {
        "name": message_type(topic.logical),
        "title": title,
        "description": about,
        "contentType": CONTENT_TYPE.decode(),
        "headers": header_schema(topic.logical),
        "payload": {"$ref": _REF.format(name=topic.message.__name__)},
        "bindings": {"kafka": {"key": _key(topic), "bindingVersion": _BINDING}},
        "examples": [_example(k, example) for k, example in enumerate(EXAMPLES[topic.logical], 1)],
    }
    if topic.logical == DEAD_LETTERS:
        message["x-reasons"] = {reason.value: meaning._asdict() for reason, meaning in MEANINGS.items()}
    return message


def _key(topic: Topic) -> Json:
    if topic.logical == DEAD_LETTERS:
        return {"type": ["string", "null"], "description": "The key of the refused record: any bytes, or none."}
    said = f"`{topic.key}` as UTF-8: the same as in the value."
    return {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH, "description": said}


def _example(number: int, example: Example) -> Json:
    made: Json = {"name": f"example-{number}", "summary": example.summary}
    if example.headers:
        made["headers"] = {name: (value or b"").decode() for name, value in example.headers}
    return made | {"payload": example.value()}


def _schemas(all_: dict[str, Topic]) -> Json:
    kinds = dict.fromkeys(topic.message for topic in all_.values() if topic.message is not None)
    _, found = msgspec.json.schema_components(kinds, ref_template=_REF)
    return {name: _draft_07(schema) for name, schema in found.items()}


def _draft_07(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a part of a schema as draft 07 writes it: it has other words for tuples.

    >>> _draft_07({"prefixItems": [{"type": "string"}], "items": False})
    {'items': [{'type': 'string'}], 'additionalItems': False}
    """
    if isinstance(schema, list):
        return [_draft_07(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _draft_07(each) for name, each in schema.items() if name != "prefixItems"}
    if "prefixItems" in schema:
        rest = made.pop("items", True)
        made |= {"items": _draft_07(schema["prefixItems"]), "additionalItems": rest}
    return made
