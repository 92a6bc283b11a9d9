"""What a threshold on a probability finds and what it costs: ROC and precision-recall."""

import msgspec
import numpy as np

from models.evaluation.bootstrap import Figure
from models.state import Floats

_POINTS = 150


class Thresholds(msgspec.Struct):
    """Points of both curves, from the highest threshold to the lowest: the i-th of each list is one threshold.

    Fields:
        rows: how many are told apart.
        came: in how many of them it came.
        recall: share of what came that lies above the threshold.
        false_alarms: share of what did not come that lies above it.
        precision: share of what lies above it that came; nan where nothing does.
        roc_auc, average_precision: areas under the curves.
    """

    rows: int
    came: int
    recall: list[float]
    false_alarms: list[float]
    precision: list[float]
    roc_auc: Figure
    average_precision: Figure


def thresholds(probability: Floats, came: Floats, roc_auc: Figure, average_precision: Figure) -> Thresholds:
    """Return the curves of P(it comes), given whether it came, 0 or 1 [rows]; at most some 200 points of them.

    Rows of the same probability are one step.

    >>> none = Figure(0.0, 0.0, 0.0)
    >>> curve = thresholds(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), none, none)
    >>> curve.recall, curve.false_alarms
    ([0.0, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0])
    """
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    true, false = np.cumsum(came[order])[ends], np.cumsum(1 - came[order])[ends]
    # evenly, and closer together among the first, where precision moves most
    points = [np.linspace(0, len(ends) - 1, _POINTS), np.geomspace(1, len(ends), _POINTS // 3) - 1]
    kept = np.unique(np.concatenate(points).astype(int))
    true, false = np.append(0, true[kept]), np.append(0, false[kept])
    with np.errstate(invalid="ignore"):
        precision = true / (true + false)
        recall, false_alarms = true / true[-1], false / false[-1]
    return Thresholds(
        len(came),
        int(came.sum()),
        recall.tolist(),
        false_alarms.tolist(),
        precision.tolist(),
        roc_auc,
        average_precision,
    )
