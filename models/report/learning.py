"""Learning curves, where a model's card keeps the history of its training."""

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
