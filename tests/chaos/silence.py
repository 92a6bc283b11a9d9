"""What silence alone should have led to: one look at a user after another, from the row that the last event left."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from chaos.faults import Change
from chaos.final import Row
from chaos.fold import History
from chaos.reference import SILENCE, differing_fields
from chaos.verdict import Verdict
from models.churn import BANDS
from models.predictor import Predictor
from models.state import Rows
from streams.pipeline import rescore


class Look(NamedTuple):
    """A look at a user who was silent."""

    row: Rows
    output: bytes | None  # None: the band was what it was


class Moments(NamedTuple):
    """Between which the workers, all of them with one model, told the last of what silence led to."""

    due_ms: int  # what was due then has been told
    end_ms: int  # what was due later has not
    model: int


def looks(
    users: Mapping[bytes, History], rows: Mapping[bytes, Rows], model: Predictor, end_ms: int
) -> dict[bytes, list[Look]]:
    """Return what comes of rows until then, with no further event, by user."""
    found: dict[bytes, list[Look]] = {key: [] for key in rows}
    due = dict(rows)
    while due := {key: row for key, row in due.items() if row["rescore_ms"] <= end_ms}:
        by_partition: dict[int, list[bytes]] = defaultdict(list)
        for key in due:
            by_partition[users[key].partition].append(key)
        for partition, keys in by_partition.items():
            scored, made, _ = rescore(partition, keys, np.stack([due[key] for key in keys]), model, end_ms)
            outputs = {output.key: output.value for part in made for output in part}
            for key, row in zip(keys, scored, strict=True):
                found[key].append(Look(row, outputs.get(key)))
                due[key] = row
    return found


def judge_silence(
    users: Mapping[bytes, History],
    known: Mapping[bytes, Row],
    awake: Mapping[bytes, Rows],
    models: Sequence[Predictor],
    changes: Sequence[Change],
    moments: Moments,
    verdict: Verdict,
) -> dict[bytes, list[bytes]]:
    """Hold bands, and the moments that they are about, against the looks that should have been.

    Args:
        users: their histories.
        known: the rows that were found.
        awake: what they should have been after the last event; of users who are not in it nothing is said.
        models: that the workers had.
        changes: from one model to another.
        moments: up to when silence was told.
        verdict: told of each difference.

    Returns:
        what may be the last churn risk of each user whose band is one of silence.
    """
    asleep: dict[bytes, list[bytes]] = {}
    for model in models:
        mine = {key: row for key, row in awake.items() if int(row["model"]) == model.tag}
        for key, after in looks(users, mine, model, moments.end_ms).items():
            row, states = known[key].row, [Look(mine[key], None), *after]
            equal = [k for k, state in enumerate(states) if not differing_fields(row, state.row)]
            told = [state.output for state in states[: equal[0] + 1] if state.output] if equal else []
            if not equal and _changed_after(users[key], changes):
                # another model saw the beginning of the silence: hold the band against its own moment
                told = _at_its_own_moment(users[key], row, mine[key], model)
                verdict.counts["silent_users_after_a_change_of_model"] += bool(told)
            if not equal and not told:
                text = f"user {key!r}, partition {known[key].partition}: {_brief(row)}, should be one of"
                verdict.differs("silence is not the reference", f"{text} {[_brief(state.row) for state in states]}")
                verdict.suspects.append((key, known[key].partition))
            elif row["silent_s"] > 0:
                asleep[key] = told[-1:] if equal else told
    verdict.counts["silent_users"] = len(asleep)
    rows = {key: known[key].row for key in awake}
    for key, after in looks(users, rows, models[moments.model], moments.due_ms).items():
        if any(look.output for look in after):
            verdict.differs("silence was not told", f"user {key!r}: {_brief(rows[key])}, now {_brief(after[-1].row)}")
            verdict.suspects.append((key, known[key].partition))
    return asleep


def _changed_after(user: History, changes: Sequence[Change]) -> bool:
    return any(change.started_s * 1000 > user.last_ms for change in changes)


def _at_its_own_moment(user: History, row: Rows, awake: Rows, model: Predictor) -> list[bytes]:
    """Return what such a row may have told, by the band before; nothing if it could not come of a silence so long."""
    told = []
    for before in {1, 2, 3} - {int(row["band"])}:
        again = awake.copy()
        again["band"], again["rescore_ms"] = before, user.newest_ms + int(row["silent_s"]) * 1000
        scored, made, _ = rescore(user.partition, [user.key], again.reshape(1), model, int(again["rescore_ms"]))
        if not differing_fields(scored[0], row):
            told += [output.value for part in made for output in part]
    return told


def _brief(row: Rows) -> str:
    band = ("none", *BANDS)[int(row["band"])]
    fields = {name: int(row[name]) for name in SILENCE[1:]}
    return f"{band} at {int(row['newest_ms'])} + {fields['silent_s']} s, next look {fields['rescore_ms']}"
