"""Time to the next event, those that had not come when the observation ended included."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.evaluation.binary import binary_figures, log_losses
from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.concordance import Bools, Concordance
from models.evaluation.predictor import TimeToNext
from models.evaluation.result import Report, Scores
from models.evaluation.rows import (
    NothingToScoreError,
    batches,
    end_of,
    sequence_of,
    split_to_score,
    start_of,
    with_open_ends,
)
from models.features import GAP_EDGES_MS
from models.log import Log
from models.state import Floats, Ints

HOUR_MS = 3_600_000
_AT_ONCE = 1 << 12


def time_to_next(
    log: Log,
    predictors: Mapping[str, TimeToNext],
    *,
    split: str | None = None,
    horizons_ms: Sequence[int] = (HOUR_MS, 24 * HOUR_MS, 168 * HOUR_MS),
    replicates: int = 200,
    seed: int = 0,
    report: Callable[[int], None] = lambda _: None,
) -> Report:
    """Score survival curves.

    Asked is, at the row before each target, how long it takes from then on; where the split had not begun, at its
    beginning instead, given the silence until then. That a wait goes on when the split begins is known then, and a wait
    is scored because it went on: its time before says nothing of how good a forecast is.

    Log-loss in nats on the bins of `features` (edges 1 s, 2 s, 4 s, ... 97 days): minus log of the probability of the
    bin in which the event came, or, if it has not, of coming after the beginning of the bin in which the observation
    ended. Concordance is of the mean of the curve over the edges. The mean absolute error, in hours, is of the median,
    over events that came. At a horizon: P(it comes within it), over the rows that were watched for so long, whether it
    came or not: a row that was watched for less is known only if it came, and would make events too frequent.

    Args:
        log: with times and splits.
        predictors: by name; all see the same rows. They are asked about one more row a sequence (`with_open_ends`).
        split: scored; by default `test` if there is any such row, else `validation`.
        horizons_ms: at which probabilities are scored.
        replicates: draws of the bootstrap over sequences.
        seed: of these draws.
        report: told how many rows are done, over all predictors.

    Raises:
        NothingToScoreError: the log has no times, or no row of the split has a row before it.
    """
    if not log.timed:
        raise NothingToScoreError("the log has no times, only positions: there is no time to score")
    split = split_to_score(log, split)
    ended, rows, opened = with_open_ends(log, split)
    before_ms, came = ended.ts_ms[rows - 1], np.ones(len(rows), bool)
    came[opened] = False
    now_ms = np.maximum(before_ms, start_of(log, split))
    silent_ms, gap = now_ms - before_ms, (ended.ts_ms[rows] - now_ms).astype(np.float64)
    watched_ms = end_of(log, split) - now_ms
    draws = Bootstrap(sequence_of(ended)[rows], replicates, seed)
    asked = np.concatenate([GAP_EDGES_MS, np.asarray(horizons_ms, np.int64)])
    found, done = {}, 0
    for name, predictor in predictors.items():
        parts = []
        for some in batches(np.arange(len(rows)), _AT_ONCE):
            parts.append(predictor.survival(ended, rows[some], asked, silent_ms[some]))
            done += len(some)
            report(done)
        survival = np.concatenate(parts).astype(np.float64)
        edges, at_horizons = survival[:, : len(GAP_EDGES_MS)], survival[:, len(GAP_EDGES_MS) :]
        horizons = {}
        for k, horizon_ms in enumerate(horizons_ms):
            watched, within = watched_ms >= horizon_ms, came & (gap <= horizon_ms)
            horizons[f"{horizon_ms / HOUR_MS:g}h"] = _at_horizon(draws, at_horizons[:, k], within, watched)
        found[name] = Scores(_figures(draws, edges, gap, came), horizons)
    about = {
        "split": split,
        "rows": len(rows),
        "sequences": draws.sequences,
        "not_come": len(opened),
        "observed_until_ms": int(ended.ts_ms.max()),
    }
    return Report("time-to-next", about, found)


def _figures(draws: Bootstrap, survival: Floats, gap: Floats, came: Bools) -> dict[str, Figure]:
    order = Concordance(survival.mean(1), gap, came)
    error_h = np.abs(medians_ms(survival) - gap) / HOUR_MS
    observed, counted = draws.sums(came.astype(np.float64)), draws.sums(np.where(came, error_h, 0))
    return {
        "log_loss": draws.mean(log_losses(_of_bin(survival, gap, came))),
        "concordance": draws.figures(lambda weights: np.array([order.of(weights[draws.place])]))[0],
        "mae_h": draws.figures(lambda weights: np.array([weights @ counted / (weights @ observed)]))[0],
    }


def _of_bin(survival: Floats, gap: Floats, came: Bools) -> Floats:
    """Return the probability given to what was observed [rows]."""
    bin_, row = np.searchsorted(GAP_EDGES_MS, gap, side="right"), np.arange(len(gap))
    padded = np.concatenate([np.ones((len(gap), 1)), survival, np.zeros((len(gap), 1))], axis=1)
    return padded[row, bin_] - np.where(came, padded[row, bin_ + 1], 0)


def medians_ms(survival: Floats) -> Floats:
    """Return when half are expected to have come, at most the last edge, linear between edges [rows].

    Args:
        survival: at the edges of `features` [rows, edges].
    """
    padded = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    edges = np.concatenate([[0], GAP_EDGES_MS]).astype(np.float64)
    after = np.argmax(padded <= 0.5, axis=1)  # 0 where none is
    row = np.arange(len(padded))
    before = np.maximum(after - 1, 0)
    drop = padded[row, before] - padded[row, after]
    share = (padded[row, before] - 0.5) / np.where(drop > 0, drop, 1)
    median: Floats = edges[before] + share * (edges[after] - edges[before])
    return np.where(after > 0, median, edges[-1])


def _at_horizon(draws: Bootstrap, survival: Floats, within: Bools, watched: Bools) -> dict[str, Figure]:
    rows: Ints = np.flatnonzero(watched)
    if not len(rows):
        return {}
    return binary_figures(draws.at(rows), 1 - survival[rows], within[rows].astype(np.float64))
