"""The contract as a page to read, `docs/contract.md`: the rules, then every message of the AsyncAPI document."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from schemas.asyncapi import document
from schemas.header_schemas import Json
from schemas.json_schema import MESSAGES
from schemas.rules import filled, table

PATH = Path(__file__).parents[1] / "docs" / "contract.md"

_WIDTH = 116
_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_TOP = """\
<!-- Made by `python -m schemas` from schemas/rules.md and the structs: edit those. -->
# The contract

What producers send, what consumers get, and what both can rely on. For programs the same stands in
[asyncapi.json](../schemas/asyncapi.json) as AsyncAPI 3.0, and each message in [`schemas/json`](../schemas/json) as JSON
Schema, draft 2020-12. All of it is generated from the code.

"""


def page() -> str:
    """Return the page, as Markdown."""
    made = document()
    return _TOP + filled() + "\n## Messages\n\n" + "\n".join(_messages(made))


def _messages(made: Json) -> Iterator[str]:
    names = {kind.__name__: name for name, kind in MESSAGES.items()}
    shown: set[str] = set()
    messages = made["components"]["messages"].items()
    for ref, group in groupby(messages, lambda each: each[1]["payload"]["$ref"]):
        kind, topics = _name(ref), list(group)
        yield f"### {', '.join(f'`{topic}`' for topic, _ in topics)}\n"
        about = dict.fromkeys(message["description"] for _, message in topics)
        yield " ".join([made["components"]["schemas"][kind]["description"], *about]) + "\n"
        yield from _fields(kind, made["components"]["schemas"], shown)
        for topic, message in topics:
            for example in message["examples"]:
                where = f", to `{topic}`" if len(topics) > 1 else ""
                yield f"{example['summary']}{where}:\n\n```json {names[kind]}\n{_wrapped(example['payload'])}\n```\n"


def _fields(kind: str, schemas: Json, shown: set[str], head: str = "field") -> Iterator[str]:
    """Yield the table of a struct's fields, and of the structs in it that were not shown yet."""
    schema, rows = schemas[kind], []
    inner: list[str] = []
    for name, field in schema["properties"].items():
        inner += [each for each in _inner(field) if each not in inner]
        said = field.get("description") or schemas[inner[-1]]["description"]
        rows.append((f"`{name}`", _words(field), "yes" if name in schema["required"] else "", said))
    yield table((head, "form", "must be there", "is"), rows) + "\n"
    for each in inner:
        if each not in shown:
            shown.add(each)
            yield from _fields(each, schemas, shown, each)


def _inner(field: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a schema
    if isinstance(field, dict):
        if "$ref" in field:
            yield _name(field["$ref"])
        for each in field.values():
            yield from _inner(each)
    elif isinstance(field, list):
        for each in field:
            yield from _inner(each)


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]


def _words(field: Json) -> str:
    """Return what form a field has.

    >>> _words({"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}]}), _words({"enum": ["a", "b"]})
    ('text, up to 256 characters, or null', '`a`, `b`')
    """
    if "anyOf" in field:
        return ", or ".join(_words(each) for each in field["anyOf"])
    if "$ref" in field:
        return _name(field["$ref"])
    if "enum" in field:
        return ", ".join("null" if each is None else f"`{each}`" for each in field["enum"])
    kind = field["type"]
    if kind == "array":
        items = field["items"]
        return f"pair of {' and '.join(map(_words, items))}" if isinstance(items, list) else f"list: {_words(items)}"
    if kind == "object":
        return f"object: {_words(field['additionalProperties'])}"
    return "base64" if "contentEncoding" in field else _KINDS[kind] + _range(field)


def _range(field: Json) -> str:
    if field["type"] == "string":
        low, high = field.get("minLength"), field.get("maxLength")
        return "" if high is None and low is None else f", {_between(low, high)} character{'s' * (high != 1)}"
    low, high = field.get("minimum"), field.get("maximum")
    return "" if high is None and low is None else f", {_between(low, high)}"


def _between(low: int | None, high: int | None) -> str:
    if high is None:
        return f"{low} or more"
    return f"up to {high:,}" if low is None else f"{low} to {high:,}"


def _wrapped(value: Json) -> str:
    """Return an object as JSON, as many fields in a line as there is room for."""
    lines, line = [], ""
    for name, cell in value.items():
        text = f'"{name}": {_spaced(cell)}'
        if line and len(line) + len(text) + 3 > _WIDTH:
            lines.append(line)
            line = ""
        line += f", {text}" if line else text
    return "{" + ",\n ".join([*lines, line]) + "}"


def _spaced(cell: Any) -> str:  # noqa: ANN401 - JSON
    text = msgspec.json.format(msgspec.json.encode(cell), indent=0).decode()
    if len(text) <= _WIDTH or not isinstance(cell, list | dict):
        return text
    return text[0] + "},\n  ".join(text[1:-1].split("}, ")) + text[-1]
