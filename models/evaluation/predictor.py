"""What a predictor is to the evaluation: a trained model and a floor look the same.

A predictor has the methods of the tasks that it can do. It answers for the target at a row from the rows before it in
its sequence, never from the row itself or later ones. Rows come in batches, in order, so that the states of a sequence
need be computed once.
"""

from typing import Protocol, runtime_checkable

from models.log import Log
from models.state import Floats, Ints


@runtime_checkable
class NextItem(Protocol):
    """Ranks items."""

    def item_scores(self, log: Log, rows: Ints) -> Floats:
        """Return how likely each item is, higher is more likely, -inf allowed [rows, len(log.items)]."""
        ...


@runtime_checkable
class ItemProbability(Protocol):
    """Ranks items by probabilities, which can be scored themselves; beside `NextItem`."""

    def item_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return P(item) [rows, len(log.items)]; 0 is allowed, and where some items cannot come the others grow."""
        ...


@runtime_checkable
class NextAction(Protocol):
    """Tells the next action."""

    def action_probabilities(self, log: Log, rows: Ints) -> Floats:
        """Return P(action), given that one comes [rows, len(log.actions)]; each row sums to 1."""
        ...


@runtime_checkable
class TimeToNext(Protocol):
    """Tells when the next event comes."""

    def survival(self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None) -> Floats:
        """Return P(the target comes later than the horizon from now) [rows, horizons].

        Args:
            log: of events.
            rows: targets [rows].
            horizons_ms: how far ahead [horizons].
            silent_ms: how long before now the row before the target was; by default it is now [rows].
        """
        ...


@runtime_checkable
class TimesToNext(TimeToNext, Protocol):
    """Tells when something comes, by what that is."""

    def survival(
        self, log: Log, rows: Ints, horizons_ms: Ints, silent_ms: Ints | None = None, *, target: int = 0
    ) -> Floats:
        """Return the same of a target by its number; the first is any event [rows, horizons]."""
        ...


@runtime_checkable
class Churn(Protocol):
    """Tells who stays."""

    def activity(self, log: Log, at_ms: int, horizon_ms: int) -> tuple[Floats, Floats]:
        """Return P(any event) and the expected number of events in [at, at + horizon), from the rows before `at_ms`.

        Rows of one time are one event: what is bought together is one purchase.

        Both [sequences with a row before at_ms], in the log's order.
        """
        ...
