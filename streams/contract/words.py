"""Findings in plain words, and as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from models.state import RING
from schemas.events import Event, Reason
from schemas.reasons import MEANINGS
from schemas.topics import TOPIC_OF_ACTION
from streams.contract.check import COUNTED_TWICE, DROPPED, OTHER_TIME, Counts, Finding, Kind
from streams.contract.lines import ACTION
from streams.contract.plain import plain
from streams.contract.record import FOREIGN_TOPIC

_NAMES = {kind: kind.value.replace("_", " ") for kind in Kind}
_MOST_FIELDS = 10


def line(finding: Finding) -> str:
    """Return a finding as one line: where, what, and what to do about it."""
    return f"{finding.place}: {_NAMES[finding.kind]}{_code(finding)}: {said(finding)}; {advice(finding)}"


def said(finding: Finding) -> str:
    """Return what is the case with the record."""
    first = "one before" if finding.first is None else str(finding.first)
    match finding.kind:
        case Kind.REJECTED | Kind.UNREADABLE:
            return plain(finding.detail)
        case Kind.WRONG_PARTITION:
            return f"it stands on partition {finding.stands} and murmur2 puts its key on {finding.belongs}"
        case Kind.LATE:
            return f"it belongs before the user's last {RING} events: it counts in the windows, the model never sees it"
        case Kind.ODD_TIME:
            return "ts_ms lies before 1973, and is taken as it stands"
    return {
        DROPPED: f"the same event as {first}, which counts; this one is dropped",
        COUNTED_TWICE: f"the same event as {first}, too late to be known by the user's last {RING}: it counts twice",
        OTHER_TIME: f"user, item and event_id of {first} with another ts_ms: it counts as another event",
    }[finding.code]


def advice(finding: Finding) -> str:
    """Return what to do about it."""
    match finding.kind:
        case Kind.UNREADABLE:
            if finding.code == FOREIGN_TOPIC:
                return "leave it out, or say --as which of them it is checked as"
            return "write records as tail --json or kcat -J do, or the event alone"
        case Kind.REJECTED:
            return MEANINGS[Reason(finding.code)].advice
        case Kind.WRONG_PARTITION:
            return "set partitioner=murmur2_random in clients built on librdkafka"
        case Kind.LATE:
            return "send events as they happen"
        case Kind.ODD_TIME:
            return "send ms, not seconds"
    return {
        DROPPED: "if it was a retry all is well",
        COUNTED_TWICE: "retry at once, or use an idempotent producer",
        OTHER_TIME: "keep ts_ms in a retry, or give the event an id of its own",
    }[finding.code]


def _code(finding: Finding) -> str:
    return f", {finding.code}" if finding.kind in (Kind.UNREADABLE, Kind.REJECTED, Kind.DOUBLED) else ""


def summary(counts: Counts) -> Iterator[str]:
    """Yield what was found in all, in lines."""
    wrong = [f"{number:,} {_NAMES[Kind(kind)]}, {code}" for (kind, code), number in sorted(counts.findings.items())]
    yield f"{counts.records:,} records, {counts.accepted:,} accepted: " + ("; ".join(wrong) or "nothing is wrong")
    if counts.keyless and not counts.accepted:
        yield (
            "no line is an event: each must be one, as an object of JSON"
            " (`jq -c .` makes lines of objects, `jq -c '.[]'` of a list)"
        )
    if counts.reordered:
        yield f"{counts.reordered:,} came out of order and are put in order"
    misplaced = counts.findings[(Kind.WRONG_PARTITION, "murmur2")]
    if misplaced and counts.as_crc32 == misplaced:
        yield "all that stand on a wrong partition stand where librdkafka puts keys by default (crc32)"
    if counts.not_read:
        yield "fields that are not read: " + ", ".join(_not_read(counts.not_read))
    if counts.keyless:
        yield f"{counts.keyless:,} lines have no key: a producer's key is user_id as UTF-8"


def _not_read(names: Counter[str]) -> Iterator[str]:
    for name, number in names.most_common(_MOST_FIELDS):
        if name == ACTION:
            yield f"{name!r} ({number:,}; none of {', '.join(TOPIC_OF_ACTION)}: checked as views, or as --as says)"
            continue
        near = get_close_matches(name, Event.__struct_fields__, 1)
        yield f"{name!r} ({number:,}{f'; {near[0]}?' if near else ''})"
    if len(names) > _MOST_FIELDS:
        yield f"and {len(names) - _MOST_FIELDS:,} more"


def as_json(counts: Counts, shown: Sequence[Finding]) -> dict[str, Any]:
    """Return all of it for programs."""
    by_kind: dict[str, dict[str, int]] = {kind.value: {} for kind in Kind}
    for (kind, code), number in counts.findings.items():
        by_kind[kind][code] = number
    return {
        "records": counts.records,
        "accepted": counts.accepted,
        **by_kind,
        "reordered": counts.reordered,
        "keyless": counts.keyless,
        "fields_not_read": dict(counts.not_read.most_common()),
        "findings": [_as_json(finding) for finding in shown],
        "findings_left_out": counts.findings.total() - len(shown),
    }


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "at": str(finding.place),
        ("line" if finding.place.partition is None else "offset"): finding.place.number,
        "kind": finding.kind.value,
        "code": finding.code,
        "says": said(finding),
        "advice": advice(finding),
    }
