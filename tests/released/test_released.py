"""Whoever keeps to a recorded version of the contract is understood by today's code, and understands what it writes."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator

from released.samples import edges, examples, outputs, recorded_document, samples, versions
from released.subset import Schema, gaps
from schemas.asyncapi import VERSION, document
from schemas.dead_letters import decode_dead_letter
from schemas.events import Event, decode_event
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS, topics

READ = [name for name in topics() if name not in (*OUTPUTS, DEAD_LETTERS)]
WRITTEN = [*OUTPUTS, DEAD_LETTERS]
TODAY = document()
OF_VERSIONS = pytest.mark.parametrize("version", versions())


def recorded(version: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(recorded_document(version).read_bytes())
    return found


def message(of: dict[str, Any], topic: str) -> dict[str, Any]:
    found: dict[str, Any] = of["components"]["messages"][topic]
    return found


def payload(of: dict[str, Any], topic: str, all_written: bool = False) -> Schema:
    return Schema(message(of, topic)["payload"], of, all_written)


def lost(old: Schema, new: Schema, path: str = "$") -> list[str]:
    """Fields of a struct, and of those in it, that are gone."""
    mine, theirs = (each.at(each.part).part.get("properties", {}) for each in (old, new))
    found = [f"{path}.{name} is gone" for name in mine if name not in theirs]
    for name in mine.keys() & theirs.keys():
        found += lost(old.at(_struct(mine[name])), new.at(_struct(theirs[name])), f"{path}.{name}")
    return found


def _struct(field: dict[str, Any]) -> dict[str, Any]:
    return next((each for each in field.get("anyOf", []) if "$ref" in each), field.get("items") or field)


def problems(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What in a new contract breaks those who keep to an old one, in words."""
    found = []
    for topic in old["channels"]:
        if topic not in new["channels"]:
            found.append(f"{topic}: the topic is gone")
            continue
        if old["channels"][topic]["address"] != new["channels"][topic]["address"]:
            found.append(f"{topic}: another address")
        was, is_ = message(old, topic), message(new, topic)
        if was["name"] != is_["name"]:
            found.append(f"{topic}: the type is {is_['name']}, was {was['name']}")
        directions = []
        if topic in READ or topic == DEAD_LETTERS:
            directions.append((payload(old, topic), payload(new, topic)))
        if topic in WRITTEN:
            directions.append((payload(new, topic, all_written=True), payload(old, topic)))
        if topic in OUTPUTS:
            directions.append((Schema(is_["headers"], new), Schema(was["headers"], old)))
        keys = Schema(was["bindings"]["kafka"]["key"], old), Schema(is_["bindings"]["kafka"]["key"], new)
        directions.append(keys if topic in READ else keys[::-1])
        for narrow, wide in directions:
            found += [f"{topic} {line}" for line in gaps(narrow, wide)]
        found += [f"{topic} {line}" for line in lost(payload(old, topic), payload(new, topic))]
    reasons = [set(message(of, DEAD_LETTERS)["x-reasons"]) for of in (old, new)]
    found += [f"{DEAD_LETTERS}: reason {code} is gone" for code in sorted(reasons[0] - reasons[1])]
    return found


def interface(part: Any) -> Any:
    """What programs rely on in a document: without words for people and examples."""
    if isinstance(part, list):
        return [interface(each) for each in part]
    if not isinstance(part, dict):
        return part
    words = ("description", "summary", "title", "examples", "info", "x-reasons")
    kept = {name: interface(each) for name, each in part.items() if name not in words or not _is_words(each)}
    return kept | ({"x-reasons": list(part["x-reasons"])} if "x-reasons" in part else {})


def _is_words(part: Any) -> bool:
    """A field of a message may be called `title` or `description` too: then it has a schema."""
    return not (isinstance(part, dict) and ("type" in part or "anyOf" in part))


@OF_VERSIONS
def test_who_keeps_to_a_recorded_version_sends_what_is_read_and_reads_what_is_written(version: str) -> None:
    assert problems(recorded(version), TODAY) == []


@OF_VERSIONS
def test_today_reads_every_recorded_sample(version: str) -> None:
    for sample in samples(version):
        value = msgspec.json.decode(sample.value, type=dict[str, Any])
        read: object
        if sample.topic in INPUTS:
            key, headers = (sample.key or "").encode(), [(n, t.encode()) for n, t in sample.headers.items()]
            read = decode_event(bytes(sample.value), key, headers, sample.topic, value["ts_ms"])
            assert isinstance(read, Event), (sample, read)
        elif sample.topic == DEAD_LETTERS:
            read = decode_dead_letter(bytes(sample.value))
        else:
            read = msgspec.json.decode(sample.value, type=topics()[sample.topic].message)
        kept = msgspec.json.decode(msgspec.json.encode(read))
        fields = Schema({}, recorded(version)).at(message(recorded(version), sample.topic)["payload"])
        for name in value.keys() & fields.part["properties"].keys():
            assert kept[name] == value[name], (sample.topic, name)


@OF_VERSIONS
def test_what_is_written_today_is_read_by_the_recorded_schemas(version: str) -> None:
    old, seen = recorded(version), set()
    for sample in (*outputs(), *examples()):
        if sample.topic not in WRITTEN:
            continue
        seen.add(sample.topic)
        for part, content in (
            (message(old, sample.topic)["payload"], msgspec.json.decode(sample.value)),
            (message(old, sample.topic)["headers"], sample.headers),
        ):
            Draft7Validator(part | {"components": old["components"]}).validate(content)
    assert seen == set(WRITTEN)


