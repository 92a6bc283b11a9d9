"""Sending refused records to their topics again: each once, however often and by however many it is asked for.

A claim is written before a record is sent, and its position after. A call that finds a claim leaves the letter alone;
once the claim has run out, it looks whether the record arrived (from the position that the claim names, not through
the whole topic) and sends it if it did not. Of two calls that claim a letter at the same time, the one that the log has
first sends it. The producer never tries again by itself: what has failed may have arrived, and only the look tells.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import msgspec
from kafka import TopicPartition
from kafka.errors import KafkaError

from schemas.dead_letters import Replay, encode_dead_letter
from schemas.topics import DEAD_LETTERS, INPUTS, physical_name
from streams.clients import consumer, producer
from streams.errors import NotDelivered
from streams.letter_arrivals import arrivals
from streams.letter_plan import Correction, Plan, plan
from streams.letters import CLAIM_MS, Found, LetterLog, Selection, identity, newest
from streams.rights import READ, WRITE
from streams.settings import Settings
from streams.topics import check_topics

BATCH = 200
"""Letters that are claimed, sent and marked together."""

DELIVERY_MS = 30_000
"""After so long a record is given up: well before its claim runs out."""

CLAIMED = "claimed by a call that is under way or was interrupted: call again in 2 minutes"
UNSURE = "claimed by a call that was interrupted, and the topic no longer tells whether the record arrived"
NO_LETTER = "there is no such letter"
SENT_BEFORE = "sent before"
_AGAIN = "Look after the broker and call again in 2 minutes: what arrived is not sent again"


@dataclass
class Outcome:
    """What a call did."""

    sent: int = 0
    arrived: int = 0  # sent by a call that was interrupted before it could say so
    not_sent: Counter[str] = field(default_factory=Counter)  # by what speaks against it
    plans: list[Plan] = field(default_factory=list)


def replay_letters(
    settings: Settings,
    selection: Selection,
    correction: Correction,
    *,
    limit: int | None = None,
    even_if_refused: bool = False,
    dry_run: bool = False,
    claim_ms: int = CLAIM_MS,
    report: Callable[[int], None] | None = None,
) -> Outcome:
    """Send the records of letters again that were not sent before.

    Args:
        settings: broker, prefix, partitions, limits.
        selection: which letters; with contents in the correction only those.
        correction: what is changed.
        limit: only the newest so many of those not sent before.
        even_if_refused: also what would be refused again.
        dry_run: only say what would be sent.
        claim_ms: for how long a claim keeps other calls off.
        report: told how many are done.

    Raises:
        BrokerError, TopicsError: there is nothing to read from or nowhere to send to.
        NotDelivered: some were not acknowledged; another call finds out about them.
    """
    check_topics(settings, dict.fromkeys((*INPUTS, DEAD_LETTERS), (READ,) if dry_run else (READ, WRITE)))
    outcome = Outcome()
    with LetterLog(settings, selection) as log:
        log.read()
        meant = [found for found in log.found.values() if _given(found, correction)]
        outcome.not_sent[SENT_BEFORE] = sum(found.sent is not None for found in meant)
        outcome.not_sent[NO_LETTER] = len(correction.contents or {}) - len({found.letter.id for found in meant})
        chosen = newest((found for found in meant if found.sent is None), limit)
        outcome.plans = [
            plan(
                found,
                correction,
                prefix=settings.topic_prefix,
                partitions=settings.partitions,
                limits=settings.limits,
                now_ms=_now_ms(),
                even_if_refused=even_if_refused,
            )
            for found in chosen
        ]
        outcome.not_sent.update(each.obstacle for each in outcome.plans if each.obstacle)
        if not dry_run:
            with _Sender(settings, log, claim_ms) as sender:
                sender.send([each for each in outcome.plans if not each.obstacle], outcome, report)
    outcome.not_sent = +outcome.not_sent  # without zeros
    return outcome


def _given(found: Found, correction: Correction) -> bool:
    return correction.contents is None or found.letter.id in correction.contents


class _Sender:
    def __init__(self, settings: Settings, log: LetterLog, claim_ms: int) -> None:
        self._settings, self._log, self._claim_ms = settings, log, claim_ms
        self._call = uuid.uuid4().hex[:16]
        self._letters = physical_name(DEAD_LETTERS, settings.topic_prefix)
        self._reader = consumer(settings, auto_offset_reset="earliest")
        self._producer = producer(
            settings,
            retries=0,
            enable_idempotence=False,
            delivery_timeout_ms=DELIVERY_MS,
            request_timeout_ms=DELIVERY_MS // 2,
        )

    def send(self, plans: Sequence[Plan], outcome: Outcome, report: Callable[[int], None] | None) -> None:
        free = self._free(plans, outcome)
        for first in range(0, len(free), BATCH):
            self._send_batch(free[first : first + BATCH], outcome)
            if report is not None:
                report(outcome.sent)

    def _free(self, plans: Sequence[Plan], outcome: Outcome) -> list[Plan]:
        """Return the plans whose records no other call sends or has sent; of those that arrived it is written down."""
        held: list[Plan] = []
        run_out: list[Plan] = []
        free: list[Plan] = []
        for each in plans:
            owner = each.found.owner(self._claim_ms)
            (free if owner is None else held if _now_ms() - owner.at_ms < self._claim_ms else run_out).append(each)
        arrived, unsure = arrivals(self._reader, self._settings, [each.found for each in run_out])
        marks = []
        for each in run_out:
            letter = identity(each.found.letter)
            if letter in arrived:
                marks.append(self._mark(each.found, arrived[letter]))
            elif letter not in unsure:
                free.append(each)
        self._settled(marks)
        outcome.arrived += len(marks)
        outcome.not_sent[CLAIMED] += len(held)
        outcome.not_sent[UNSURE] += len(unsure)
        return free

    def _send_batch(self, plans: Sequence[Plan], outcome: Outcome) -> None:
        began_s = time.monotonic()
        ends = self._reader.end_offsets(list({_target(each) for each in plans}))
        claims = [
            Replay(call=self._call, at_ms=_now_ms(), partition=each.partition, after=ends[_target(each)])
            for each in plans
        ]
        problem = self._settled([self._mark(each.found, claim) for each, claim in zip(plans, claims, strict=True)])
        self._log.read()
        took_ms = 1000 * (time.monotonic() - began_s)
        if problem or took_ms > self._claim_ms / 2:
            why = problem or f"it took {took_ms:.0f} ms"
            raise NotDelivered(f"dead-letters could not be written to ({why}), {outcome.sent} records sent. {_AGAIN}")
        mine = [(each, claim) for each, claim in zip(plans, claims, strict=True) if self._is_mine(each.found)]
        outcome.not_sent[CLAIMED] += len(plans) - len(mine)
        sent = [(each, claim, self._sent(each)) for each, claim in mine]
        _wait(future for _, _, future in sent)
        marks, problems = [], []
        for each, claim, future in sent:
            if future.succeeded():
                marks.append(self._mark(each.found, msgspec.structs.replace(claim, offset=future.value.offset)))
            else:
                problems.append(_problem(future))
        outcome.sent += len(marks)
        self._settled(marks)  # one that is lost costs a look
        if problems:
            raise NotDelivered(f"{len(problems)} of {len(sent)} records not acknowledged ({problems[0]}). {_AGAIN}")

    def _is_mine(self, found: Found) -> bool:
        owner = found.owner(self._claim_ms)
        return found.sent is None and owner is not None and owner.call == self._call

    def _sent(self, each: Plan) -> Any:  # noqa: ANN401 - kafka-python's future
        return self._producer.send(each.topic, each.value, each.key, headers=each.headers, partition=each.partition)

    def _mark(self, found: Found, replay: Replay) -> Any:  # noqa: ANN401 - kafka-python's future
        value = encode_dead_letter(msgspec.structs.replace(found.letter, replay=replay))
        return self._producer.send(self._letters, value, found.letter.key, partition=found.partition)

    def _settled(self, marks: Sequence[Any]) -> str:
        """Wait for marks; return what is wrong with the first that was not acknowledged, empty if all were."""
        _wait(marks)
        return next((_problem(mark) for mark in marks if not mark.succeeded()), "")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what is not acknowledged is given up."""
        self._reader.close()
        with suppress(KafkaError):
            self._producer.close(timeout=0 if error is not None else None)


def _target(each: Plan) -> TopicPartition:
    return TopicPartition(each.topic, each.partition)


def _wait(futures: Iterable[Any]) -> None:
    """Wait until each is acknowledged or given up; `flush` fails where a batch is split."""
    for future in futures:
        with suppress(KafkaError):
            future.get(2 * DELIVERY_MS / 1000)


def _problem(future: Any) -> str:  # noqa: ANN401 - kafka-python's
    return (str(future.exception) or type(future.exception).__name__) if future.failed() else "no answer"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
