"""All numbers of a report; what a log cannot give is left out, with the reason."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from models.evaluation.predictor import NextAction, NextItem, TimesToNext
from models.evaluation.rows import scored_rows, sequence_of
from models.log import Log
from models.report.actions import Actions, actions
from models.report.asked import Asked, Counting, unseen
from models.report.items import Items, items
from models.report.learning import Epoch
from models.report.times import ANY, Times, times


class Predictor(NextItem, NextAction, TimesToNext, Protocol):
    """What a report is about."""


class Numbers(msgspec.Struct):
    """What a report shows.

    Fields:
        asked: what was scored and how.
        rows, sequences: how many were.
        learning: epochs of the training.
        actions, items, times: by what is predicted.
        left_out: why, by what is left out.
    """

    asked: Asked
    rows: int
    sequences: int
    learning: list[Epoch]
    items: Items
    actions: Actions | None
    times: Times | None
    left_out: dict[str, str]


def numbers(
    log: Log,
    model: Predictor,
    targets: Sequence[str],
    learning: list[Epoch],
    asked: Asked,
    counting: Counting = unseen,
) -> Numbers:
    """Work out a report.

    Args:
        log: with its splits.
        model: what it is about.
        targets: what it can be asked to wait for, none if it knows no times.
        learning: epochs of its training.
        asked: how to score.
        counting: shows the progress.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    left_out = {}
    if not learning:
        left_out["Learning curves"] = "the model directory keeps no history of its training."
    told_apart = len(log.actions) > 1
    if not told_apart:
        left_out["Next action"] = f"every event is “{log.actions[0]}”: there is nothing to tell apart."
    if not log.timed:
        left_out["Season, trend and times"] = "the log has positions and no times."
    elif ANY not in targets:
        left_out["Times"] = "the model learnt from a log without times."
    rows = scored_rows(log, asked.split)
    made = Numbers(
        asked=asked,
        rows=len(rows),
        sequences=len(set(sequence_of(log)[rows].tolist())),
        learning=learning,
        items=items(log, model, asked, counting),
        actions=actions(log, model, asked, counting) if told_apart else None,
        times=times(log, model, targets, asked, counting) if log.timed and ANY in targets else None,
        left_out=left_out,
    )
    if log.timed and made.actions is not None and made.actions.hours is None:
        left_out["Season and trend"] = "no forecast was made after the scored rows begin."
    if made.times is not None:
        reason = "none came after a forecast that was made since the scored rows begin."
        left_out |= {f"Time to {target}": reason for target in targets if target not in made.times.waiting}
    return made
