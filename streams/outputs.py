"""The outputs of users: from rows and heads to JSON, a column at a time.

The JSON is that of the structs in `schemas.outputs`, encoded once with slots where the users' values go.
"""

from collections import ChainMap
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
from models.survival import silence
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
from streams.columns import Bytes, Template, coded, decimal, fixed, slot, text, texts
from streams.options import Options
from streams.slate_json import PLACE_BYTES, item_names, slate_column
from streams.wide_names import Names, json_names, marked, named

Trigger = Literal["event", "silence"]

_BLOCK_BYTES = 16_000_000
"""Texts of a topic made at a time, about: writing them takes a few times as much."""
_MESSAGE_BYTES = 1024  # of a text without its slate, about


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

    def at(self, index: Ints) -> "Outputs":
        """Return the records that the index picks."""
        return Outputs(
            self.topic,
            self.partition[index],
            [self.keys[k] for k in index.tolist()],
            self.ids[index],
            self.as_of_ms[index],
            self.values[index],
        )

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
    def names(self) -> Names:
        """Their ids as JSON."""
        return json_names([key.decode() for key in self.keys], "user")

    @cached_property
    def columns(self) -> dict[str, Bytes]:
        """What all their outputs say of them."""
        return {
            "user": self.names.column,
            "partition": decimal(self.partition[:, None]),
            "offset": decimal(self.rows["applied"]),
        }

    def at(self, index: Ints) -> "Users":
        """Return the users that the index picks."""
        return Users(self.rows[index], [self.keys[k] for k in index.tolist()], self.partition[index])

    def blocks(self, most: int) -> Iterator[tuple[slice, "Users"]]:
        """Yield the users a block at a time, and where they stand."""
        for start in range(0, len(self.keys), most):
            part = slice(start, start + most)
            yield part, Users(self.rows[part], self.keys[part], self.partition[part])


def outputs(users: Users, actions: Floats, hazards: Floats, model: Predictor, options: Options) -> list[Outputs]:
    """Return the outputs of users: two as of the newest event, the churn risk as `churn.as_of_ms` says.

    A user is in one `Outputs` of each topic; a topic has several where one would take too much memory.

    Args:
        users: of whom.
        actions: probabilities of OUTCOMES [users, outcomes].
        hazards: of the time to each of TARGETS [users, TARGETS, TIME_BINS].
        model: makes the slates, names the horizons.
        options: how long a next action and a slate are valid, how long a slate is.
    """
    places = min(options.slate_size, len(model.items))
    most = _BLOCK_BYTES // (_MESSAGE_BYTES + places * (PLACE_BYTES + item_names(model).column.shape[2]))
    made: list[Outputs] = []
    for part, block in users.blocks(max(most, 1)):
        made += _block_outputs(block, actions[part], hazards[part], model, options)
    return made


def _block_outputs(users: Users, actions: Floats, hazards: Floats, model: Predictor, options: Options) -> list[Outputs]:
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
    made = _filled(_next_action(version, horizons), users, about, next_action, users.names.wide)
    if options.slate_size:
        slates = top_items(rows, model, options.slate_size)
        recommendation = {
            "slate": slate_column(slates, model),
            "degradation": coded(("popular", "none"), slates.known.astype(np.intp)),
        }
        wide = ChainMap(users.names.wide, item_names(model).wide)
        made += _filled(_recommendation(version), users, about, recommendation, wide)
    return made + churn_outputs(users, hazards, model)


def churn_outputs(users: Users, hazards: Floats, model: Predictor, previous: Ints | None = None) -> list[Outputs]:
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
        "band": coded(BANDS, rows["band"].astype(np.intp) - 1),
        "silent_ms": decimal(silent_ms[:, None]),
    }
    trigger: Trigger = "event"
    if previous is not None:
        trigger = "silence"
        columns["previous"] = coded((None, *BANDS), previous.astype(np.intp))
    template = _churn_risk(model.card.version, tuple(churn.horizons_ms), trigger)
    return _filled(template, users, _about(users, at_ms, churn.band_horizon_ms), columns, users.names.wide)


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


def _filled(
    kind: _Kind, users: Users, about: _About, columns: dict[str, Bytes], wide: Mapping[bytes, bytes]
) -> list[Outputs]:
    ids = kind.id.fill(about.columns)
    values = kind.message.fill(about.columns | columns | {"id": ids[:, None]})
    made = Outputs(kind.topic, users.partition, users.keys, ids, about.as_of_ms, values)
    return _with_wide_names(made, wide) if wide else [made]


def _with_wide_names(made: Outputs, wide: Mapping[bytes, bytes]) -> list[Outputs]:
    """Return records with names in the places of their marks, those of about one width together."""
    has_mark = marked(made.values)
    if not has_mark.any():
        return [made]
    parts = [made.at(np.flatnonzero(~has_mark))]
    there = np.flatnonzero(has_mark)
    strings = named(made.values[there], wide)
    power = np.frexp([len(string) for string in strings])[1]  # each is shorter than 2 to this power
    for exponent in np.unique(power).tolist():
        alike = np.flatnonzero(power == exponent)
        for block in np.array_split(alike, -(-(len(alike) << exponent) // _BLOCK_BYTES)):
            values = text([strings[k] for k in block.tolist()])[:, 0]
            parts.append(replace(made.at(there[block]), values=values))
    return [part for part in parts if len(part)]


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
