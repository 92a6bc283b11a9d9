"""The outputs of users: from rows and heads to JSON, a column at a time.

The JSON is that of the structs in `schemas.outputs`, encoded once with slots where the users' values go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from models.churn import BANDS, as_of_ms
from models.model_directory import OUTCOMES, TARGETS
from models.predictor import Predictor
from models.slate import Slates, top_items
from models.state import ACTIONS, RESOLUTIONS, Floats, Ints, Rows
from models.survival import silence
from models.windows import counts
from schemas.cloudevents import output_headers
from schemas.outputs import (
    ChurnRisk,
    NextAction,
    Position,
    Recommendation,
    SlateItem,
    encode_output,
    horizon_label,
    output_id,
)
from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.columns import Bytes, Template, decimal, fixed, slot, text, texts
from streams.options import Options

Trigger = Literal["event", "silence"]
_encoder = msgspec.json.Encoder()


class Output(NamedTuple):
    """A record to be published."""

    topic: str  # name without prefix
    partition: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Outputs:
    """Records of one topic, a user each, to be published: all arrays [users]."""

    topic: str  # name without prefix
    partition: Ints  # users of one partition stand together
    keys: Sequence[bytes]
    ids: Bytes
    as_of_ms: Ints
    values: Bytes

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Output]:
        ids, values = texts(self.ids).strings(), texts(self.values).strings()
        for partition, key, id_, ms, value in zip(
            self.partition.tolist(), self.keys, ids, self.as_of_ms.tolist(), values, strict=True
        ):
            yield Output(self.topic, partition, key, value, output_headers(self.topic, id_.decode(), ms))


@dataclass(frozen=True)
class Users:
    """Of whom outputs speak: rows and what else is known of each user [users], those of one partition together."""

    rows: Rows
    keys: Sequence[bytes]  # user ids as UTF-8
    partition: Ints

    @cached_property
    def columns(self) -> dict[str, Bytes]:
        """What all their outputs say of them."""
        names = _encoder.encode_lines([key.decode() for key in self.keys]).split(b"\n")[:-1]
        return {
            "user": text(names),
            "partition": decimal(self.partition[:, None]),
            "offset": decimal(self.rows["applied"]),
        }

    def at(self, index: Ints) -> "Users":
        """Return the users that the index picks."""
        return Users(self.rows[index], [self.keys[k] for k in index.tolist()], self.partition[index])


def outputs(users: Users, actions: Floats, hazards: Floats, model: Predictor, options: Options) -> list[Outputs]:
    """Return the outputs of users by topic: two as of the newest event, the churn risk as `churn.as_of_ms` says.

    Args:
        users: of whom.
        actions: probabilities of OUTCOMES [users, outcomes].
        hazards: of the time to each of TARGETS [users, TARGETS, TIME_BINS].
        model: makes the slates, names the horizons.
        options: how long a next action and a slate are valid, how long a slate is.
    """
    rows = users.rows
    version, horizons = model.card.version, tuple(model.card.purchase_horizons_ms)
    horizons_ms = np.array(horizons)
    now = np.zeros((len(rows), len(horizons)), np.int64)
    purchase = 1 - silence(hazards[:, TARGETS.index("purchase")], now, horizons_ms)
    about = _about(users, rows["newest_ms"], options.valid_for_ms)
    windows = counts(rows).reshape(len(rows), -1)
    next_action = {
        "probability": fixed(np.concatenate([actions, purchase], axis=1)),
        "count": decimal(np.concatenate([windows, rows["total"]], axis=1)),
    }
    made = [_filled(_next_action(version, horizons), users, about, next_action)]
    if options.slate_size:
        slates = top_items(rows, model, options.slate_size)
        recommendation = {
            "slate": _slate(slates, model),
            "degradation": _named(("popular", "none"), slates.known.astype(np.intp)),
        }
        made.append(_filled(_recommendation(version), users, about, recommendation))
    made.append(churn_outputs(users, hazards, model))
    return made


def churn_outputs(users: Users, hazards: Floats, model: Predictor, previous: Ints | None = None) -> Outputs:
    """Return the churn risk of each user as of the moment its band is about; with the bands before it, of silence.

    Args:
        users: of whom.
        hazards: [users, TARGETS, TIME_BINS].
        model: names the horizons.
        previous: bands published before [users], 0: none; without it an event led here.
    """
    rows, churn = users.rows, model.card.churn
    at_ms = as_of_ms(rows)
    silent_ms = at_ms - rows["newest_ms"]
    silent_until = np.broadcast_to(silent_ms[:, None], (len(rows), len(churn.horizons_ms)))
    columns = {
        "probability": fixed(silence(hazards[:, TARGETS.index("any")], silent_until, np.array(churn.horizons_ms))),
        "band": _named(BANDS, rows["band"].astype(np.intp) - 1),
        "silent_ms": decimal(silent_ms[:, None]),
    }
    trigger: Trigger = "event"
    if previous is not None:
        trigger = "silence"
        columns["previous"] = _named((None, *BANDS), previous.astype(np.intp))
    template = _churn_risk(model.card.version, tuple(churn.horizons_ms), trigger)
    return _filled(template, users, _about(users, at_ms, churn.band_horizon_ms), columns)


class _Kind(NamedTuple):
    """What the messages of a topic look like, and their ids."""

    topic: str
    message: Template
    id: Template


class _About(NamedTuple):
    """What all outputs of a user say of themselves."""

    as_of_ms: Ints
    columns: dict[str, Bytes]


def _about(users: Users, at_ms: Ints, valid_for_ms: int) -> _About:
    times = decimal(np.stack([at_ms, at_ms + valid_for_ms], axis=1))
    return _About(at_ms, users.columns | {"as_of": times[:, :1], "valid_until": times[:, 1:]})


def _filled(kind: _Kind, users: Users, about: _About, columns: dict[str, Bytes]) -> Outputs:
    ids = kind.id.fill(about.columns)
    values = kind.message.fill(about.columns | columns | {"id": ids[:, None]})
    return Outputs(kind.topic, users.partition, users.keys, ids, about.as_of_ms, values)


def _kind(topic: str, version: str, message: type[Any], fields: Mapping[str, Any], trigger: Trigger = "event") -> _Kind:
    """Return the form of a topic's messages: the struct, with a slot for each value that is the user's own."""
    offsets = [_name("offset") for _ in INPUTS]
    id_ = output_id(topic, _name("partition"), offsets, version, _name("as_of"), trigger)
    struct = message(
        id=msgspec.Raw(b'"%b"' % slot("id")),
        user_id=slot("user"),
        as_of_ms=slot("as_of"),
        valid_until_ms=slot("valid_until"),
        model_version=version,
        based_on=Position(slot("partition"), {name: slot("offset") for name in INPUTS}),
        **fields,
    )
    return _Kind(topic, Template(encode_output(struct)), Template(id_.encode()))


def _name(name: str) -> str:
    return bytes(slot(name)).decode()


@lru_cache(maxsize=8)
def _next_action(version: str, horizons: tuple[int, ...]) -> _Kind:
    labels = [horizon_label(width * size) for _, width, size in RESOLUTIONS]
    fields = {
        "actions": {name: slot("probability") for name in OUTCOMES},
        "purchase_within": {horizon_label(horizon): slot("probability") for horizon in horizons},
        "windows": {label: {name: slot("count") for name in ACTIONS} for label in labels},
        "totals": {name: slot("count") for name in ACTIONS},
    }
    return _kind(NEXT_ACTIONS, version, NextAction, fields)


@lru_cache(maxsize=8)
def _recommendation(version: str) -> _Kind:
    fields = {"slate": slot("slate"), "degradation": slot("degradation")}
    return _kind(RECOMMENDATIONS, version, Recommendation, fields)


@lru_cache(maxsize=8)
def _churn_risk(version: str, horizons: tuple[int, ...], trigger: Trigger) -> _Kind:
    fields = {
        "silent_for": {horizon_label(horizon): slot("probability") for horizon in horizons},
        "band": slot("band"),
        "trigger": trigger,
        "silent_ms": slot("silent_ms"),
        "previous_band": None if trigger == "event" else slot("previous"),
    }
    return _kind(CHURN_RISK, version, ChurnRisk, fields, trigger)


_SLATE_ITEM = Template(
    encode_output(
        SlateItem(  # type: ignore[arg-type]
            item_id=slot("item"), rank=slot("rank"), score=slot("score"), propensity=1.0, reason=slot("reason")
        )
    )
    + b","
)


def _slate(slates: Slates, model: Predictor) -> Bytes:
    """Return the slates as JSON [users, 1, width]: items one after another, places with nothing left to show empty."""
    users, places = slates.item.shape
    item = slates.item.reshape(-1)
    reason = np.where(slates.seen, 0, np.where(slates.known[:, None], 1, 2)).reshape(-1)
    rank = np.broadcast_to(np.arange(1, places + 1), slates.item.shape).reshape(-1, 1)
    columns = {
        "item": _item_names(model)[item][:, None],
        "rank": decimal(rank),
        "score": fixed(np.where(np.isfinite(slates.score), slates.score, 0).reshape(-1, 1)),
        "reason": _named(("seen_before", "predicted", "popular"), reason),
    }
    items = _SLATE_ITEM.fill(columns)
    items[item < 0] = 0
    joined = np.zeros((users, 1, items.shape[1] * places + 2), np.uint8)
    joined[:, 0, 0] = ord("[")
    joined[:, 0, 1:-1] = items.reshape(users, -1)
    last = (slates.item >= 0).sum(axis=1) * items.shape[1]  # where the comma after the last item stands
    joined[np.flatnonzero(last), 0, last[last > 0]] = 0
    joined[:, 0, -1] = ord("]")
    return joined


@lru_cache(maxsize=2)
def _item_names(model: Predictor) -> Bytes:
    """Return the item ids as JSON [items, width]."""
    return text([_encoder.encode(item) for item in model.items])[:, 0]


def _named(names: Sequence[str | None], number: Ints) -> Bytes:
    """Return the JSON of names by number: [n] to [n, 1, width]."""
    return _json_texts(tuple(names))[number]


@lru_cache(maxsize=16)
def _json_texts(names: tuple[str | None, ...]) -> Bytes:
    return text([_encoder.encode(name) for name in names])