def test_samples_have_silence_refusals_and_every_message() -> None:
    all_ = [*examples(), *edges(), *outputs()]
    assert {sample.topic for sample in all_} == set(topics())
    assert any(b'"trigger":"silence"' in bytes(sample.value) for sample in outputs())
    assert any(sample.topic == DEAD_LETTERS for sample in outputs())


def test_this_version_is_recorded_as_it_is() -> None:
    assert VERSION in versions(), "record it: PYTHONPATH=tests python -m released"
    assert interface(recorded(VERSION)) == interface(TODAY), (
        "the contract changed: raise VERSION in schemas/asyncapi.py, run `python -m schemas`, and record it with "
        "`PYTHONPATH=tests python -m released`; a version that was never released may be deleted first"
    )


def fields(made: dict[str, Any], struct: str) -> dict[str, Any]:
    found: dict[str, Any] = made["components"]["schemas"][struct]["properties"]
    return found


def required(made: dict[str, Any], struct: str) -> list[str]:
    found: list[str] = made["components"]["schemas"][struct]["required"]
    return found


def rename(of: dict[str, Any], name: str, other: str) -> None:
    of[other] = of.pop(name)


BREAKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "views $.price is gone": lambda made: rename(fields(made, "Event"), "price", "amount"),
    "clicks $.device: must be there and may be missing": lambda made: required(made, "Event").append("device"),
    "views $.item_id: maxLength 256, was 128": lambda made: fields(made, "Event")["item_id"].update(maxLength=128),
    "views $.price: minimum 0, was 0.01": lambda made: fields(made, "Event")["price"]["anyOf"][0].update(minimum=0.01),
    "views $.ts_ms: integer, not string: of another type": lambda made: fields(made, "Event")["ts_ms"].update(
        type="string"
    ),
    "views $.session_id: null, not string: of another type": lambda made: fields(made, "Event")["session_id"][
        "anyOf"
    ].pop(),
    "items $.price: number, not integer: of another type": lambda made: fields(made, "Item")["price"]["anyOf"][
        0
    ].update(type="integer"),
    "next-actions $.totals is gone": lambda made: rename(fields(made, "NextAction"), "totals", "counts"),
    "next-actions $.totals: must be there and may be missing": lambda made: fields(made, "NextAction").pop("totals"),
    "next-actions $.as_of_ms: number, not integer: of another type": lambda made: fields(made, "NextAction")[
        "as_of_ms"
    ].update(type="number"),
    "next-actions $.actions.*: maximum None, was 1": lambda made: fields(made, "NextAction")["actions"][
        "additionalProperties"
    ].pop("maximum"),
    "recommendations $.slate.rank is gone": lambda made: fields(made, "SlateItem").pop("rank"),
    "next-actions $.based_on.offsets is gone": lambda made: fields(made, "Position").pop("offsets"),
    "churn-risk $.band: ['very high'] is none of ['high', 'low', 'medium']": lambda made: fields(made, "ChurnRisk")[
        "band"
    ]["enum"].append("very high"),
    "dead-letters $.key: another encoding": lambda made: fields(made, "DeadLetter")["key"]["anyOf"][0].pop(
        "contentEncoding"
    ),
    "dead-letters: reason wrong_type is gone": lambda made: message(made, DEAD_LETTERS)["x-reasons"].pop("wrong_type"),
    "churn-risk: the type is nextact.churn-risk.v2, was nextact.churn-risk.v1": lambda made: message(
        made, "churn-risk"
    ).update(name="nextact.churn-risk.v2"),
    "churn-risk $.ce_id: must be there and may be missing": lambda made: message(made, "churn-risk")["headers"][
        "required"
    ].remove("ce_id"),
    "purchases: the topic is gone": lambda made: rename(made["channels"], "purchases", "orders"),
    "purchases: another address": lambda made: made["channels"]["purchases"].update(address="orders"),
}

FITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a new field of an event": lambda made: fields(made, "Event").update(currency_rate={"type": "number"}),
    "a new field of an output": lambda made: fields(made, "ChurnRisk").update(why={"type": "string"}),
    "a longer id of an item": lambda made: fields(made, "Event")["item_id"].update(maxLength=1000),
    "a field that may now be missing": lambda made: required(made, "Event").remove("item_id"),
    "an output that keeps within less": lambda made: fields(made, "ChurnRisk")["band"]["enum"].pop(),
    "a new reason": lambda made: message(made, DEAD_LETTERS)["x-reasons"].update(too_old={}),
    "a new topic": lambda made: made["channels"].update(carts={}),
}


@pytest.mark.parametrize("said", BREAKS)
def test_change_that_breaks_a_reader_or_writer_is_named(said: str) -> None:
    made = copy.deepcopy(TODAY)
    BREAKS[said](made)
    assert said in problems(TODAY, made)


@pytest.mark.parametrize("change", FITS)
def test_change_that_fits_is_let_through(change: str) -> None:
    made = copy.deepcopy(TODAY)
    FITS[change](made)
    assert problems(TODAY, made) == []
