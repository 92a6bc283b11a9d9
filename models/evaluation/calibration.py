"""Whether probabilities can be believed: the expected calibration error.

Rows are put into 15 bins of equal mass by their probability, equal probabilities always together (so a bin may hold
more, and a constant forecast has one). ECE is the mean over the rows of |mean probability - share that came true| of
their bin (Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities using Bayesian binning, 2015; equal mass:
Nixon et al., Measuring calibration in deep learning, 2019).
"""

import numpy as np

from models.evaluation.bootstrap import Bootstrap, Figure
from models.state import Floats, Ints

BINS = 15


def mass_bins(probability: Floats) -> Ints:
    """Return the bin of each row [rows].

    >>> mass_bins(np.array([0.1, 0.1, 0.5, 0.9])).tolist()
    [0, 0, 7, 11]
    """
    before = np.searchsorted(np.sort(probability), probability, side="left")
    return before * BINS // max(len(probability), 1)


def calibration_error(draws: Bootstrap, probability: Floats, came: Floats) -> Figure:
    """Return the ECE of the probability of something, given whether it came, 0 or 1 [rows]."""
    cell = draws.place * BINS + mass_bins(probability)
    difference = np.bincount(cell, probability - came, draws.sequences * BINS).reshape(draws.sequences, BINS)
    rows = draws.sums(np.ones(len(came)))
    return draws.figures(
        lambda weights: np.array([np.abs(weights @ difference).sum() / (weights @ rows)]), centred=True
    )[0]
