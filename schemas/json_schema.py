"""JSON Schemas of every message, for producers and consumers in any language; they stand committed in `schemas/json/`.

`python -m schemas` writes them anew, after a change of a message.
"""

from pathlib import Path
from typing import Any

import msgspec

from schemas.announcements import ModelAnnouncement
from schemas.catalogue import Item
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.outputs import ChurnRisk, NextAction, Recommendation

DIRECTORY = Path(__file__).parent / "json"

MESSAGES: dict[str, type[msgspec.Struct]] = {
    "event": Event,
    "next-action": NextAction,
    "recommendation": Recommendation,
    "churn-risk": ChurnRisk,
    "dead-letter": DeadLetter,
    "item": Item,
    "model-announcement": ModelAnnouncement,
}


def schema(message: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a message.

    >>> schema(Event)["$ref"]
    '#/$defs/Event'
    """
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(message)}


def files() -> dict[Path, bytes]:
    """Return what each committed file should hold."""
    return {
        DIRECTORY / f"{name}.schema.json": msgspec.json.format(msgspec.json.encode(schema(message)), indent=2) + b"\n"
        for name, message in MESSAGES.items()
    }
