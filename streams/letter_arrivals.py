"""Whether records that were claimed did arrive: asked of the input topics, from where the claims say, after a crash."""

from collections.abc import Sequence

import msgspec
from kafka import KafkaConsumer, TopicPartition

from schemas.dead_letters import REPLAY_OF, Replay
from streams.letters import Found, Identity, identity
from streams.settings import Settings
from streams.spans import records_of


def arrivals(
    reader: KafkaConsumer, settings: Settings, claimed: Sequence[Found]
) -> tuple[dict[Identity, Replay], set[Identity]]:
    """Return where the records of claims stand that arrived, and of which that can no longer be told.

    Args:
        reader: reads the input topics; its assignment is lost.
        settings: the broker.
        claimed: letters with claims.

    Returns:
        what is to be marked, by letter; the letters whose topic has deleted records that came after the claim.

    Raises:
        BrokerUnavailable, BrokerRefused: the broker does not send the records.
    """
    since: dict[TopicPartition, int] = {}
    wanted: dict[tuple[TopicPartition, bytes], tuple[Found, Replay]] = {}
    for found in claimed:
        for claim in found.claims:
            tp = _place(found, claim)
            since[tp] = min(since.get(tp, claim.after), claim.after)
            wanted[(tp, found.letter.id.encode())] = (found, claim)
    if not since:
        return {}, set()
    places = list(since)
    begins, ends = reader.beginning_offsets(places), reader.end_offsets(places)
    arrived: dict[Identity, Replay] = {}
    for record in records_of(reader, settings, {tp: (max(since[tp], begins[tp]), ends[tp]) for tp in places}):
        tp = TopicPartition(record.topic, record.partition)
        for name, value in record.headers:
            if name == REPLAY_OF and (tp, value) in wanted:
                found, claim = wanted[(tp, value)]
                here = msgspec.structs.replace(claim, offset=record.offset)
                arrived.setdefault(identity(found.letter), here)
    unsure = {identity(f.letter) for f in claimed if any(c.after < begins[_place(f, c)] for c in f.claims)}
    return arrived, unsure - arrived.keys()


def _place(found: Found, claim: Replay) -> TopicPartition:
    return TopicPartition(found.letter.topic, claim.partition)
