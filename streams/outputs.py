"""The outputs of users: from rows and heads to JSON, a topic at a time.

The JSON is that of the structs in `schemas.outputs`, encoded once with slots where the users' values go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from models.churn import BANDS, as_of_ms
from models.model_directory import OUTCOMES, TARGETS
from models.predictor import Predictor
from models.slate import top_items
from models.state import ACTIONS, RESOLUTIONS, Floats, Ints, Rows
from models.survival import Curves
from models.windows import counts
from schemas.cloudevents import output_headers
from schemas.outputs import (
    ChurnRisk,
    NextAction,
    Position,
    Recommendation,
    encode_output,
    horizon_label,
    output_id,
)
from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.names import json_names
from streams.options import Options
from streams.slate_json import places_by_reason, slates_json
from streams.templates import Column, Template, slot, string_slot, value_slot
from streams.texts import Picked, Texts, texts

Trigger = Literal["event", "silence"]

_BANDS = texts([msgspec.json.encode(band) for band in (None, *BANDS)])
_DEGRADATIONS = texts([b"popular", b"none"])


class Output(NamedTuple):
    """A record to be published."""

    topic: str  # name without prefix
    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Outputs:
    """Records of one topic, a user each, to be published [users]."""

    topic: str  # name without prefix
    partition: Ints  # users of one partition stand together
    keys: Texts
    ids: Texts
    as_of_ms: Ints
    values: Texts
    places: tuple[int, ...] = ()  # of slates: number by why the item is there, see `slate_json.REASONS`

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Output]:
        parts = self.keys.strings(), self.ids.strings(), self.as_of_ms.tolist(), self.values.strings()
        for partition, key, id_, ms, value in zip(self.partition.tolist(), *parts, strict=True):
            yield Output(self.topic, partition, key, value, output_headers(self.topic, id_.decode(), ms))


@dataclass(frozen=True)
class Users:
    """Of whom outputs speak: rows and what else is known of each user [users], those of one partition together."""

    rows: Rows
    ids: Sequence[bytes]  # as UTF-8
    partition: Ints

    @cached_property
    def keys(self) -> Texts:
        """Their ids side by side."""
        return texts(self.ids)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What all their outputs say of them."""
        return {
            "user": json_names(self.keys),
            "partition": self.partition[:, None],
            "offset": self.rows["applied"],
        }

    def at(self, index: Ints) -> "Users":
        """Return the users that the index picks."""
        return Users(self.rows[index], [self.ids[k] for k in index.tolist()], self.partition[index])


def outputs(users: Users, actions: Floats, curves: Curves, model: Predictor, options: Options) -> list[Outputs]:
    """Return the outputs of users, a topic each: two as of the newest event, the churn risk as `churn.as_of_ms` says.

    Args:
        users: of whom.
        actions: probabilities of OUTCOMES [users, outcomes].
        curves: of the time to each of TARGETS [users].
        model: makes the slates, names the horizons.
        options: how long a next action and a slate are valid, how long a slate is.
    """
    rows = users.rows
    version, horizons = model.card.version, tuple(model.card.purchase_horizons_ms)
    now = np.zeros((len(rows), len(horizons)), np.int64)
    purchase = 1 - curves.silence(TARGETS.index("purchase"), now, np.array(horizons))
    about = _about(users, rows["newest_ms"], options.valid_for_ms)
    windows = counts(rows).reshape(len(rows), -1)
    next_action: dict[str, Column] = {
        "probability": np.concatenate([actions, purchase], axis=1),
        "count": np.concatenate([windows, rows["total"]], axis=1),
    }
    made = [_filled(_next_action(version, horizons), users, about, next_action)]
    if options.slate_size:
        slates = top_items(rows, model, options.slate_size)
        recommendation: dict[str, Column] = {
            "slate": slates_json(slates, model),
            "degradation": Picked(_DEGRADATIONS, slates.known.astype(np.int64)),
        }
        filled = _filled(_recommendation(version), users, about, recommendation)
        made.append(replace(filled, places=places_by_reason(slates)))
    return [*made, churn_outputs(users, curves, model)]


