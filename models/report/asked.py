"""How a report is scored, and how its progress is told."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, TypeAlias

MODEL = "model"
"""The model's name beside the floors."""


class Asked(NamedTuple):
    """What is asked for.

    Fields:
        split: whose rows are scored.
        k: length of the lists.
        exclude_seen: leave out the items of the row's own history.
        utc_offset_h: hours from UTC to the shop's time.
        replicates: draws of the bootstrap over sequences.
        seed: of these draws.
    """

    split: str
    k: int = 20
    exclude_seen: bool = False
    utc_offset_h: int = 0
    replicates: int = 200
    seed: int = 0


Counting: TypeAlias = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Shows the progress of something in so many steps; what it yields takes the number done."""


@contextmanager
def unseen(what: str, total: int | None) -> Iterator[Callable[[int], None]]:  # noqa: ARG001 - a `Counting`
    """Show nothing."""
    yield lambda done: None  # noqa: ARG005
