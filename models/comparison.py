"""Networks held side by side: what each reached on the same validation rows, and how far its seeds lie apart."""

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from models.cells.sizes import NETWORKS
from models.validation_floors import strongest

BYTES_A_NUMBER = 1
"""Of the state, as in the row: 8 bits."""

TITLES = {
    "loss": "all heads, loss",
    "action_log_loss": "next action, log-loss",
    "item_log_loss": "next item, log-loss",
    "recall_at_20": "next item, recall at 20",
    "ndcg_at_20": "next item, NDCG at 20",
    "time_log_loss": "time to the next event, log-loss",
    "purchase_log_loss": "time to the next purchase, log-loss",
}
"""What is compared, in nats a row and as shares; the last two not where a log has no times, or no purchases."""

HIGHER_IS_BETTER = ("recall_at_20", "ndcg_at_20")


class Run(NamedTuple):
    """One training.

    Fields:
        network, seed: which.
        cpu_s: processor time that it took, validation included.
        epochs: begun.
        cut: whether it ended for want of time.
        figures: of `TITLES`, on validation rows.
    """

    network: str
    seed: int
    cpu_s: float
    epochs: int
    cut: bool
    figures: dict[str, float]


class Spread(NamedTuple):
    """Median, least and largest of the seeds."""

    middle: float
    low: float
    high: float


class Standing(NamedTuple):
    """A network in the comparison.

    Fields:
        network: its name.
        state_bytes: what it keeps of a user between two events, at 8 bits a number.
        cpu_s: processor time of a training.
        figures: of `TITLES`.
    """

    network: str
    state_bytes: int
    cpu_s: Spread
    figures: dict[str, Spread]


def figures(validation: dict[str, Any]) -> dict[str, float]:
    """Return what is compared of a card's `metrics["validation"]`."""
    item = validation["next_item"]
    found = {
        "loss": validation["loss"],
        "action_log_loss": validation["next_action"]["log_loss"],
        "item_log_loss": item["log_loss"],
        "recall_at_20": item["recall_at_20"],
        "ndcg_at_20": item["ndcg_at_20"],
    }
    for name, head in (("time_log_loss", "time_to_any"), ("purchase_log_loss", "time_to_purchase")):
        if head in validation:
            found[name] = -validation[head]["log_likelihood"]
    return found


class Floor(NamedTuple):
    """The best simple predictor of something: its figure on the same rows, and its name."""

    value: float
    name: str


def floors(validation: dict[str, Any]) -> dict[str, Floor]:
    """Return the best of the floors that a card's `metrics["validation"]` has, for those of `TITLES` that have one."""
    heads = {
        "action_log_loss": "next_action",
        "recall_at_20": "next_item",
        "time_log_loss": "time_to_any",
        "purchase_log_loss": "time_to_purchase",
    }
    there = {figure: head for figure, head in heads.items() if head in validation["floors"]}
    best = {figure: strongest(validation["floors"][head], head) for figure, head in there.items()}
    return {figure: Floor(value, name) for figure, (name, value) in best.items()}


def behind(figure: str, value: float, floor: Floor) -> bool:
    """Return whether a figure of `TITLES` is worse than its floor.

    >>> behind("recall_at_20", 0.1, Floor(0.2, "Markov-1")), behind("time_log_loss", 0.1, Floor(0.2, "one curve"))
    (True, False)
    """
    return value < floor.value if figure in HIGHER_IS_BETTER else value > floor.value


def standings(runs: Sequence[Run]) -> list[Standing]:
    """Return each network with the spread over its runs, in the order of the runs.

    >>> runs = [Run("lru", seed, 10.0 + seed, 3, False, {"loss": 2.0 - seed}) for seed in range(3)]
    >>> standings(runs)[0].state_bytes, standings(runs)[0].figures["loss"]
    (256, Spread(middle=1.0, low=0.0, high=2.0))
    """
    found = []
    for network in dict.fromkeys(run.network for run in runs):
        mine = [run for run in runs if run.network == network]
        found.append(
            Standing(
                network,
                NETWORKS[network].state * BYTES_A_NUMBER,
                _spread([run.cpu_s for run in mine]),
                {name: _spread([run.figures[name] for run in mine]) for name in mine[0].figures},
            )
        )
    return found


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
