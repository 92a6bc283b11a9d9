"""How well a number tells whether something comes: areas under the curves, log-loss, Brier score, calibration."""

import numpy as np

from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.calibration import calibration_error
from models.state import Floats

LEAST = 1e-6
"""No probability counts as less: one certain mistake must not hide everything else. Forecasts are published so."""


class Curve:
    """Rows sorted by score once, for areas under many weightings of them.

    Rows with the same score are one step of the curve: a tie counts half in the ROC-AUC, and at the precision of its
    whole step in the average precision. As in scikit-learn.

    Args:
        score: higher is more likely [rows].
        came: whether it came, 0 or 1 [rows].
    """

    def __init__(self, score: Floats, came: Floats) -> None:
        self._order = np.argsort(-score, kind="stable")
        ordered = score[self._order]
        self._ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
        self._came = came[self._order]

    def areas(self, weights: Floats) -> tuple[float, float]:
        """Return ROC-AUC and average precision, nan where only one outcome is there.

        Args:
            weights: of the rows [rows].

        >>> Curve(np.array([0.9, 0.5, 0.1]), np.array([1.0, 0.0, 1.0])).areas(np.ones(3))
        (0.5, 0.8333333333333333)
        """
        weights = weights[self._order]
        true = np.concatenate([[0], np.cumsum(weights * self._came)[self._ends]])
        false = np.concatenate([[0], np.cumsum(weights * (1 - self._came))[self._ends]])
        if true[-1] <= 0 or false[-1] <= 0:
            return float("nan"), float("nan")
        height, width = true[1:] + true[:-1], np.diff(false)
        marked = true[1:] + false[1:]
        precision = np.divide(true[1:], marked, out=np.zeros_like(marked), where=marked > 0)
        auc = (height * width).sum() / (2 * true[-1] * false[-1])
        return float(auc), float((np.diff(true) * precision).sum() / true[-1])


def log_losses(probability: Floats) -> Floats:
    """Return the loss in nats of each row, of the probability that it gave to what came [rows]."""
    losses: Floats = -np.log(np.clip(probability, LEAST, 1.0))
    return losses


def binary_figures(draws: Bootstrap, probability: Floats, came: Floats) -> dict[str, Figure]:
    """Return ROC-AUC, average precision, log-loss, Brier score and ECE of P(it comes) [rows]."""
    curve = Curve(probability, came)
    auc, precision = draws.figures(lambda weights: np.array(curve.areas(weights[draws.place])))
    return {
        "roc_auc": auc,
        "average_precision": precision,
        "log_loss": draws.mean(log_losses(np.where(came > 0, probability, 1 - probability))),
        "brier": draws.mean((probability - came) ** 2),
        "ece": calibration_error(draws, probability, came),
    }
