"""The AsyncAPI document: what the code says, true examples, read by AsyncAPI's own parser."""

import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from schemas import asyncapi, page
from schemas.asyncapi import document
from schemas.cloudevents import SPEC_VERSION, message_type, output_headers, unsupported
from schemas.events import Event, Reason, decode_event
from schemas.examples import EXAMPLES, Example
from schemas.json_schema import MESSAGES, schema
from schemas.partitioner import partition
from schemas.reasons import MEANINGS
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS, topics

DOCUMENT = document()
ALL = [
    pytest.param(topic, example, id=f"{topic}: {example.summary}") for topic in EXAMPLES for example in EXAMPLES[topic]
]


def validator(part: dict[str, Any]) -> Draft7Validator:
    return Draft7Validator(part | {"components": DOCUMENT["components"]})


def test_committed_document_and_page_are_what_the_code_says() -> None:
    made = {asyncapi.PATH: asyncapi.encoded(), page.PATH: page.page().encode()}
    for path, content in made.items():
        assert path.read_bytes() == content, f"run `python -m schemas` and commit {path.name}"


def test_every_topic_is_a_channel_with_its_message_key_and_settings() -> None:
    assert set(DOCUMENT["channels"]) == set(topics()) == set(DOCUMENT["components"]["messages"])
    for name, topic in topics().items():
        kafka = DOCUMENT["channels"][name]["bindings"]["kafka"]
        assert (kafka["topic"], kafka["partitions"]) == (topic.name, topic.partitions)
        settings = {
            key: each[0] if isinstance(each, list) else str(each) for key, each in kafka["topicConfiguration"].items()
        }
        assert settings == topic.config
        assert topic.message is not None
        message = DOCUMENT["components"]["messages"][name]
        assert message["payload"]["$ref"].endswith(f"/{topic.message.__name__}")
        assert message["name"] == message_type(name)


def test_every_message_has_an_example_and_every_optional_field_of_an_event_stands_in_one() -> None:
    assert {type(example.message) for examples in EXAMPLES.values() for example in examples} == set(MESSAGES.values())
    assert all(EXAMPLES[topic] for topic in topics())
    shown = {name for topic in INPUTS for example in EXAMPLES[topic] for name in example.value()}
    assert shown == set(Event.__struct_fields__)


@pytest.mark.parametrize(("topic", "example"), ALL)
def test_example_is_valid_by_every_schema_and_read_by_our_decoder(topic: str, example: Example) -> None:
    message = DOCUMENT["components"]["messages"][topic]
    value = example.value()
    Draft202012Validator(schema(type(example.message))).validate(value)
    validator(message["payload"]).validate(value)
    validator(message["headers"]).validate({name: (text or b"").decode() for name, text in example.headers})
    [shown] = [each for each in message["examples"] if each["summary"] == example.summary]
    assert shown["payload"] == value
    if topic in INPUTS:
        read: object = decode_event(msgspec.json.encode(value), example.key, example.headers, topic, value["ts_ms"])
    else:
        read = msgspec.json.decode(msgspec.json.encode(value), type=type(example.message))
    assert read == example.message


@pytest.mark.parametrize(("topic", "example"), ALL)
def test_key_of_an_example_is_that_of_its_topic(topic: str, example: Example) -> None:
    assert example.key is not None
    validator(DOCUMENT["components"]["messages"][topic]["bindings"]["kafka"]["key"]).validate(example.key.decode())
    if topic != DEAD_LETTERS:
        assert example.key.decode() == example.value()[topics()[topic].key]
    if topic in OUTPUTS:
        assert example.value()["based_on"]["partition"] == partition(example.key, topics()[topic].partitions)


@pytest.mark.parametrize("topic", INPUTS)
@given(
    st.dictionaries(
        st.sampled_from(["ce_specversion", "ce_type", "ce_source", "x"]),
        st.sampled_from(["1.0", "0.3", "nextact.views.v1", "nextact.clicks.v2", "com.shop.viewed", "nextact", ""]),
    )
)
def test_schema_of_headers_and_decoder_accept_the_same(topic: str, headers: dict[str, str]) -> None:
    valid = validator(DOCUMENT["components"]["messages"][topic]["headers"]).is_valid(headers)
    assert valid == (unsupported([(name, text.encode()) for name, text in headers.items()], topic) is None)


@pytest.mark.parametrize("topic", OUTPUTS)
def test_schema_of_headers_is_that_of_what_is_written(topic: str) -> None:
    headers = {name: text.decode() for name, text in output_headers(topic, "1", 7)}
    check = validator(DOCUMENT["components"]["messages"][topic]["headers"])
    check.validate(headers)
    assert headers["ce_specversion"] == SPEC_VERSION.decode()
    for name in headers:
        assert not check.is_valid({other: text for other, text in headers.items() if other != name})


def test_every_reason_has_words() -> None:
    assert list(MEANINGS) == list(dict.fromkeys([*MEANINGS, *Reason]))
    assert set(MEANINGS) == set(Reason)
    assert set(DOCUMENT["components"]["messages"][DEAD_LETTERS]["x-reasons"]) == {reason.value for reason in Reason}
    for meaning in MEANINGS.values():
        assert meaning.record
        assert meaning.advice
        assert not meaning.record.endswith(".")
        assert not meaning.advice.endswith(".")


def parsed(node_folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    command = ["node", str(node_folder / "check_asyncapi.js"), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_asyncapi_parser_reads_the_document_without_a_warning(node_folder: Path) -> None:
    found = parsed(node_folder, asyncapi.PATH)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.splitlines()[-1] == "AsyncAPI 3.0.0: 9 channels, 9 messages"


@pytest.mark.parametrize(
    "broken",
    [
        lambda made: made["operations"]["views"].update(action="reads"),
        lambda made: made["components"]["messages"]["views"].update(payload={"$ref": "#/components/schemas/Nothing"}),
        lambda made: made["channels"]["views"]["bindings"]["kafka"].update(partitions="eight"),
    ],
    ids=["action", "reference", "binding"],
)
def test_asyncapi_parser_refuses_a_document_with_a_mistake(broken: Any, node_folder: Path, tmp_path: Path) -> None:
    made = json.loads(asyncapi.encoded())
    broken(made)
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(made))
    found = parsed(node_folder, path)
    assert found.returncode == 1, found.stdout + found.stderr
