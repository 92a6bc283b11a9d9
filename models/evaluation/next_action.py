"""Next action, given that one comes."""

from collections.abc import Callable, Mapping

import numpy as np

from models.evaluation.binary import Curve, log_losses
from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.calibration import calibration_error
from models.evaluation.predictor import NextAction
from models.evaluation.result import Report, Scores
from models.evaluation.rows import batches, scored_rows, sequence_of, split_to_score
from models.log import Log
from models.state import Floats, Ints

_AT_ONCE = 1 << 12  # as wide a batch as a state of a network of thousands of units needs


def next_action(
    log: Log,
    predictors: Mapping[str, NextAction],
    *,
    split: str | None = None,
    replicates: int = 200,
    seed: int = 0,
    report: Callable[[int], None] = lambda _: None,
    tell: Callable[[str, Floats], None] = lambda *_: None,
) -> Report:
    """Score probabilities of the next action.

    Log-loss in nats. Macro-F1, precision and recall are of the most likely action; macro-F1 is the mean over the
    actions that come at least once. `ece` is of the probability of the most likely action; each action has its own
    beside it, against all others (`calibration` has the definition). `error` is the share of rows whose most likely
    action did not come.

    Args:
        log: with its splits.
        predictors: by name; all see the same rows.
        split: scored; by default `test` if there is any such row, else `validation`.
        replicates: draws of the bootstrap over sequences.
        seed: of these draws.
        report: told how many rows are done, over all predictors.
        tell: told each predictor's probabilities [rows, actions].

    Raises:
        NothingToScoreError: no row of the split has a row before it.
        ValueError: a predictor's probabilities are none.
    """
    split = split_to_score(log, split)
    rows = scored_rows(log, split)
    came = log.action[rows]
    draws = Bootstrap(sequence_of(log)[rows], replicates, seed)
    counts = np.bincount(came, minlength=len(log.actions))
    found, done = {}, 0
    for name, predictor in predictors.items():
        parts = []
        for batch in batches(rows, _AT_ONCE):
            parts.append(predictor.action_probabilities(log, batch))
            done += len(batch)
            report(done)
        probabilities = np.concatenate(parts).astype(np.float64)
        if not np.allclose(probabilities.sum(1), 1, atol=1e-4) or (probabilities < 0).any():
            raise ValueError(f"{name}: the probabilities of the actions do not add up to 1")
        found[name] = _scores(draws, probabilities, came, log.actions)
        tell(name, probabilities)
    about = {
        "split": split,
        "rows": len(rows),
        "sequences": draws.sequences,
        "actions": list(log.actions),
        "came": {name: int(count) for name, count in zip(log.actions, counts, strict=True)},
    }
    return Report("next-action", about, found)


def _scores(draws: Bootstrap, probabilities: Floats, came: Ints, actions: tuple[str, ...]) -> Scores:
    n, best = len(actions), probabilities.argmax(1)
    place, right = np.arange(len(came)), best == came
    cell = came * n + best

    def table(weights: Floats) -> Floats:
        return np.bincount(cell, weights[draws.place], n * n).astype(np.float64).reshape(n, n)

    confusion = table(np.ones(draws.sequences))
    there = confusion.sum(1) > 0
    figures = {
        "log_loss": draws.mean(log_losses(probabilities[place, came])),
        "macro_f1": draws.figures(lambda weights: np.array([_f1(table(weights))[there].mean()]))[0],
        "error": draws.mean((~right).astype(np.float64)),
        "ece": calibration_error(draws, probabilities[place, best], right.astype(np.float64)),
    }
    precision = draws.figures(lambda weights: np.diag(drawn := table(weights)) / drawn.sum(0))
    recall = draws.figures(lambda weights: np.diag(drawn := table(weights)) / drawn.sum(1))
    parts = {}
    for k, action in enumerate(actions):
        alone = _against_rest(draws, probabilities[:, k], (came == k).astype(np.float64))
        parts[action] = {"precision": precision[k], "recall": recall[k], **alone}
    return Scores(figures, parts, confusion.astype(int).tolist())


def _f1(confusion: Floats) -> Floats:
    """Return F1 of each action, 0 where it neither came nor was forecast [actions]."""
    marked = confusion.sum(0) + confusion.sum(1)
    scores: Floats = 2 * np.diag(confusion) / np.maximum(marked, 1)
    return scores


def _against_rest(draws: Bootstrap, probability: Floats, came: Floats) -> dict[str, Figure]:
    curve = Curve(probability, came)
    auc, precision = draws.figures(lambda weights: np.array(curve.areas(weights[draws.place])))
    return {"roc_auc": auc, "average_precision": precision, "ece": calibration_error(draws, probability, came)}
