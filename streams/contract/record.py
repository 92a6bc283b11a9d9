"""A record to be checked, and where it stands; or what stands there in its place."""

from dataclasses import dataclass
from typing import NamedTuple

from schemas.cloudevents import Headers


class Place(NamedTuple):
    """A line of a file, or a position in a topic.

    >>> print(Place("events.jsonl", 7)), print(Place("views", 1042, 3))
    events.jsonl:7
    views-3-1042
    (None, None)
    """

    name: str  # of the file, or the topic as the broker calls it
    number: int  # of the line, from 1, or the offset
    partition: int | None = None  # None: it is a line

    def __str__(self) -> str:
        if self.partition is None:
            return f"{self.name}:{self.number}"
        return f"{self.name}-{self.partition}-{self.number}"  # as the ids of dead letters


@dataclass(frozen=True)
class Record:
    """What is sent, as far as that is known."""

    place: Place
    topic: str  # name without prefix
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    partition: int | None = None  # where it stands; None: not known
    keyed: bool = True  # False: only the value is known, and its key is taken to be right


FOREIGN_TOPIC, NO_RECORD = "foreign_topic", "no_record"
"""Why a line cannot be checked."""


class Unreadable(NamedTuple):
    """A line that is a record, and does not tell what would be sent where."""

    place: Place
    code: str  # FOREIGN_TOPIC or NO_RECORD
    why: str
