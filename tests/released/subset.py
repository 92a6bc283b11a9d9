"""Whether all that one schema accepts is accepted by another: for the schemas that msgspec makes of structs."""

from collections.abc import Iterator
from typing import Any, NamedTuple

_LEAST = ("minimum", "minLength", "minItems")
_MOST = ("maximum", "maxLength", "maxItems")


class Schema(NamedTuple):
    """A part of an AsyncAPI document's schemas; the document has what it refers to."""

    part: dict[str, Any]
    document: dict[str, Any]
    all_written: bool = False  # a writer of ours: fields with a default are there too

    def at(self, part: dict[str, Any]) -> "Schema":
        while "$ref" in part:
            found = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        return self._replace(part=part)


def gaps(narrow: Schema, wide: Schema, path: str = "$") -> Iterator[str]:
    """Yield what the narrow schema accepts and the wide one does not, in words; nothing if there is nothing."""
    narrow, wide = narrow.at(narrow.part), wide.at(wide.part)
    theirs = wide.part.get("anyOf", [wide.part])
    for each in narrow.part.get("anyOf", [narrow.part]):
        found = [list(_gaps(narrow.at(each), wide.at(other), path)) for other in theirs]
        if all(found):
            yield from min(found, key=lambda lines: (lines[0].endswith(_OF_ANOTHER_TYPE), len(lines)))


_OF_ANOTHER_TYPE = "of another type"
_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _gaps(narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
    one, other = narrow.part, wide.part
    kinds, taken = _kinds(one), _kinds(other)
    if kinds and taken and not kinds <= taken | ({"integer"} if "number" in taken else set()):
        yield f"{path}: {'/'.join(sorted(kinds))}, not {'/'.join(sorted(taken))}: {_OF_ANOTHER_TYPE}"
        return
    values, allowed = _values(one), _values(other)
    if allowed is not None and (values is None or not values <= allowed):
        yield f"{path}: {sorted(map(str, (values or {'any value'}) - allowed))} is none of {sorted(map(str, allowed))}"
    for name in _LEAST:
        if name in other and one.get(name, float("-inf")) < other[name] and values is None:
            yield f"{path}: {name} {one.get(name)}, was {other[name]}"
    for name in _MOST:
        if name in other and one.get(name, float("inf")) > other[name] and values is None:
            yield f"{path}: {name} {one.get(name)}, was {other[name]}"
    if one.get("contentEncoding") != other.get("contentEncoding"):
        yield f"{path}: another encoding"
    yield from _items(narrow, wide, path)
    yield from _fields(narrow, wide, path)


def _kinds(part: dict[str, Any]) -> set[str]:
    """Return the types of what is accepted; none if that can be anything."""
    if "type" not in part:
        return {_TYPES[type(value)] for value in _values(part) or ()}
    kind = part["type"]
    return set(kind) if isinstance(kind, list) else {kind}


def _values(part: dict[str, Any]) -> set[Any] | None:
    return {part["const"]} if "const" in part else set(part["enum"]) if "enum" in part else None


def _items(narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
    one, other = narrow.part.get("items"), wide.part.get("items")
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield f"{path}: {len(one)} items, were {len(other)}"
        for k, (mine, theirs) in enumerate(zip(one, other, strict=False)):
            yield from gaps(narrow.at(mine), wide.at(theirs), f"{path}[{k}]")
    elif isinstance(one, dict) and isinstance(other, dict):
        yield from gaps(narrow.at(one), wide.at(other), f"{path}[]")
    elif one != other:
        yield f"{path}: items of another form"


def _fields(narrow: Schema, wide: Schema, path: str) -> Iterator[str]:
    mine, theirs = narrow.part.get("properties", {}), wide.part.get("properties", {})
    there = set(mine) if narrow.all_written else set(narrow.part.get("required", ()))
    for name in wide.part.get("required", ()):
        if name not in there:
            yield f"{path}.{name}: must be there and may be missing"
    for name in mine.keys() & theirs.keys():
        yield from gaps(narrow.at(mine[name]), wide.at(theirs[name]), f"{path}.{name}")
    rest, taken = narrow.part.get("additionalProperties"), wide.part.get("additionalProperties")
    if isinstance(taken, dict):
        if isinstance(rest, dict):
            yield from gaps(narrow.at(rest), wide.at(taken), f"{path}.*")
        else:
            yield f"{path}.*: of any form"
