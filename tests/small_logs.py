"""Logs written out by hand."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from models.log import Log, log


def small_log(
    sequences: Sequence[str],
    splits: Sequence[str] | None = None,
    times: Sequence[Sequence[int]] | None = None,
    actions: Sequence[str] | None = None,
) -> Log:
    """Return a log of sequences "s00", "s01", ...: one letter an item, one of an action (by default all views).

    Args:
        sequences: items.
        splits: one letter a row: t(rain), v(alidation), e (test), c(ontext); by default all are for training, but for
            the last sequence, which is for validation.
        times: seconds.
        actions: letters; v, c and p are those of serving.
    """
    names = {"t": "train", "v": "validation", "e": "test", "c": "context"}
    served = {"v": "view", "c": "click", "p": "purchase"}
    if splits is None:
        splits = [("v" if k == len(sequences) - 1 else "t") * len(items) for k, items in enumerate(sequences)]
    rows = [(f"s{k:02d}", item, place) for k, items in enumerate(sequences) for place, item in enumerate(items)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "position"], orient="row").with_columns(
        action=pl.Series([served.get(letter, letter) for letter in "".join(actions or ["v" * len(rows)])]),
        split=pl.Series([names[letter] for letter in "".join(splits)]),
    )
    if times is not None:
        frame = frame.with_columns(ts_ms=pl.Series([1000 * second for some in times for second in some]))
    return log(frame)


def random_log(seed: int, sequences: int = 12, items: int = 6) -> Log:
    """Return a log with times that is cut in time: a tenth for validation, the last tenth for testing."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(2, 9, sequences)
    times = [np.cumsum(draw.integers(1, 300_000, n)) + draw.integers(0, 500_000) for n in lengths]
    order = np.sort(np.concatenate(times))
    cuts = order[[-len(order) // 5, -len(order) // 10]]
    return small_log(
        ["".join(draw.choice(list("abcdefghij"[:items]), n)) for n in lengths],
        ["".join("tve"[np.searchsorted(cuts, t, side="right")] for t in some) for some in times],
        [some.tolist() for some in times],
        ["".join(draw.choice(list("vcp"), n)) for n in lengths],
    )


def code(made: Log, letter: str) -> int:
    """Return the code of an item."""
    return made.items.index(letter)
