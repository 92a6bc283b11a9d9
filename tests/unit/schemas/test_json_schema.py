from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from message_examples import EVENT, EXAMPLES

from schemas.events import Event, decode_event
from schemas.json_schema import DIRECTORY, MESSAGES, files, schema
from schemas.topics import topics


def test_committed_files_are_what_the_structs_say() -> None:
    committed = {path: path.read_bytes() for path in DIRECTORY.iterdir()}
    assert committed == files(), "a message changed: run `python -m schemas` and commit schemas/json"


def test_every_message_of_every_topic_has_a_schema() -> None:
    assert {topic.message for topic in topics().values()} == set(MESSAGES.values())


@pytest.mark.parametrize("name", MESSAGES)
def test_schema_is_valid_and_accepts_the_example(name: str) -> None:
    assert type(EXAMPLES[name]) is MESSAGES[name]
    Draft202012Validator.check_schema(schema(MESSAGES[name]))
    validate(name, msgspec.json.decode(msgspec.json.encode(EXAMPLES[name])))


@pytest.mark.parametrize("name", MESSAGES)
def test_schema_accepts_unknown_fields_and_asks_for_the_required_ones(name: str) -> None:
    message = msgspec.json.decode(msgspec.json.encode(EXAMPLES[name]))
    validate(name, message | {"new": [1]})
    required = [field.name for field in msgspec.structs.fields(MESSAGES[name]) if field.required]
    for field in required:
        assert not Draft202012Validator(schema(MESSAGES[name])).is_valid(
            {k: v for k, v in message.items() if k != field}
        )


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_is_described_and_its_examples_are_valid(name: str) -> None:
    for definition in schema(MESSAGES[name])["$defs"].values():
        for field, properties in definition["properties"].items():
            assert "description" in properties or "$ref" in properties, field
            for example in properties.get("examples", []):
                Draft202012Validator(properties).validate(example)


@pytest.mark.parametrize(
    "changes", [{"user_id": ""}, {"item_id": "x" * 257}, {"ts_ms": -1}, {"ts_ms": "1"}, {"price": -1}, {"quantity": 0}]
)
def test_schema_and_decode_refuse_the_same_events(changes: dict[str, Any]) -> None:
    message = msgspec.json.decode(msgspec.json.encode(EVENT)) | changes
    assert not Draft202012Validator(schema(Event)).is_valid(message)
    assert not isinstance(decode_event(msgspec.json.encode(message), b"u-1", [], "views", EVENT.ts_ms), Event)


def validate(name: str, message: object) -> None:
    Draft202012Validator(schema(MESSAGES[name])).validate(message)
