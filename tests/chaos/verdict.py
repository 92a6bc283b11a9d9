"""Whether all is as it should be: rows, outputs, dead letters, each held against the reference."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaos.faults import Change
from chaos.final import Changelog, Record, Row, read, read_changelog
from chaos.messages import MOST_OVERTAKEN, Message
from chaos.producer import Place
from chaos.reference import History, Reference, differing_fields, fold_differences, histories
from models.predictor import Predictor
from models.state import Rows
from schemas.dead_letters import decode_dead_letter
from schemas.topics import DEAD_LETTERS, INPUTS, OUTPUTS, physical_name
from streams.options import Options
from streams.settings import Settings

_SHOWN = 5
_BACKLOG_S = 30.0  # the most that workers may be behind, when they are told to stop
_SLACK_S = 60.0  # by how much a record may come later than it happened


@dataclass
class Verdict:
    """What was found.

    Attributes:
        differences: one line each; empty: all is equal.
        suspects: users and partitions of the first differences, for a search in the logs.
        counts: figures for the report.
        story: what the changelog tells of the first users that differ.
    """

    differences: list[str] = field(default_factory=list)
    suspects: list[tuple[bytes, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)

    def differs(self, kind: str, text: str) -> None:
        """Count a difference; keep the first ones of each kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= _SHOWN:
            self.differences.append(f"{kind}: {text}")


