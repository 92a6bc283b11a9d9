"""What headers the messages of each topic have: CloudEvents 1.0 in binary mode."""

from typing import Any, TypeAlias

from schemas.cloudevents import CONTENT_TYPE, SPEC_VERSION, message_type
from schemas.dead_letters import REPLAY_OF
from schemas.topics import INPUTS, OUTPUTS

Json: TypeAlias = dict[str, Any]


def header_schema(topic: str) -> Json:
    """Return the schema of the headers of a topic's messages (name without prefix), their values taken as UTF-8."""
    own = message_type(topic)
    if topic in OUTPUTS:
        properties: Json = {
            "ce_specversion": {"const": SPEC_VERSION.decode(), "description": "Version of CloudEvents."},
            "ce_id": {"type": "string", "description": "The message's `id`."},
            "ce_source": {"type": "string", "description": "Who speaks.", "examples": ["/nextact"]},
            "ce_type": {"const": own, "description": "What it is, and in which version of the contract."},
            "ce_time": {"type": "string", "format": "date-time", "description": "`as_of_ms` of the message."},
            "content-type": {"const": CONTENT_TYPE.decode(), "description": "The form of the value."},
        }
        return {"type": "object", "properties": properties, "required": list(properties)}
    if topic not in INPUTS:
        return {"type": "object", "description": "None is written, and none is read.", "properties": {}}
    theirs = {"not": {"pattern": r"^nextact\."}}
    return {
        "type": "object",
        "description": "None is needed; what is not named here is ignored, and kept in a dead letter.",
        "properties": {
            "ce_specversion": {"const": SPEC_VERSION.decode(), "description": "Version of CloudEvents."},
            "ce_id": {"type": "string", "description": "Not read: `event_id` of the value counts."},
            "ce_source": {"type": "string", "description": "Who sends.", "examples": ["/shop/web"]},
            "ce_type": {
                "type": "string",
                "anyOf": [{"const": own}, theirs],
                "description": f"`{own}`, or any type of your own that does not begin with `nextact.`.",
            },
            "content-type": {"type": "string", "description": "Not read: the value is JSON."},
            REPLAY_OF: {"type": "string", "description": "The `id` of the dead letter that was sent again."},
        },
    }
