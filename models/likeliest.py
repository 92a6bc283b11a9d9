"""How sure to be of the likeliest item: the most of many guesses is too high, by no factor of what the scores are of.

The probability of a row's likeliest item goes through one curve, `1 / (1 + exp(-(a log p - b log(1 - p) + c)))`, fitted
on whether it came: beta calibration (Kull, Silva Filho, Flach, Beta calibration: a well-founded and easily implemented
improvement on logistic calibration for binary classifiers, AISTATS 2017). The other items share what is left as before.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from models.state import Floats, Ints

Curve: TypeAlias = tuple[float, float, float]
"""a, b and c; a and b are not negative, so that who is surer stays so."""

Bools: TypeAlias = npt.NDArray[np.bool_]

AS_SAID: Curve = (1.0, 1.0, 0.0)
"""The curve that changes nothing."""

_HELD = 10.0  # strength of the prior that holds a curve near `AS_SAID`: so many rows that say so
_STEPS = 30
_NEAR = 1e-6  # a step shorter than this is the last
_LEAST = 1e-9  # no probability is nearer to 0 or 1
_AHEAD = 1 + 1e-6  # how many times the second's probability the likeliest's is at least


def bent(curve: Curve, sure: Floats) -> Floats:
    """Return what a curve makes of probabilities, any shape.

    >>> bent(AS_SAID, np.array([0.2, 0.9])).round(3).tolist()
    [0.2, 0.9]
    >>> bent((0.8, 0.0, -0.6), np.array([0.2, 0.9])).round(3).tolist()
    [0.132, 0.335]
    """
    a, b, c = curve
    sure = np.clip(sure, _LEAST, 1 - _LEAST)
    found: Floats = 1 / (1 + np.exp(b * np.log1p(-sure) - a * np.log(sure) - c))
    return found


def put_right(probabilities: Floats, curve: Curve) -> Floats:
    """Bend the largest probability of each row and scale the others to what is left of 1; no two change places.

    An item that has all stays certain: there is nobody to give to.

    Args:
        probabilities: changed in place [n, items].
        curve: of the largest.

    >>> put_right(np.array([[0.1, 0.6, 0.3]]), (1.0, 1.0, -0.2)).round(3).tolist()
    [[0.112, 0.551, 0.337]]
    """
    if curve == AS_SAID or not probabilities.shape[1]:
        return probabilities
    row, most = np.arange(len(probabilities)), probabilities.argmax(1)
    sure = probabilities[row, most].astype(np.float64)
    probabilities[row, most] = 0
    second, others = probabilities.max(1).astype(np.float64), probabilities.sum(1, dtype=np.float64)
    shared = others > 0
    least = np.divide(_AHEAD * second, others + _AHEAD * second, out=np.zeros(len(row)), where=shared)
    now = np.where(shared, np.maximum(bent(curve, sure), least), sure)
    probabilities *= np.divide(1 - now, others, out=np.zeros(len(row)), where=shared)[:, None]
    probabilities[row, most] = now
    return probabilities


def fit(sure: Floats, came: Bools) -> Curve:
    """Return the curve of the least log-loss, held near `AS_SAID` by a weak prior, by Newton's method.

    Args:
        sure: probability of the likeliest item [n].
        came: whether it did [n].
    """
    sure, prior = np.clip(sure, _LEAST, 1 - _LEAST), np.array(AS_SAID)
    parts = np.stack([np.log(sure), -np.log1p(-sure), np.ones_like(sure)], 1)
    free, found = np.ones(3, np.bool_), prior.copy()
    while True:
        for _ in range(_STEPS):
            said = 1 / (1 + np.exp(-(parts @ found)))
            slope = parts.T @ (said - came) + _HELD * (found - prior)
            turn = (parts * (said * (1 - said))[:, None]).T @ parts + _HELD * np.eye(3)
            step = np.linalg.solve(turn[np.ix_(free, free)], slope[free])
            found[free] -= step / max(1.0, float(np.abs(step).max()))
            if float(np.abs(step).max()) < _NEAR:
                break
        falls = free & (found < 0) & np.array([True, True, False])
        if not falls.any():
            a, b, c = found.tolist()
            return a, b, c
        free, found = free & ~falls, np.where(falls, 0.0, found)


def fit_by_fold(sure: Floats, came: Bools, fold: Ints, folds: int) -> Floats:
    """Return what the curve fitted on the other folds makes of each probability [n].

    Args:
        sure: probability of the likeliest item [n].
        came: whether it did [n].
        fold: of each row [n].
        folds: how many there are.
    """
    found = np.empty(len(sure))
    for k in range(folds):
        mine = fold == k
        found[mine] = bent(fit(sure[~mine], came[~mine]), sure[mine])
    return found
