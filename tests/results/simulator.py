"""A model beside the known truth: simulated shoppers, whose every chance follows from a state that no log shows."""

from datetime import UTC, datetime
from itertools import islice
from time import monotonic
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from models.features import GAP_EDGES_MS
from models.log import SPLITS, Log, log
from models.model_directory import Card, Model
from models.network import CELLS, time_loss
from models.sequences import IGNORED, inputs, targets
from models.simulator import Shop, State, next_action_probabilities, next_item_probabilities, states, survival
from models.simulator.crowd import frame
from models.state import Floats
from models.training import train
from models.training_table import Parts, aims, parts
from models.updates import Options
from models.validation import Validation
from results.checkout import Code
from results.kept import HEADS, Held

START_MS = 1_750_000_000_000
EVENTS = 60_000
USERS = 500


class _Asked(NamedTuple):
    """What the last tenth of a log asks: everything that makes a loss of a row."""

    made: Parts
    rows: Tensor
    past: list[State]  # what was known after each of these rows, and to nobody


def held(seed: int, code: Code, events: int = EVENTS, users: int = USERS, epochs: int | None = None) -> Held:
    """Train on simulated shoppers, and hold the model against the truth on what they did afterwards."""
    shop = Shop(users=users, items=200)
    past = list(islice(states(shop, START_MS), events))
    read = _cut(log(frame(shop, past).with_columns(state=pl.int_range(pl.len()))))
    began_s = monotonic()
    options = Options(seed=seed, epochs=epochs)
    model = train(read, Card(name="simulated"), options)
    seconds = monotonic() - began_s
    asked = _asked(read, model, options, past)
    return Held(
        seed=seed,
        events=events,
        rows=len(asked.rows),
        model=_of_model(asked, model),
        truth=_of_truth(asked, shop, model),
        seconds=round(seconds, 1),
        commit=code.commit,
        tree=code.tree,
        scored_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cut(read: Log) -> Log:
    """Return the log with its last tenth by time to judge by, and the tenth before to choose by."""
    order = np.sort(read.ts_ms)
    cuts = order[[-len(order) // 5, -len(order) // 10]]
    return read._replace(split=np.searchsorted(cuts, read.ts_ms, side="right").astype(np.int8))


def _asked(read: Log, model: Model, options: Options, past: list[State]) -> _Asked:
    card = model.card
    made = parts(
        read,
        utc_offset_h=card.utc_offset_h,
        leave_after_ms=card.leave_after_ms,
        item_count=options.item_count,
        item_cap=options.item_cap,
    )
    seen = inputs(read, made.heads, made.items, card.utc_offset_h)
    judged = aims(targets(read, SPLITS[2], made.heads, card.leave_after_ms), seen)
    made = made._replace(validation=judged)
    rows = torch.nonzero(judged.known)[:, 0]
    places = read.columns["state"].to_numpy()[rows.numpy()]
    return _Asked(made, rows, [past[place] for place in places])


def _of_model(asked: _Asked, model: Model) -> dict[str, float]:
    weights = {name: torch.from_numpy(np.asarray(weight)) for name, weight in model.weights.items()}
    by_head = Validation(asked.made, CELLS[model.card.network]).losses(weights)
    action, item, wait = by_head[:3].tolist()
    known = (asked.made.validation.next_item[asked.rows] > 0).double().mean().item()
    return dict(zip(HEADS, (action, item / known, wait), strict=True))


def _of_truth(asked: _Asked, shop: Shop, model: Model) -> dict[str, float]:
    judged = asked.made.validation
    outcome = judged.next_action[asked.rows].numpy()
    chances = np.array([next_action_probabilities(shop, state) for state in asked.past])
    said = outcome != IGNORED
    action = -np.log(chances[said, outcome[said]]).mean()
    wanted = judged.next_item[asked.rows].numpy()
    number = {row: int(name[1:]) for row, name in enumerate(model.items, 1)}  # "i00042" is item 42
    item = -np.mean(
        [
            np.log(next_item_probabilities(shop, state)[number[row]])
            for state, row in zip(asked.past, wanted.tolist(), strict=True)
            if row
        ]
    )
    logits = torch.from_numpy(np.array([_hazard_logits(shop, state) for state in asked.past]))
    rows = asked.rows
    times = (judged.bins[rows, 0], judged.shares[rows, 0], judged.came[rows, 0])
    wait = time_loss(logits, *times, judged.since_bins[rows], judged.since_shares[rows]).mean()
    return dict(zip(HEADS, (float(action), float(item), float(wait)), strict=True))


def _hazard_logits(shop: Shop, state: State) -> Floats:
    """Return the logits of the hazards of the bins of `features` [bins]; within a bin, as models have it, even."""
    edges = np.append(GAP_EDGES_MS, 2 * GAP_EDGES_MS[-1])
    staying = np.concatenate([[1.0], survival(shop, state, edges)])
    hazard = np.clip(1 - staying[1:] / np.maximum(staying[:-1], 1e-300), 1e-12, 1 - 1e-12)
    logits: Floats = np.log(hazard) - np.log1p(-hazard)
    return logits
