"""The network once more, slow and plain: one event of one user at a time, its states in whole numbers.

Written from the equations in `model_directory.shapes` and the units that `models.predictor` documents, without its
code: what holds a benchmark's states against it cannot be fooled by a fast network that is wrong.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from models.features import GAPS, HOURS_OF_WEEK, NO_GAP, TIME_BINS
from models.latest import LATEST, TOTAL_EDGES, VISIT_GAP_MS, sizes
from models.model_directory import COUNTED, HOUR_MS, OUTCOMES, Model
from models.state import ACTIONS, HIDDEN
from models.windows import BIN_EDGES, BINS

_STATE_BITS, _GATE_BITS, _WEIGHT_BITS, _EMBEDDING_BITS = 7, 14, 12, 10  # a unit is 2**-bits
_OF_ITEMS = {"item_embedding", "item_bias", "query", "follow_bias", "again_bias", "recent_gate", *COUNTED}
_ONE = 1 << _STATE_BITS
_MOST: dict[str, float] = {"item_embedding": 8, "item_input": 8, "hidden": 8 - 2.0**-12}
_EDGE = 8 << _WEIGHT_BITS  # gates do not change beyond -8 and 8

Whole = npt.NDArray[np.int64]


class Event(NamedTuple):
    """An event as the network sees it; no device and no price."""

    item: bytes
    action: int
    ts_ms: int


class PlainNetwork:
    """The network of a model.

    Args:
        model: its tensors are rounded to their units here.
    """

    def __init__(self, model: Model) -> None:
        self._utc_offset_h = model.card.utc_offset_h
        self._rows: dict[int, int] = {}
        for row, item in enumerate(model.items, start=1):
            self._rows.setdefault(crc32(item.encode()), row)
        self._embedding = _whole(model, "item_embedding", _EMBEDDING_BITS)
        others = model.weights.keys() - _OF_ITEMS
        self._w = {name: _whole(model, name, _WEIGHT_BITS) for name in others}

    def state(self, events: Iterable[Event]) -> list[int]:
        """Return the recurrent state after a user's events, in units of 2**-7 [HIDDEN].

        Args:
            events: all of the user's, in order of time.
        """
        h: Whole = np.zeros(HIDDEN, np.int64)
        before_ms = -1
        for event in events:
            h = self._step(h, event, before_ms)
            before_ms = event.ts_ms
        return [int(value) for value in h]

    def outcomes(
        self, state: Sequence[int], counts: Sequence[int], latest: Sequence[Event], total: int
    ) -> dict[str, float]:
        """Return the probability of each next action.

        Args:
            state: recurrent state in units of 2**-7 [HIDDEN].
            counts: events in each window [FEATURES].
            latest: the last events, at least `LATEST` of them if there are so many, in order of time.
            total: number of all events.
        """
        places = codes(latest[-LATEST:], total)
        starts = np.cumsum([0, *sizes(len(ACTIONS))]).tolist()
        logits = []
        for k in range(len(OUTCOMES)):
            logit = sum(int(h) * int(weight) for h, weight in zip(state, self._w["readout"][:, k], strict=True)) / _ONE
            bins = [sum(edge <= count for edge in BIN_EDGES.tolist()) for count in counts]
            logit += sum(int(self._w["window"][n * BINS + place, k]) for n, place in enumerate(bins))
            logit += sum(int(self._w["latest"][start + code, k]) for start, code in zip(starts, places, strict=False))
            logits.append((logit + int(self._w["readout_bias"][k])) / (1 << _WEIGHT_BITS))
        odds = [math.exp(logit - max(logits)) for logit in logits]
        return {name: value / sum(odds) for name, value in zip(OUTCOMES, odds, strict=True)}

    def _step(self, h: Whole, event: Event, before_ms: int) -> Whole:
        w, row = self._w, self._rows.get(crc32(event.item), 0)
        gap = NO_GAP if before_ms < 0 else _gap(event.ts_ms - before_ms)
        x = np.array(
            [round(value / (1 << _EMBEDDING_BITS)) for value in (self._embedding[row] @ w["item_input"]).tolist()]
        )
        x += w["action_gap"][event.action * GAPS + gap]
        x += w["hour_of_week"][(event.ts_ms // HOUR_MS + self._utc_offset_h) % HOURS_OF_WEEK] + w["context"][0]
        product = h @ w["hidden"]
        pre = (x << _STATE_BITS) + product
        r = [_sigmoid(_rounded(value, _STATE_BITS)) for value in pre[:HIDDEN].tolist()]
        z = [_sigmoid(_rounded(value, _STATE_BITS)) for value in pre[HIDDEN : 2 * HIDDEN].tolist()]
        inner = product[2 * HIDDEN :] + (w["hidden_bias"] << _STATE_BITS)
        after = []
        for k in range(HIDDEN):
            reset = r[k] * int(inner[k])
            n = _tanh(int(x[2 * HIDDEN + k]) + _rounded(reset, _STATE_BITS + _GATE_BITS))
            kept = ((1 << _GATE_BITS) - z[k]) * n + (z[k] * int(h[k]) << _GATE_BITS - _STATE_BITS)
            after.append(min(max(_rounded(kept, 2 * _GATE_BITS - _STATE_BITS), 1 - _ONE), _ONE - 1))
        return np.array(after, np.int64)


def _whole(model: Model, name: str, bits: int) -> Whole:
    most = int(_MOST.get(name, 64) * (1 << bits))
    whole: Whole = np.clip(np.rint(model.weights[name].astype(np.float64) * (1 << bits)), -most, most).astype(np.int64)
    return whole


def codes(events: Sequence[Event], total: int) -> list[int]:
    """Return the codes of the last events, in the order of `latest.sizes`."""
    none = len(ACTIONS)
    actions = [*(event.action for event in reversed(events)), none, none, none]
    runs = [list(run) for _, run in groupby(events, key=lambda event: event.item)]
    sources = [*(run[0].action for run in reversed(runs)), none, none]
    same = [place for place, event in enumerate(reversed(events)) if event.item == events[-1].item]
    gaps = [later.ts_ms - event.ts_ms for event, later in pairwise(events)]
    breaks = [place for place, gap in enumerate(gaps, start=1) if gap >= VISIT_GAP_MS]
    steps = len(events) - max(breaks, default=0)
    width = none + 1
    return [
        (actions[0] * width + actions[1]) * width + actions[2],
        actions[0] * width + actions[1],
        actions[0] * LATEST + [*same, 0, 0][1],
        sources[0] * width + sources[1],
        actions[0] * LATEST + (len(runs[-1]) - 1 if runs else 0),
        actions[0] * GAPS + (_gap(gaps[-1]) if gaps else NO_GAP),
        _gap(sum(gaps)) if gaps else NO_GAP,
        sum(edge <= total for edge in TOTAL_EDGES.tolist()),
        len(breaks) * LATEST + steps if events else 0,
        0,  # of prices
    ]


def _gap(gap_ms: int) -> int:
    return min((gap_ms // 1000).bit_length(), TIME_BINS - 1)


def _rounded(value: int, bits: int) -> int:
    """Return value / 2**bits, rounded half up."""
    return (value + (1 << bits - 1)) >> bits


def _sigmoid(x: int) -> int:
    return round((1 << _GATE_BITS) / (1 + math.exp(-_argument(x))))


def _tanh(x: int) -> int:
    return round((1 << _GATE_BITS) * math.tanh(_argument(x)))


def _argument(x: int) -> float:
    return min(max(x, -_EDGE), _EDGE - 1) / (1 << _WEIGHT_BITS)