def judge(
    settings: Settings,
    acknowledged: Sequence[tuple[Message, Place]],
    models: Sequence[Predictor],
    changes: Sequence[Change],
    options: Options,
) -> Verdict:
    """Hold what is on the brokers against what the producer had acknowledged.

    Args:
        settings: brokers, topics, group.
        acknowledged: what was sent.
        models: that the workers had, the first from the start on.
        changes: from one model to another.
        options: of the pipeline.
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
    final = _rows(users, log, reference, models, changes, verdict)
    _outputs(settings, users, final, reference, models, verdict)
    _dead_letters(settings, poison, verdict)
    for key, partition in verdict.suspects[:_SHOWN]:
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


def _rows(
    users: Mapping[bytes, History],
    log: Changelog,
    reference: Reference,
    models: Sequence[Predictor],
    changes: Sequence[Change],
    verdict: Verdict,
) -> dict[bytes, Rows]:
    """Hold the rows against fold and reference; return what they should be, by user."""
    verdict.counts["duplicates_sent"] -= verdict.counts["events"]
    for key in users.keys() - log.fenced.keys():
        verdict.differs("row missing", f"user {key!r}")
        verdict.counts["events_lost"] += len(users[key].events)
        verdict.suspects.append((key, users[key].partition))
    for key in log.fenced.keys() - users.keys():
        verdict.differs("row of nobody", f"user {key!r}")
    known = {key: row for key, row in log.fenced.items() if key in users}
    for key, row in known.items():
        _compare_fold(users[key], row, verdict)
        last = log.last[key]
        if fields := differing_fields(last.row, row.row):
            verdict.differs(
                "stale row over the owner's",
                f"user {key!r}, partition {row.partition}: at {last.offset} by {last.writer.hex()[:8]}, the owner's at "
                f"{row.offset} by {row.writer.hex()[:8]}; they differ in {fields}",
            )
            verdict.suspects.append((key, row.partition))
    return _compare_rows(users, known, reference, models, changes, verdict)


def _compare_fold(user: History, row: Row, verdict: Verdict) -> None:
    found = list(fold_differences(user, row.row))
    if not found:
        return
    seen, there = sum(row.row["total"].tolist()), len(user.events)
    verdict.counts["events_lost"] += max(there - seen, 0)
    verdict.counts["events_counted_twice"] += max(seen - there, 0)
    name, ours, theirs = found[0]
    others = [other for other, _, _ in found[1:]]
    verdict.differs(
        "row is not the plain fold",
        f"user {user.key!r}, partition {row.partition}, field {name}: {ours}, should be {theirs}; also {others}",
    )
    verdict.suspects.append((user.key, row.partition))


def _compare_rows(
    users: Mapping[bytes, History],
    known: Mapping[bytes, Row],
    reference: Reference,
    models: Sequence[Predictor],
    changes: Sequence[Change],
    verdict: Verdict,
) -> dict[bytes, Rows]:
    final: dict[bytes, Rows] = {}
    for place, model in enumerate(models):
        mine = [key for key, row in known.items() if int(row.row["model"]) == model.tag]
        expected = reference.rows(model, [users[key] for key in mine])
        open_ = {key: differing_fields(known[key].row, expected[key]) for key in mine}
        open_ = {key: fields for key, fields in open_.items() if fields}
        other = models[1 - place] if len(models) > 1 else model
        into = [change for change in reversed(changes) if change.model == place]
        narrow = [(change, [key for key in open_ if _last_before(users[key], change, changes)]) for change in into]
        for change, candidates in [*narrow, *((change, list(open_)) for change in into)]:
            tries = {key: _numbers(users[key], change) for key in candidates if key in open_}
            for key, row in reference.rows_after_swap(other, model, tries):
                if key not in open_:
                    continue
                fields = differing_fields(known[key].row, row)
                if not fields:
                    del open_[key]
                    expected[key] = row
                    verdict.counts["rows_equal_after_a_change_of_model"] += 1
                elif len(fields) < len(open_[key]):
                    open_[key], expected[key] = fields, row
        for key, fields in open_.items():
            found, name = known[key], fields[0]
            verdict.differs(
                "row is not the reference",
                f"user {key!r}, partition {found.partition}, model {place}, field {name}: {found.row[name].tolist()}, "
                f"should be {expected[key][name].tolist()}; differing: {fields}",
            )
            verdict.suspects.append((key, found.partition))
        final |= expected
        verdict.counts["rows_equal"] += len(mine) - len(open_)
    tags = {model.tag for model in models}
    for key, found in known.items():
        if int(found.row["model"]) not in tags:
            verdict.differs("row of an unknown model", f"user {key!r}: {int(found.row['model'])}")
    return final


def _last_before(user: History, change: Change, changes: Sequence[Change]) -> bool:
    """Tell whether a change is probably the last that a user's row has seen: tried first, as each try costs."""
    last_s = user.events[-1].ts_ms / 1000
    later = (other for other in changes if other.stopping_s > change.stopping_s)
    return change.stopping_s - _SLACK_S < last_s and all(last_s < other.started_s + _SLACK_S for other in later)


def _numbers(user: History, change: Change) -> list[int]:
    """Return how many of a user's events the old model may have seen: none was older than the backlog of an outage."""
    times_s = [event.ts_ms / 1000 for event in user.events]
    low = sum(ts_s < change.stopping_s - _BACKLOG_S for ts_s in times_s) - MOST_OVERTAKEN
    high = sum(ts_s < change.started_s for ts_s in times_s)
    return list(range(max(low, 0), high + 1))


class _Base(msgspec.Struct):
    offsets: dict[str, int]


class _Published(msgspec.Struct):
    id: str
    user_id: str
    as_of_ms: int
    model_version: str
    based_on: _Base


