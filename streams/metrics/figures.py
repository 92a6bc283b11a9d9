"""What is shown of all that the chunks of a worker told: `models.observed` as values of metrics."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.reference import Reference, shares
from models.state import Rows
from streams.metrics.asked import Values, labelled
from streams.metrics.catalogue import CATALOGUE

Ask = Callable[[], Values]

_FIELDS = {
    "nextact_conflated_total": "conflated",
    "nextact_unknown_items_total": "unknown",
    "nextact_predictions_scored_total": "scored",
    "nextact_prediction_log_loss_total": "loss",
    "nextact_predicted_actions_total": "predicted",
    "nextact_observed_actions_total": "came",
    "nextact_confidence_scored_total": "confident",
    "nextact_confidence_sum_total": "confidence",
    "nextact_confidence_correct_total": "correct",
    "nextact_churn_changes_total": "changed",
}


def figures(observed: Rows) -> Mapping[str, Ask]:
    """Return what to ask for the metrics that are sums over all chunks.

    Args:
        observed: `OBSERVED` [1], which is added to.
    """
    return {name: _ask(observed, name, field) for name, field in _FIELDS.items()}


def baseline_loss(observed: Rows, reference: Reference | None) -> float:
    """Return the sum of -ln P of the actions that came, P being their shares in the training data; NaN without.

    It is 0 as long as none came: a counter that begins with NaN has no rate in any window that reaches back to that.
    """
    if reference is None:
        return math.nan if observed["came"].any() else 0.0
    return float(-(observed["came"][0] * np.log(shares(np.array(reference.next_action)))).sum())


def _ask(observed: Rows, name: str, field: str) -> Ask:
    labels = [*CATALOGUE[name].labels.values()]

    def ask() -> Values:
        value: Any = observed[field][0]
        return labelled(labels[0], value.tolist()) if labels else {(): float(value)}

    return ask
