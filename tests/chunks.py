"""Chunks handled as the worker handles them, without a broker."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from builders import START_MS, InputRecord, random_predictor
from jsonschema import Draft202012Validator

from models.predictor import Predictor
from schemas.json_schema import DIRECTORY
from schemas.topics import CHURN_RISK, DEAD_LETTERS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.fetched import in_columns
from streams.options import Options
from streams.outputs import Output
from streams.pipeline import Origin, Result, process
from streams.user_rows import UserRows

MODEL = random_predictor()
NOW_MS = START_MS + 10**9
DAY_MS = 86_400_000
VIEWS, CLICKS = Origin("views", 3), Origin("clicks", 3)
SCHEMAS = {
    NEXT_ACTIONS: "next-action",
    RECOMMENDATIONS: "recommendation",
    CHURN_RISK: "churn-risk",
    DEAD_LETTERS: "dead-letter",
}


def handle(
    users: UserRows,
    records: dict[Origin, list[InputRecord]],
    model: Predictor = MODEL,
    options: Options | None = None,
) -> Result:
    """Process a chunk and keep its rows, as the worker does."""
    result = process(in_columns(records), users, model, NOW_MS, options or Options())
    for partition, change in result.changes.items():
        users.write(partition, change.keys, change.rows)
    return result


def by_topic(result: Result) -> dict[str, list[Output]]:
    outputs: dict[str, list[Output]] = defaultdict(list)
    for output in result.records():
        outputs[output.topic].append(output)
    return outputs


def content(users: UserRows) -> dict[tuple[int, bytes], bytes]:
    return {(p, key): rows.read([key]).tobytes() for p, rows in users.partitions.items() for key in rows}


def validate(outputs: Iterable[Output]) -> None:
    """Check the outputs against the committed JSON Schemas."""
    for output in outputs:
        _validator(output.topic).validate(msgspec.json.decode(output.value))


@cache
def _validator(topic: str) -> Any:
    schema = (DIRECTORY / f"{SCHEMAS[topic]}.schema.json").read_bytes()
    return Draft202012Validator(msgspec.json.decode(schema))