def _outputs(
    settings: Settings,
    users: Mapping[bytes, History],
    final: Mapping[bytes, Rows],
    reference: Reference,
    models: Sequence[Predictor],
    verdict: Verdict,
) -> None:
    expected: dict[tuple[str, bytes], bytes] = {}
    for model in models:
        expected |= reference.outputs(model, {k: row for k, row in final.items() if int(row["model"]) == model.tag})
    decode = msgspec.json.Decoder(_Published).decode
    for topic in OUTPUTS:
        by_id: dict[str, bytes] = {}
        newest: dict[bytes, tuple[tuple[int, ...], int]] = {}  # as a consumer keeps it: offsets, time
        shown: dict[bytes, bytes] = {}
        for record in read(settings, physical_name(topic, settings.topic_prefix)):
            key, value = record.key or b"", record.value or b""
            verdict.counts["outputs_written"] += 1
            made = decode(value)
            if (before := by_id.setdefault(made.id, value)) is not value:
                verdict.counts["outputs_written_again"] += 1
                if before != value:
                    verdict.differs(
                        "output with another's id", f"{topic} {made.id}: {_first_difference(before, value)}"
                    )
                    verdict.suspects.append((key, record.partition))
                continue
            offsets = tuple(made.based_on.offsets[name] for name in INPUTS)
            user = users.get(key)
            if user is None or any(a > b for a, b in zip(offsets, user.applied, strict=True)):
                verdict.differs("output of more than there is", f"{topic} {made.id}")
            had = newest.get(key)
            if had is not None and _older((offsets, made.as_of_ms), had):
                verdict.counts["outputs_out_of_date"] += 1  # a consumer drops it
                continue
            newest[key], shown[key] = (offsets, made.as_of_ms), value
        verdict.counts["outputs_different_ids"] += len(by_id)
        for key in users:
            want = expected.get((topic, key))
            if want is None:
                if key in final:  # else it has no row: said already
                    verdict.differs("no output in the reference", f"{topic} of user {key!r}")
                continue
            made = decode(want)
            have = by_id.get(made.id)
            if have is None:
                last = decode(shown[key]).id if key in shown else "none"
                verdict.differs("output missing", f"{topic} of user {key!r}: {made.id}; the last is {last}")
                verdict.suspects.append((key, users[key].partition))
            elif have != want:
                verdict.differs("output is not the reference", f"{topic} {made.id}: {_first_difference(have, want)}")
                verdict.suspects.append((key, users[key].partition))
            elif shown[key] != want:
                verdict.differs(
                    "output is not a consumer's last",
                    f"{topic} of user {key!r}: {made.id}; the last is {decode(shown[key]).id}",
                )
                verdict.suspects.append((key, users[key].partition))
            else:
                verdict.counts["last_outputs_equal"] += 1


def _older(made: tuple[tuple[int, ...], int], had: tuple[tuple[int, ...], int]) -> bool:
    """Tell whether the contract has a consumer drop an output, by offsets and time, for one that it has."""
    if made[0] == had[0]:
        return made[1] < had[1]
    return all(a <= b for a, b in zip(made[0], had[0], strict=True))


def _first_difference(ours: bytes, theirs: bytes) -> str:
    ours_json, theirs_json = msgspec.json.decode(ours), msgspec.json.decode(theirs)
    for name in theirs_json:
        if ours_json.get(name) != theirs_json[name]:
            return f"field {name}: {ours_json.get(name)}, should be {theirs_json[name]}"
    return f"{ours[:200]!r}, should be {theirs[:200]!r}"


def _dead_letters(settings: Settings, poison: Mapping[str, Sequence[Record]], verdict: Verdict) -> None:
    expected = {
        f"{physical_name(topic, settings.topic_prefix)}-{record.partition}-{record.offset}": record
        for topic, records in poison.items()
        for record in records
    }
    verdict.counts["poison"] = len(expected)
    found: dict[str, bytes] = {}
    for record in read(settings, physical_name(DEAD_LETTERS, settings.topic_prefix)):
        letter = decode_dead_letter(record.value or b"")
        verdict.counts["dead_letters_written"] += 1
        if letter.id in found:
            verdict.counts["dead_letters_written_again"] += 1
        found[letter.id] = record.value or b""
        sent = expected.get(letter.id)
        if sent is None:
            verdict.differs("dead letter of a good record", f"{letter.id} ({letter.reason})")
        elif (letter.key, letter.value) != (sent.key, sent.value):
            verdict.differs("dead letter with other bytes", letter.id)
    for id_ in expected.keys() - found.keys():
        verdict.differs("dead letter missing", id_)