def churn_outputs(users: Users, curves: Curves, model: Predictor, previous: Ints | None = None) -> Outputs:
    """Return the churn risk of each user as of the moment its band is about; with the bands before it, of silence.

    Args:
        users: of whom.
        curves: of the time to each of TARGETS [users].
        model: names the horizons.
        previous: bands published before [users], 0: none; without it an event led here.
    """
    rows, churn = users.rows, model.card.churn
    at_ms = as_of_ms(rows)
    silent_ms = at_ms - rows["newest_ms"]
    silent_until = np.broadcast_to(silent_ms[:, None], (len(rows), len(churn.horizons_ms)))
    columns: dict[str, Column] = {
        "probability": curves.silence(TARGETS.index("any"), silent_until, np.array(churn.horizons_ms)),
        "band": Picked(_BANDS, rows["band"].astype(np.int64)),
        "silent_ms": silent_ms[:, None],
    }
    trigger: Trigger = "event"
    if previous is not None:
        trigger = "silence"
        columns["previous"] = Picked(_BANDS, previous.astype(np.int64))
    kind = _churn_risk(model.card.version, tuple(churn.horizons_ms), trigger)
    return _filled(kind, users, _about(users, at_ms, churn.band_horizon_ms), columns)


class _Kind(NamedTuple):
    """What the messages of a topic look like, and their ids."""

    topic: str
    message: Template
    id: Template


class _About(NamedTuple):
    """What all outputs of a user say of themselves."""

    as_of_ms: Ints
    columns: dict[str, Column]


def _about(users: Users, at_ms: Ints, valid_for_ms: int) -> _About:
    return _About(at_ms, users.columns | {"as_of": at_ms[:, None], "valid_until": at_ms[:, None] + valid_for_ms})


def _filled(kind: _Kind, users: Users, about: _About, columns: Mapping[str, Column]) -> Outputs:
    ids = kind.id.fill(about.columns)
    values = kind.message.fill({**about.columns, **columns, "id": ids})
    return Outputs(kind.topic, users.partition, users.keys, ids, about.as_of_ms, values)


def _kind(topic: str, version: str, message: type[Any], fields: Mapping[str, Any], trigger: Trigger = "event") -> _Kind:
    """Return the form of a topic's messages: the struct, with a slot for each value that is the user's own."""
    partition, offset, as_of = (slot("number", name).decode() for name in ("partition", "offset", "as_of"))
    id_ = output_id(topic, partition, [offset] * len(INPUTS), version, as_of, trigger)
    struct = message(
        id=string_slot("id"),
        user_id=string_slot("user"),
        as_of_ms=value_slot("number", "as_of"),
        valid_until_ms=value_slot("number", "valid_until"),
        model_version=version,
        based_on=Position(value_slot("number", "partition"), {name: value_slot("number", "offset") for name in INPUTS}),
        **fields,
    )
    return _Kind(topic, Template(encode_output(struct)), Template(id_.encode()))


@lru_cache(maxsize=8)
def _next_action(version: str, horizons: tuple[int, ...]) -> _Kind:
    labels = [horizon_label(width * size) for _, width, size in RESOLUTIONS]
    fields = {
        "actions": {name: value_slot("fixed", "probability") for name in OUTCOMES},
        "purchase_within": {horizon_label(horizon): value_slot("fixed", "probability") for horizon in horizons},
        "windows": {label: {name: value_slot("number", "count") for name in ACTIONS} for label in labels},
        "totals": {name: value_slot("number", "count") for name in ACTIONS},
    }
    return _kind(NEXT_ACTIONS, version, NextAction, fields)


@lru_cache(maxsize=8)
def _recommendation(version: str) -> _Kind:
    fields = {"slate": value_slot("text", "slate"), "degradation": string_slot("degradation")}
    return _kind(RECOMMENDATIONS, version, Recommendation, fields)


@lru_cache(maxsize=8)
def _churn_risk(version: str, horizons: tuple[int, ...], trigger: Trigger) -> _Kind:
    fields = {
        "silent_for": {horizon_label(horizon): value_slot("fixed", "probability") for horizon in horizons},
        "band": value_slot("text", "band"),
        "trigger": trigger,
        "silent_ms": value_slot("number", "silent_ms"),
        "previous_band": None if trigger == "event" else value_slot("text", "previous"),
    }
    return _kind(CHURN_RISK, version, ChurnRisk, fields, trigger)
