"""Rows held against the plain fold and against the reference."""

from collections.abc import Mapping, Sequence

from chaos.faults import Change
from chaos.final import Changelog, Row
from chaos.fold import History, fold_differences
from chaos.messages import MOST_OVERTAKEN
from chaos.reference import SILENCE, Reference, differing_fields
from chaos.verdict import Verdict
from models.predictor import Predictor
from models.state import Rows

_BACKLOG_S = 30.0  # the most that workers may be behind, when they are told to stop
_SLACK_S = 60.0  # by how much a record may come later than it happened


def judge_rows(
    users: Mapping[bytes, History],
    log: Changelog,
    reference: Reference,
    models: Sequence[Predictor],
    changes: Sequence[Change],
    verdict: Verdict,
) -> tuple[dict[bytes, Row], dict[bytes, Rows]]:
    """Hold the rows against fold and reference, but for what silence changes.

    Returns:
        the rows that were found; what they should have been after the last event, of users whose rows are equal.
    """
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
    return known, _compare_rows(users, known, reference, models, changes, verdict)


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
        open_ = {key: differing_fields(known[key].row, expected[key], SILENCE) for key in mine}
        open_ = {key: fields for key, fields in open_.items() if fields}
        other = models[1 - place] if len(models) > 1 else model
        into = [change for change in reversed(changes) if change.model == place]
        narrow = [(change, [key for key in open_ if _last_before(users[key], change, changes)]) for change in into]
        for change, candidates in [*narrow, *((change, list(open_)) for change in into)]:
            tries = {key: _numbers(users[key], change) for key in candidates if key in open_}
            for key, row in reference.rows_after_swap(other, model, tries):
                fields = differing_fields(known[key].row, row, SILENCE)
                if not fields:
                    del open_[key], tries[key]
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
        final |= {key: row for key, row in expected.items() if key not in open_}
        verdict.counts["rows_equal"] += len(mine) - len(open_)
    tags = {model.tag for model in models}
    for key, found in known.items():
        if int(found.row["model"]) not in tags:
            verdict.differs("row of an unknown model", f"user {key!r}: {int(found.row['model'])}")
    return final


def _last_before(user: History, change: Change, changes: Sequence[Change]) -> bool:
    """Tell whether a change is probably the last that a user's row has seen: tried first, as each try costs."""
    last_s = user.last_ms / 1000
    later = (other for other in changes if other.stopping_s > change.stopping_s)
    return change.stopping_s - _SLACK_S < last_s and all(last_s < other.started_s + _SLACK_S for other in later)


def _numbers(user: History, change: Change) -> list[int]:
    """Return how many of a user's events the old model may have seen: none was older than the backlog of an outage."""
    times_s = [event.ts_ms / 1000 for event in user.events]
    low = sum(ts_s < change.stopping_s - _BACKLOG_S for ts_s in times_s) - MOST_OVERTAKEN
    high = sum(ts_s < change.started_s for ts_s in times_s)
    return list(range(max(low, 0), high + 1))
