"""The outputs of users as records: from rows and heads to JSON."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from models.churn import BANDS, as_of_ms
from models.model_directory import OUTCOMES, TARGETS
from models.predictor import Predictor
from models.slate import top_items
from models.state import ACTIONS, RESOLUTIONS, Floats, Ints, Rows
from models.survival import silence
from models.windows import counts
from schemas.cloudevents import output_headers
from schemas.outputs import (
    Band,
    ChurnRisk,
    NextAction,
    Position,
    Recommendation,
    SlateItem,
    encode_output,
    horizon_label,
    named,
    output_id,
)
from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.options import Options

_WINDOWS = named(tuple(horizon_label(width * size) for _, width, size in RESOLUTIONS))
_COUNTS, _OUTCOMES, _OFFSETS = named(ACTIONS), named(OUTCOMES), named(INPUTS)
_DECIMALS = 6


class Output(NamedTuple):
    """A record to be published."""

    topic: str  # name without prefix
    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class _About(NamedTuple):
    """What all outputs of a user say of themselves."""

    user_id: str
    applied: list[int]
    based_on: Position
    as_of_ms: int
    valid_until_ms: int
    model_version: str

    def id(self, topic: str, trigger: str = "event") -> str:
        return output_id(
            topic, self.user_id, self.based_on.partition, self.applied, self.model_version, self.as_of_ms, trigger
        )


def outputs(
    rows: Rows,
    user_ids: Sequence[str],
    partitions: Sequence[int],
    actions: Floats,
    hazards: Floats,
    model: Predictor,
    options: Options,
) -> list[Output]:
    """Return the three outputs of each user: two as of its newest event, the churn risk as `churn.as_of_ms` says.

    Args:
        rows: `ROW` [users].
        user_ids: [users].
        partitions: of the users [users].
        actions: probabilities of OUTCOMES [users, outcomes].
        hazards: of the time to each of TARGETS [users, TARGETS, TIME_BINS].
        model: makes the slates, names the horizons.
        options: how long a next action and a slate are valid, how long a slate is.
    """
    made = []
    about = _abouts(rows, user_ids, partitions, rows["newest_ms"], options.valid_for_ms, model)
    within_named = named(tuple(horizon_label(h) for h in model.card.purchase_horizons_ms))
    horizons_ms = np.array(model.card.purchase_horizons_ms)
    now = np.zeros((len(rows), len(horizons_ms)), np.int64)
    purchase = 1 - silence(hazards[:, TARGETS.index("purchase")], now, horizons_ms)
    columns = (
        _rounded(actions),
        _rounded(purchase),
        counts(rows).tolist(),
        rows["total"].tolist(),
    )
    for who, probability, within, windows, totals in zip(about, *columns, strict=True):
        message = NextAction(
            id=who.id(NEXT_ACTIONS),
            user_id=who.user_id,
            as_of_ms=who.as_of_ms,
            valid_until_ms=who.valid_until_ms,
            model_version=who.model_version,
            based_on=who.based_on,
            actions=_OUTCOMES(*probability),
            purchase_within=within_named(*within),
            windows=_WINDOWS(*[_COUNTS(*window) for window in windows]),
            totals=_COUNTS(*totals),
        )
        made.append(_record(NEXT_ACTIONS, who, message))
    if options.slate_size:
        made += _recommendations(rows, about, model, options)
    made += churn_outputs(rows, user_ids, partitions, hazards, model)
    return made


def _recommendations(rows: Rows, about: list[_About], model: Predictor, options: Options) -> list[Output]:
    made = []
    slates = top_items(rows, model, options.slate_size)
    scores_of = slates.score.round(_DECIMALS).tolist()
    columns = slates.item.tolist(), scores_of, slates.seen.tolist(), slates.known.tolist()
    for who, items, scores, seen, known in zip(about, *columns, strict=True):
        slate = [
            SlateItem(
                item_id=model.items[item],
                rank=rank,
                score=score,
                propensity=1.0,
                reason="seen_before" if again else "predicted" if known else "popular",
            )
            for rank, (item, score, again) in enumerate(zip(items, scores, seen, strict=True), 1)
            if item >= 0
        ]
        message = Recommendation(
            id=who.id(RECOMMENDATIONS),
            user_id=who.user_id,
            as_of_ms=who.as_of_ms,
            valid_until_ms=who.valid_until_ms,
            model_version=who.model_version,
            based_on=who.based_on,
            slate=slate,
            degradation="none" if known else "popular",
        )
        made.append(_record(RECOMMENDATIONS, who, message))
    return made


def churn_outputs(
    rows: Rows,
    user_ids: Sequence[str],
    partitions: Sequence[int],
    hazards: Floats,
    model: Predictor,
    previous: Ints | None = None,
) -> list[Output]:
    """Return the churn risk of each user as of the moment its band is about; with the bands before it, of silence.

    Args:
        rows: `ROW` [users].
        user_ids: [users].
        partitions: of the users [users].
        hazards: [users, TARGETS, TIME_BINS].
        model: names the horizons.
        previous: bands published before [users]; without it an event led here.
    """
    trigger: Literal["event", "silence"] = "event" if previous is None else "silence"
    horizons = model.card.churn.horizons_ms
    risks_named = named(tuple(horizon_label(h) for h in horizons))
    at_ms = as_of_ms(rows)
    silent_ms = at_ms - rows["newest_ms"]
    silent_until = np.broadcast_to(silent_ms[:, None], (len(rows), len(horizons)))
    risks = silence(hazards[:, TARGETS.index("any")], silent_until, np.array(horizons))
    before = np.zeros(len(rows), np.int64) if previous is None else previous
    columns = _rounded(risks), rows["band"].tolist(), silent_ms.tolist(), before.tolist()
    made = []
    for who, risk, band, silent, old in zip(
        _abouts(rows, user_ids, partitions, at_ms, model.card.churn.band_horizon_ms, model), *columns, strict=True
    ):
        message = ChurnRisk(
            id=who.id(CHURN_RISK, trigger),
            user_id=who.user_id,
            as_of_ms=who.as_of_ms,
            valid_until_ms=who.valid_until_ms,
            model_version=who.model_version,
            based_on=who.based_on,
            silent_for=risks_named(*risk),
            band=_band(band),
            trigger=trigger,
            silent_ms=silent,
            previous_band=_band(old) if old else None,
        )
        made.append(_record(CHURN_RISK, who, message))
    return made


def _band(number: int) -> Band:
    return BANDS[number - 1]


def _rounded(values: Floats) -> list[list[float]]:
    rounded: list[list[float]] = values.round(_DECIMALS).tolist()
    return rounded


def _abouts(
    rows: Rows,
    user_ids: Sequence[str],
    partitions: Sequence[int],
    at_ms: Ints,
    valid_for_ms: int,
    model: Predictor,
) -> list[_About]:
    version = model.card.version
    return [
        _About(user_id, applied, Position(partition, _OFFSETS(*applied)), at, at + valid_for_ms, version)
        for user_id, partition, applied, at in zip(
            user_ids, partitions, rows["applied"].tolist(), at_ms.tolist(), strict=True
        )
    ]


def _record(topic: str, who: _About, message: NextAction | Recommendation | ChurnRisk) -> Output:
    headers = output_headers(topic, message.id, who.as_of_ms)
    return Output(topic, who.based_on.partition, who.user_id.encode(), encode_output(message), headers)
