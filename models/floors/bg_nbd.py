"""BG/NBD: people buy at a rate of their own until they drop out, after any purchase, for good.

Fader, Hardie, Lee: "Counting your customers" the easy way: an alternative to the Pareto/NBD model, Marketing Science
24(2), 2005; numbers in brackets are its equations. Fitted here in a few lines of scipy: the library of the field,
`lifetimes`, is no longer kept up, and its successors bring a probabilistic programming system along.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, hyp2f1

from models.floors.occasions import DAY_MS, Occasions, occasions
from models.log import Log
from models.state import Floats, Ints

_WEEK_DAYS = 7.0
_BOUNDS = [(-7.0, 7.0)] * 4  # of the logarithms


class Parameters(NamedTuple):
    """Of the gamma distribution of the rate a week (r, alpha), and of the beta distribution of dropping out (a, b)."""

    r: float
    alpha: float
    a: float
    b: float


class BgNbd:
    """Says who will be active and how often, from each sequence's occasions (days with an event).

    Expected are events: occasions times the moments that an occasion had on average.

    Args:
        log: of events, with times.
        rows: which of them to learn from.
    """

    def __init__(self, log: Log, rows: Ints) -> None:  # noqa: ARG002 - as all floors
        self._rows = rows

    def activity(self, log: Log, at_ms: int, horizon_ms: int) -> tuple[Floats, Floats]:
        """Return P(any event) and the expected number of events in [at, at + horizon) [sequences before `at_ms`].

        Fitted on the rows before `at_ms` that it may learn from.
        """
        _, learned = occasions(log, self._rows, at_ms)
        _, all_ = occasions(log, np.arange(len(log.item)), at_ms)
        parameters = fit(learned)
        ahead = horizon_ms / DAY_MS / _WEEK_DAYS
        each = learned.events.sum() / (learned.again + 1).sum()
        return active(parameters, all_, ahead), expected(parameters, all_, ahead) * each


def log_likelihood(of: Parameters, seen: Occasions) -> Floats:
    """Return the log-likelihood of each sequence's occasions (6) [sequences]."""
    x, age = seen.again, seen.age / _WEEK_DAYS
    alive = gammaln(of.b + x) - gammaln(of.a + of.b + x) + _log_alpha(of) - (of.r + x) * np.log(of.alpha + age)
    repeat = np.where(x > 0, x, 1)
    gone = np.log(of.a) - np.log(of.b + repeat - 1) + gammaln(of.b + x) - gammaln(of.a + of.b + x)
    gone += _log_alpha(of) - (of.r + x) * np.log(of.alpha + seen.last / _WEEK_DAYS)
    mixed = np.where(x > 0, np.logaddexp(alive, gone), alive)
    ever = gammaln(of.r + x) - gammaln(of.r) + gammaln(of.a + of.b) - gammaln(of.b)
    likelihood: Floats = ever + mixed
    return likelihood


def fit(seen: Occasions) -> Parameters:
    """Return the parameters of the greatest likelihood; sequences that are the same are counted, not repeated."""
    same, count = np.unique(np.stack([seen.again, seen.last, seen.age], axis=1), axis=0, return_counts=True)
    kinds = Occasions(same[:, 0].astype(np.int64), same[:, 1], same[:, 2], same[:, 0].astype(np.int64))

    def loss(logs: Floats) -> float:
        return float(-(count @ log_likelihood(Parameters(*np.exp(logs)), kinds)) / count.sum())

    found = minimize(loss, np.zeros(4), method="L-BFGS-B", bounds=_BOUNDS)
    return Parameters(*(float(value) for value in np.exp(found.x)))


def alive(of: Parameters, seen: Occasions) -> Floats:
    """Return P(not dropped out yet) [sequences]."""
    x, age, last = seen.again, seen.age / _WEEK_DAYS, seen.last / _WEEK_DAYS
    log_odds = np.log(of.a) - np.log(of.b + np.maximum(x, 1) - 1)
    log_odds = log_odds + (of.r + x) * (np.log(of.alpha + age) - np.log(of.alpha + last))
    probability: Floats = np.where(x > 0, 1 / (1 + np.exp(np.minimum(log_odds, 700))), 1.0)
    return probability


def active(of: Parameters, seen: Occasions, ahead: float) -> Floats:
    """Return P(any occasion within so many weeks): alive, and not silent at a rate that is known from the past.

    Given that someone is alive, the rate is gamma(r + x, alpha + age).
    """
    age = seen.age / _WEEK_DAYS
    silent = np.exp((of.r + seen.again) * (np.log(of.alpha + age) - np.log(of.alpha + age + ahead)))
    probability: Floats = alive(of, seen) * (1 - silent)
    return probability


def expected(of: Parameters, seen: Occasions, ahead: float) -> Floats:
    """Return the expected number of occasions within so many weeks (10) [sequences]."""
    x, age = seen.again, seen.age / _WEEK_DAYS
    a = of.a if abs(of.a - 1) > 1e-6 else 1 + 1e-6  # the limit is finite
    ratio = hyp2f1(of.r + x, of.b + x, a + of.b + x - 1, ahead / (of.alpha + age + ahead))
    kept = np.exp((of.r + x) * (np.log(of.alpha + age) - np.log(of.alpha + age + ahead)))
    number: Floats = (a + of.b + x - 1) / (a - 1) * (1 - kept * ratio) * alive(of, seen)
    return number


def _log_alpha(of: Parameters) -> float:
    return of.r * float(np.log(of.alpha))
