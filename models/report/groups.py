"""Means over groups of rows, with intervals."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap, Figure
from models.state import Floats, Ints


class Groups(msgspec.Struct):
    """Means of groups; a group without rows is left out.

    Fields:
        labels: of the groups [groups].
        place: which of those asked for they are [groups].
        rows: how many are in each [groups].
        means: by name [groups].
    """

    labels: list[str]
    place: list[int]
    rows: list[int]
    means: dict[str, list[Figure]]


def by_group(draws: Bootstrap, group: Ints, labels: Sequence[str], values: Mapping[str, Floats]) -> Groups:
    """Return the mean of each value in each group.

    Args:
        draws: of the rows' sequences.
        group: index in `labels` of each row [rows].
        labels: of the groups.
        values: by name [rows].

    >>> draws = Bootstrap(np.array([0, 0, 1]))
    >>> made = by_group(draws, np.array([0, 2, 2]), ["a", "b", "c"], {"size": np.array([1.0, 2.0, 4.0])})
    >>> made.labels, made.place, made.rows, [figure.value for figure in made.means["size"]]
    (['a', 'c'], [0, 2], [1, 2], [1.0, 3.0])
    """
    count = np.bincount(group, minlength=len(labels))
    there = np.flatnonzero(count)

    def means(weights: Floats) -> Floats:
        each = weights[draws.place]
        rows = np.bincount(group, each, len(labels))[there]
        sums = [np.bincount(group, each * value, len(labels))[there] for value in values.values()]
        return np.concatenate([total / rows for total in sums]) if sums else np.zeros(0)

    found = draws.figures(means) if len(there) else []
    return Groups(
        [labels[k] for k in there.tolist()],
        there.tolist(),
        count[there].tolist(),
        {name: found[k * len(there) : (k + 1) * len(there)] for k, name in enumerate(values)},
    )
