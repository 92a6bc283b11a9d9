"""Outputs and dead letters held against the reference."""

from collections.abc import Mapping, Sequence

import msgspec

from chaos.final import Record, read
from chaos.fold import History
from chaos.reference import Reference
from chaos.verdict import Verdict
from models.churn import FIRST_RESCORE_MS
from models.model_directory import Churn
from models.predictor import Predictor
from models.state import Rows
from schemas.dead_letters import decode_dead_letter
from schemas.outputs import ChurnRisk, horizon_label
from schemas.topics import CHURN_RISK, DEAD_LETTERS, INPUTS, OUTPUTS, physical_name
from streams.settings import Settings

_ROUNDED = 1e-6

_Published = dict[tuple[str, bytes], list[bytes]]
"""Outputs by topic and user."""


class _Base(msgspec.Struct):
    offsets: dict[str, int]


class _Output(msgspec.Struct):
    id: str
    user_id: str
    as_of_ms: int
    model_version: str
    based_on: _Base


_decode = msgspec.json.Decoder(_Output).decode
_decode_risk = msgspec.json.Decoder(ChurnRisk).decode


def judge_outputs(
    settings: Settings,
    users: Mapping[bytes, History],
    found: Mapping[bytes, Rows],
    final: Mapping[bytes, Rows],
    asleep: Mapping[bytes, Sequence[bytes]],
    reference: Reference,
    models: Sequence[Predictor],
    verdict: Verdict,
) -> None:
    """Hold the last output of each user on each topic, as a consumer keeps it, against what it may be.

    Args:
        settings: brokers and topics.
        users: their histories.
        found: the rows of users whose band is one of silence.
        final: the rows that the last events should have left.
        asleep: the churn risks that silence may have led to last, of the users in `found`.
        reference: makes outputs of rows.
        models: that the workers had.
        verdict: told of each difference.
    """
    wanted = _wanted(found, final, asleep, reference, models)
    for topic in OUTPUTS:
        by_id, shown = _published(settings, topic, users, models, verdict)
        verdict.counts["outputs_different_ids"] += len(by_id)
        for key in final:
            if not (want := wanted.get((topic, key))):
                verdict.differs("no output in the reference", f"{topic} of user {key!r}")
            elif shown.get(key) in want:
                verdict.counts["last_outputs_equal"] += 1
            else:
                _say_what_differs(topic, key, want, by_id, shown, verdict)
                verdict.suspects.append((key, users[key].partition))


def _wanted(
    found: Mapping[bytes, Rows],
    final: Mapping[bytes, Rows],
    asleep: Mapping[bytes, Sequence[bytes]],
    reference: Reference,
    models: Sequence[Predictor],
) -> _Published:
    """Return what the last outputs may be: one each, and of silent users what a record that is no news repeats."""
    wanted: _Published = {(CHURN_RISK, key): list(told) for key, told in asleep.items()}
    for model in models:
        mine = {key: row for key, row in final.items() if int(row["model"]) == model.tag}
        others = {key: reference.user(key) for key in asleep if key in final and key not in mine}
        # with another model in the midst of a silence, only the churn risk is told anew
        for rows in (mine, reference.rows(model, others.values())):
            for (topic, key), value in reference.outputs(model, rows).items():
                if topic != CHURN_RISK or key not in asleep:
                    wanted.setdefault((topic, key), []).append(value)
        again = {key: row for key, row in found.items() if int(row["model"]) == model.tag}
        for at, value in reference.outputs(model, again).items():
            wanted.setdefault(at, []).append(value)
    return wanted


def _published(
    settings: Settings, topic: str, users: Mapping[bytes, History], models: Sequence[Predictor], verdict: Verdict
) -> tuple[dict[str, bytes], dict[bytes, bytes]]:
    """Return what is in a topic, by id; and what a consumer keeps of it, by user."""
    churn = {model.card.version: model.card.churn for model in models}
    by_id: dict[str, bytes] = {}
    newest: dict[bytes, tuple[tuple[int, ...], int]] = {}  # as a consumer keeps it: offsets, time
    shown: dict[bytes, bytes] = {}
    for record in read(settings, physical_name(topic, settings.topic_prefix)):
        key, value = record.key or b"", record.value or b""
        verdict.counts["outputs_written"] += 1
        made = _decode(value)
        if (before := by_id.setdefault(made.id, value)) is not value:
            verdict.counts["outputs_written_again"] += 1
            if before != value:
                verdict.differs("output with another's id", f"{topic} {made.id}: {_first_difference(before, value)}")
                verdict.suspects.append((key, record.partition))
            continue
        offsets = tuple(made.based_on.offsets[name] for name in INPUTS)
        user = users.get(key)
        if user is None or any(a > b for a, b in zip(offsets, user.applied, strict=True)):
            verdict.differs("output of more than there is", f"{topic} {made.id}")
        if topic == CHURN_RISK and (risk := _decode_risk(value)).trigger == "silence":
            verdict.counts["silences_told"] += 1
            if user is None or not _speaks_of_a_silence(risk, user, churn[risk.model_version]):
                verdict.differs("silence that was none", value.decode())
                verdict.suspects.append((key, record.partition))
        had = newest.get(key)
        if had is not None and _older((offsets, made.as_of_ms), had):
            verdict.counts["outputs_out_of_date"] += 1  # a consumer drops it
            continue
        newest[key], shown[key] = (offsets, made.as_of_ms), value
    return by_id, shown


def _speaks_of_a_silence(risk: ChurnRisk, user: History, churn: Churn) -> bool:
    """Tell, by the message alone, whether its band is that of its own risk, news, and of a time after an event."""
    value = risk.silent_for[horizon_label(churn.band_horizon_ms)]
    low, high = churn.band_edges
    band = "low" if value < low else "medium" if value < high else "high"
    at_an_edge = min(abs(value - low), abs(value - high)) < _ROUNDED
    return (
        (risk.band == band or at_an_edge)
        and risk.previous_band not in (None, risk.band)
        and risk.silent_ms >= FIRST_RESCORE_MS
        and any(event.ts_ms == risk.as_of_ms - risk.silent_ms for event in user.events)
    )


def _say_what_differs(
    topic: str,
    key: bytes,
    want: Sequence[bytes],
    by_id: Mapping[str, bytes],
    shown: Mapping[bytes, bytes],
    verdict: Verdict,
) -> None:
    last = _decode(shown[key]).id if key in shown else "none"
    ids = [_decode(each).id for each in want]
    for id_, each in zip(ids, want, strict=True):
        if id_ in by_id and by_id[id_] != each:
            verdict.differs("output is not the reference", f"{topic} {id_}: {_first_difference(by_id[id_], each)}")
            return
    if any(id_ in by_id for id_ in ids):
        verdict.differs("output is not a consumer's last", f"{topic} of user {key!r}: {ids}; the last is {last}")
    else:
        verdict.differs("output missing", f"{topic} of user {key!r}: {ids}; the last is {last}")


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


def judge_dead_letters(settings: Settings, poison: Mapping[str, Sequence[Record]], verdict: Verdict) -> None:
    """Hold the dead letters against the poison that was sent, by topic."""
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
