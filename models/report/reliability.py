"""Whether probabilities can be believed: of what was given 30 %, do 30 % come?"""

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.calibration import BINS, calibration_error, mass_bins
from models.state import Floats

HISTOGRAM = 20
"""Bars of the histogram, of equal width from 0 to 1."""


class Reliability(msgspec.Struct):
    """A reliability diagram on the bins of the calibration error: of equal mass, equal probabilities together.

    Fields:
        rows: in all.
        said: mean probability of each bin.
        came: share of each bin that came true.
        in_bin: rows of each bin.
        histogram: rows by probability, in `HISTOGRAM` bars.
        ece: expected calibration error.
    """

    rows: int
    said: list[float]
    came: list[Figure]
    in_bin: list[int]
    histogram: list[int]
    ece: Figure


def reliability(draws: Bootstrap, probability: Floats, came: Floats) -> Reliability:
    """Return the diagram of P(it comes), given whether it came, 0 or 1 [rows].

    >>> made = reliability(Bootstrap(np.arange(4)), np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.0, 1.0, 1.0, 1.0]))
    >>> made.said, [share.value for share in made.came], made.histogram[4], round(made.ece.value, 6)
    ([0.2, 0.8], [0.5, 1.0], 2, 0.25)
    """
    bins = mass_bins(probability)
    rows = np.bincount(bins, minlength=BINS)
    used = np.flatnonzero(rows)

    def shares(weights: Floats) -> Floats:
        each = weights[draws.place]
        return (np.bincount(bins, each * came, BINS) / np.bincount(bins, each, BINS))[used]

    return Reliability(
        rows=len(came),
        said=(np.bincount(bins, probability, BINS)[used] / rows[used]).tolist(),
        came=draws.figures(shares),
        in_bin=rows[used].tolist(),
        histogram=np.histogram(np.clip(probability, 0, 1), HISTOGRAM, (0, 1))[0].tolist(),
        ece=calibration_error(draws, probability, came),
    )
