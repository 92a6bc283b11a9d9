"""Reading `dead-letters`: which records were refused, and which of them were sent again.

A letter is written once more when its record is sent again, with `replay`: a claim before the record is sent (no
`offset`), and its position after. What is known of a letter so stands behind it in its own partition: every call reads
it in the same order, and the broker deletes the letter first.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

import msgspec
from kafka import TopicPartition

from schemas.dead_letters import REPLAY_OF, DeadLetter, Replay, decode_dead_letter
from schemas.topics import DEAD_LETTERS, physical_name
from streams.clients import admin, consumer
from streams.errors import TopicsMissing
from streams.rights import READ, check_rights
from streams.settings import Settings
from streams.spans import records_of
from streams.topics import CREATE

CLAIM_MS = 120_000
"""For so long a claim keeps others off: longer than a call may take from the claim to the last acknowledgement."""

Identity: TypeAlias = tuple[str, int]
"""Id and timestamp of the refused record: the same for a letter that a worker wrote twice, another in a topic that was
deleted and made anew."""


@dataclass(frozen=True)
class Selection:
    """Which letters are meant; what is not given means all."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()  # of the refused record, with or without prefix
    ids: frozenset[str] = frozenset()
    since_ms: int | None = None  # of `rejected_at_ms`
    until_ms: int | None = None  # not included
    prefix: str = ""

    def __contains__(self, letter: DeadLetter) -> bool:
        """Tell whether a letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or not self.topics.isdisjoint({letter.topic, letter.topic.removeprefix(self.prefix)}))
            and (not self.ids or letter.id in self.ids)
            and (self.since_ms is None or letter.rejected_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.rejected_at_ms < self.until_ms)
        )


@dataclass
class Found:
    """A letter, and what became of its record."""

    letter: DeadLetter
    partition: int  # of dead-letters
    claims: list[Replay] = field(default_factory=list)  # in the order of the log
    sent: Replay | None = None

    def owner(self, claim_ms: int = CLAIM_MS) -> Replay | None:
        """Return the claim in force, None if there is none: the first, until one comes that finds it has run out.

        >>> calls = [Replay(call=call, at_ms=ms, partition=0, after=0) for call, ms in (("a", 0), ("b", 5), ("c", 10))]
        >>> Found(None, 0, calls).owner(10).call, Found(None, 0, calls).owner(11).call
        ('c', 'a')
        """
        owner = None
        for claim in self.claims:
            if owner is None or claim.at_ms - owner.at_ms >= claim_ms:
                owner = claim
        return owner

    @property
    def replay_of(self) -> str | None:
        """The id of the letter that the refused record was sent from, None if a producer sent it."""
        named = [value for name, value in self.letter.headers if name == REPLAY_OF and value is not None]
        return named[-1].decode(errors="replace") if named else None


class LetterLog:
    """The letters that are meant, as far as `dead-letters` has been read. Use it in a `with` block.

    Attributes:
        found: by identity, in the order in which they were read.
        unreadable: number of records that are no letters.
    """

    def __init__(self, settings: Settings, selection: Selection) -> None:
        """Connect.

        Raises:
            BrokerUnavailable, BrokerRefused, TopicsMissing: there is nothing to read from.
        """
        self.found: dict[Identity, Found] = {}
        self.unreadable = 0
        self._selection = selection
        name = physical_name(DEAD_LETTERS, settings.topic_prefix)
        with admin(settings) as client:
            check_rights(client, {name: (READ,)})
        self._client = consumer(settings, auto_offset_reset="earliest")
        numbers = self._client.partitions_for_topic(name)
        if not numbers:
            self._client.close()
            raise TopicsMissing(f"topic {name} is missing. Create it with `{CREATE}`")
        self._settings = settings
        self._read_to: dict[TopicPartition, int] = self._client.beginning_offsets(
            [TopicPartition(name, number) for number in sorted(numbers)]
        )

    def read(self) -> None:
        """Read on to what the broker has now.

        Raises:
            BrokerUnavailable, BrokerRefused: it does not send it.
        """
        ends = self._client.end_offsets(list(self._read_to))
        span = {partition: (start, ends[partition]) for partition, start in self._read_to.items()}
        for record in records_of(self._client, self._settings, span):
            self._add(record.partition, record.value)
        self._read_to = ends

    def _add(self, partition: int, value: bytes | None) -> None:
        try:
            letter = decode_dead_letter(value or b"")
        except msgspec.MsgspecError:
            self.unreadable += 1
            return
        if letter not in self._selection:
            return
        known = self.found.setdefault(identity(letter), Found(msgspec.structs.replace(letter, replay=None), partition))
        if letter.replay is not None and letter.replay.offset is None:
            known.claims.append(letter.replay)
        elif letter.replay is not None and known.sent is None:
            known.sent = letter.replay

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._client.close()


def identity(letter: DeadLetter) -> Identity:
    """Return what tells a refused record from all others."""
    return letter.id, letter.timestamp_ms


def newest(found: Iterable[Found], limit: int | None) -> list[Found]:
    """Return the last `limit` letters, all if that is None, by the time at which they were refused."""
    ordered = sorted(found, key=lambda each: (each.letter.rejected_at_ms, each.letter.partition, each.letter.offset))
    return ordered if limit is None else ordered[-limit:]


def by_reason(found: Iterable[Found]) -> dict[str, tuple[int, int]]:
    """Return for each reason how many letters there are and how many of them were sent again; the most first."""
    all_, sent = Counter[str](), Counter[str]()
    for each in found:
        all_[each.letter.reason] += 1
        sent[each.letter.reason] += each.sent is not None
    return {reason: (count, sent[reason]) for reason, count in all_.most_common()}
