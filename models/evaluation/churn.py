"""Churn: who does anything in the time after a moment, and how much."""

from collections.abc import Callable, Mapping

import numpy as np

from models.evaluation.binary import Curve, binary_figures
from models.evaluation.bootstrap import Bootstrap
from models.evaluation.predictor import Churn
from models.evaluation.result import Report, Scores
from models.evaluation.rows import NothingToScoreError, moments, sequence_of
from models.log import Log
from models.state import Floats


def churn(
    log: Log,
    predictors: Mapping[str, Churn],
    *,
    at_ms: int,
    horizon_ms: int,
    replicates: int = 200,
    seed: int = 0,
    report: Callable[[int], None] = lambda _: None,
) -> Report:
    """Score what is said at one moment of everyone who has been there before it.

    Scored is P(any event) in [at, at + horizon), the probability that the user has not churned, and the expected
    number of events in it: its mean absolute error, and, as it may rank people better, its ROC-AUC of any event. Splits
    do not matter: what was learned from must lie before `at_ms`. Rows of one time are one event: what is bought
    together is one purchase.

    Args:
        log: its sequences are users.
        predictors: by name; all see the same users.
        at_ms: the moment.
        horizon_ms: how far ahead.
        replicates: draws of the bootstrap over users.
        seed: of these draws.
        report: told how many users are done, over all predictors.

    Raises:
        NothingToScoreError: the log has no times, no event before the moment, or none in the time after it.
    """
    if not log.timed:
        raise NothingToScoreError("the log has no times, only positions: there is no moment to score at")
    sequence, users = sequence_of(log), len(log.first)
    before = np.bincount(sequence[log.ts_ms < at_ms], minlength=users) > 0
    ahead = moments(log) & (log.ts_ms >= at_ms) & (log.ts_ms < at_ms + horizon_ms)
    count = np.bincount(sequence[ahead], minlength=users)[before].astype(np.float64)
    if not before.any():
        raise NothingToScoreError("no event lies before the moment to score at")
    if not ahead.any():
        raise NothingToScoreError("no event lies in the time to score, from that moment to the horizon")
    draws = Bootstrap(np.arange(len(count)), replicates, seed)
    came, found = np.minimum(count, 1), {}
    for done, (name, predictor) in enumerate(predictors.items(), 1):
        probability, expected = predictor.activity(log, at_ms, horizon_ms)
        figures = binary_figures(draws, probability, came)
        figures["roc_auc_of_count"] = draws.figures(_area(Curve(expected, came)))[0]
        found[name] = Scores(figures | {"mae_count": draws.mean(np.abs(expected - count))})
        report(done * len(count))
    about = {
        "at_ms": at_ms,
        "horizon_ms": horizon_ms,
        "observed_until_ms": int(log.ts_ms.max()),
        "rows": len(count),
        "active_share": float(came.mean()),
        "mean_count": float(count.mean()),
    }
    return Report("churn", about, found)


def _area(curve: Curve) -> Callable[[Floats], Floats]:
    return lambda weights: np.array([curve.areas(weights)[0]])
