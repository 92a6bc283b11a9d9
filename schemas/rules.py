"""The rules of the contract in words: `schemas/rules.md`, with its tables made from the code."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from schemas.header_schemas import header_schema
from schemas.partitioner import murmur2, partition
from schemas.reasons import MEANINGS
from schemas.topics import DAY_MS, NEXT_ACTIONS, Topic, topics

PATH = Path(__file__).with_name("rules.md")

VECTOR_KEYS = ("u-81723", "21", "foobar", "a-little-bit-long-string", "Zo\u00eb")
PARTITIONS = 8

_KEYS = {"user_id": "user id, UTF-8", "original key": "the refused record's key", "item_id": "item id", "role": "role"}


def filled() -> str:
    """Return the rules, with their tables."""
    text = PATH.read_text(encoding="utf-8")
    for name, made in (
        ("topics", _topics()),
        ("vectors", _vectors()),
        ("reasons", _reasons()),
        ("headers", _headers()),
    ):
        text = text.replace(f"{{{{{name}}}}}", made)
    return text


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown.

    >>> print(table(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def _topics() -> str:
    def cells(topic: Topic) -> tuple[str, str, str]:
        partitions = "1" if topic.partitions == 1 else "`NEXTACT_PARTITIONS`"
        kept = topic.config.get("retention.ms")
        return _KEYS[topic.key], partitions, "compacted" if kept is None else f"{int(kept) // DAY_MS} days"

    groups = groupby(topics(partitions=PARTITIONS).values(), lambda topic: (topic.message, cells(topic)))
    rows = [(", ".join(f"`{topic.logical}`" for topic in group), *key[1]) for key, group in groups]
    return table(("topic", "key", "partitions", "kept"), rows)


def _vectors() -> str:
    def cells(key: str) -> tuple[str, str, str]:
        return f"`{key}`", str(murmur2(key.encode())), str(partition(key.encode(), PARTITIONS))

    return table(("key", "murmur2", "partition"), map(cells, VECTOR_KEYS))


def _reasons() -> str:
    rows = ((f"`{reason.value}`", meaning.record, meaning.advice) for reason, meaning in MEANINGS.items())
    return table(("reason", "the record", "so"), rows)


def _headers() -> str:
    schemas = header_schema(NEXT_ACTIONS)["properties"]
    rows = (
        (f"`{name}`", f"`{each['const']}`" if "const" in each else "", each["description"])
        for name, each in schemas.items()
    )
    return table(("header", "value", "is"), rows)
