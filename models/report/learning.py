"""Learning curves, where a model's card keeps the history of its training."""

from math import inf
from typing import Any

import msgspec


class Epoch(msgspec.Struct):
    """One pass over the training rows.

    Fields:
        epoch: from 1 on.
        loss: mean over it, as it is minimised.
        validation_loss: after it, weighted as it is judged by; None: there was nothing to judge by.
        heads: validation loss after it by head.
    """

    epoch: int
    loss: float
    validation_loss: float | None = None
    heads: dict[str, float] = {}


def learning_curves(metrics: dict[str, Any]) -> list[Epoch]:
    """Return the epochs in `history` of a card's metrics; none if there is no such history.

    >>> learning_curves({"history": [{"epoch": 1, "loss": 2.5}]})
    [Epoch(epoch=1, loss=2.5, validation_loss=None, heads={})]
    """
    try:
        return msgspec.convert(metrics.get("history", []), list[Epoch])
    except msgspec.ValidationError:  # of another version
        return []


def best(epochs: list[Epoch]) -> Epoch:
    """Return the epoch whose weights were kept: the first of the least validation loss, the last where there is none.

    >>> best([Epoch(1, 2.0, 1.5), Epoch(2, 1.0, 1.2), Epoch(3, 0.5, 1.3)]).epoch
    2
    """
    if epochs[-1].validation_loss is None:
        return epochs[-1]
    return min(epochs, key=lambda epoch: inf if epoch.validation_loss is None else epoch.validation_loss)
