"""Samples of every message: what producers may send at the edges of what is allowed, and what a worker writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from builders import START_MS, event_record, random_predictor
from chunks import DAY_MS, VIEWS, handle

from schemas.asyncapi import document, encoded
from schemas.cloudevents import Headers
from schemas.examples import EXAMPLES
from schemas.topics import INPUTS, ITEMS, MODELS
from streams.outputs import Output
from streams.pipeline import rescore
from streams.user_rows import UserRows

FOLDER = Path(__file__).parent


class Sample(msgspec.Struct, frozen=True):
    """One record: headers and key as text, the value as it went over the wire."""

    topic: str
    key: str | None
    headers: dict[str, str]
    value: msgspec.Raw


def versions() -> list[str]:
    return sorted(path.parent.name for path in FOLDER.glob("*/asyncapi.json"))


def recorded_document(version: str) -> Path:
    return FOLDER / version / "asyncapi.json"


def samples(version: str) -> list[Sample]:
    lines = (FOLDER / version / "samples.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Sample) for line in lines]


def written(folder: Path) -> None:
    """Record today's contract in a folder."""
    (folder / "asyncapi.json").write_bytes(encoded())
    lines = [msgspec.json.encode(sample) + b"\n" for sample in (*examples(), *edges(), *outputs())]
    (folder / "samples.jsonl").write_bytes(b"".join(lines))


def examples() -> Iterator[Sample]:
    for topic, of_topic in EXAMPLES.items():
        for example in of_topic:
            yield sample(topic, example.key, example.headers, msgspec.json.encode(example.value()))


def edges() -> Iterator[Sample]:
    """What producers may send: longest and shortest texts, largest and smallest numbers, nulls, unknown fields."""
    schemas = document()["components"]["schemas"]
    for topic, kind in (*dict.fromkeys(INPUTS, "Event").items(), (ITEMS, "Item"), (MODELS, "ModelAnnouncement")):
        schema = schemas[kind]
        low, high = (
            {name: edge(field, least) for name, field in schema["properties"].items()} for least in (True, False)
        )
        nulls = {name: None for name, field in schema["properties"].items() if "anyOf" in field}
        for value in (low, high, low | nulls, high | {"a_field_of_their_own": [1e300, None]}):
            key = str(value[{"Event": "user_id", "Item": "item_id", "ModelAnnouncement": "role"}[kind]])
            yield sample(topic, key.encode(), (), msgspec.json.encode(value))


def edge(field: dict[str, Any], least: bool) -> Any:
    """The least or the greatest value of a field."""
    schema = next((each for each in field.get("anyOf", [field]) if each["type"] != "null"), field)
    if schema["type"] == "string":
        return "\u00fc" * (schema.get("minLength", 0) if least else schema.get("maxLength", 300))
    if schema["type"] == "boolean":
        return least
    greatest = START_MS if schema.get("maximum") is None else schema["maximum"]
    return schema["minimum"] if least else greatest


def outputs() -> Iterator[Sample]:
    """What a worker writes: for events, for silence, for a record that it refuses."""
    users, model = UserRows(), random_predictor()
    records = [event_record("ann", item=f"i{k}", ts_ms=START_MS + k, offset=k) for k in range(20)]
    records.append(event_record("z\u00fc\U0001f600", item='new "item"', ts_ms=START_MS, offset=20))
    records.append(event_record("bob", ts_ms=-1, offset=21))
    made: list[Output] = handle(users, {VIEWS: records}, model).records()
    keys = [b"ann"]
    rows = users.read(VIEWS.partition, keys)
    for days in range(1, 15):
        rows, silent, _ = rescore(VIEWS.partition, keys, rows, model, START_MS + days * DAY_MS)
        made += [output for each in silent for output in each]
    for output in made:
        yield sample(output.topic, output.key, output.headers, output.value)


def sample(topic: str, key: bytes | None, headers: Headers, value: bytes) -> Sample:
    texts = {name: (content or b"").decode() for name, content in headers}
    return Sample(topic, None if key is None else key.decode(), texts, msgspec.Raw(value))
