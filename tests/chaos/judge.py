"""Whether all is as it should be: what stands on the brokers, held against what the producer had acknowledged."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from chaos.faults import Change
from chaos.final import Record, read, read_changelog
from chaos.fold import histories
from chaos.judged_outputs import judge_dead_letters, judge_outputs
from chaos.judged_rows import judge_rows
from chaos.messages import Message
from chaos.producer import Place
from chaos.reference import Reference
from chaos.silence import Moments, judge_silence
from chaos.verdict import Verdict
from models.predictor import Predictor
from schemas.topics import INPUTS, physical_name
from streams.options import Options
from streams.settings import Settings

_STORIES = 5


def judge(
    settings: Settings,
    acknowledged: Sequence[tuple[Message, Place]],
    models: Sequence[Predictor],
    changes: Sequence[Change],
    options: Options,
    moments: Moments,
) -> Verdict:
    """Hold what is on the brokers against what the producer had acknowledged.

    Args:
        settings: brokers, topics, group.
        acknowledged: what was sent.
        models: that the workers had, the first from the start on.
        changes: from one model to another.
        options: of the pipeline.
        moments: up to when silence was told.
    """
    verdict = Verdict()
    accepted, poison = _inputs(settings, acknowledged, verdict)
    users = histories(accepted)
    log = read_changelog(settings)
    reference = Reference(users, models, options)
    verdict.counts["users"] = len(users)
    verdict.counts["events"] = sum(len(user.events) for user in users.values())
    verdict.counts["changelog_written"], verdict.counts["changelog_left"] = log.written, log.left
    verdict.counts["stale_rows_left"] = log.stale
    verdict.counts["events_late"] = sum(len(user.late) for user in users.values())
    verdict.counts["duplicates_sent"] -= verdict.counts["events"] + verdict.counts["events_late"]
    known, final = judge_rows(users, log, reference, models, changes, verdict)
    asleep = judge_silence(users, known, final, models, changes, moments, verdict)
    judge_outputs(settings, users, {key: known[key].row for key in asleep}, final, asleep, reference, models, verdict)
    judge_dead_letters(settings, poison, verdict)
    for key, partition in verdict.suspects[:_STORIES]:
        verdict.story += log.story(key, partition)
    return verdict


def _inputs(
    settings: Settings, acknowledged: Sequence[tuple[Message, Place]], verdict: Verdict
) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
    """Return the records of the input topics that hold good events, and the others, by topic."""
    good = {(m.topic, m.key, m.value) for m, _ in acknowledged if not m.poison}
    bad = {(m.topic, m.key, m.value) for m, _ in acknowledged if m.poison}
    accepted: dict[str, list[Record]] = {topic: [] for topic in INPUTS}
    poison: dict[str, list[Record]] = {topic: [] for topic in INPUTS}
    sent, there = Counter((m.topic, m.key, m.value) for m, _ in acknowledged), Counter[Any]()
    at: dict[Place, Record] = {}
    for topic in INPUTS:
        for record in read(settings, physical_name(topic, settings.topic_prefix)):
            what = (topic, record.key, record.value)
            there[what] += 1
            at[Place(topic, record.partition, record.offset)] = record
            if what in good:
                accepted[topic].append(record)
            else:
                poison[topic].append(record)
                if what not in bad:
                    verdict.differs("unknown input record", f"{topic}-{record.partition} @ {record.offset}")
    for what, count in (sent - there).items():
        verdict.differs("acknowledged record lost by the brokers", f"{what} {count} times")
    for message, place in acknowledged:
        if place.offset >= 0 and ((r := at.get(place)) is None or (r.key, r.value) != (message.key, message.value)):
            verdict.differs("acknowledged record is another", f"{place}")
    verdict.counts["records_acknowledged"] = len(acknowledged)
    verdict.counts["records_in_input"] = sum(there.values())
    verdict.counts["duplicates_sent"] = sum(map(len, accepted.values()))  # events are taken off below
    return accepted, poison
