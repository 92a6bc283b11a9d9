"""Next item: full ranking over all items that were there to be learned."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from models.evaluation.binary import log_losses
from models.evaluation.bootstrap import Bootstrap, Figure
from models.evaluation.calibration import calibration_error
from models.evaluation.predictor import ItemProbability, NextItem
from models.evaluation.ranking import ranked
from models.evaluation.result import Report, Scores
from models.evaluation.rows import batches, histories, known_rows, scored_rows, sequence_of, split_to_score, starts
from models.log import Log
from models.state import Floats, Ints

Bools: TypeAlias = npt.NDArray[np.bool_]


class Lists(NamedTuple):
    """What a predictor said of the scored rows.

    Fields:
        rank: place of the item that came, possibly a half; inf: never found [rows].
        novelty: mean information of the items listed, in bits [rows].
        chance: probability of the item that came; 0 where the predictor gives none [rows].
        surest: probability of the most likely item [rows].
        listed: in how many lists of k each item stands [items].
    """

    rank: Floats
    novelty: Floats
    chance: Floats
    surest: Floats
    listed: Ints


def next_item(
    log: Log,
    predictors: Mapping[str, NextItem],
    *,
    split: str | None = None,
    k: int = 20,
    exclude_seen: bool = False,
    replicates: int = 200,
    seed: int = 0,
    report: Callable[[int], None] = lambda _: None,
    tell: Callable[[str, Lists], None] = lambda *_: None,
) -> Report:
    """Score rankings of the next item.

    Candidates are the items of the rows that may be learned from. An item that is none counts as missed and stays in
    the denominator. Ties: see `ranking`. With one relevant item, recall at k is the share found among the first k, MRR
    counts 1 / rank of these, NDCG 1 / log2(1 + rank). Coverage is the share of the candidates in at least one list of
    k; novelty the mean information -log2(share of the learnable rows) in bits of the items listed (Vargas and Castells,
    Rank and relevance in novelty and diversity metrics, 2011). Probabilities, where a predictor gives them, are scored
    by log-loss in nats, an item never learned at `binary.LEAST`, and by the ECE of the most likely item.

    Args:
        log: with its splits.
        predictors: by name; all see the same rows.
        split: scored; by default `test` if there is any such row, else `validation`.
        k: length of the lists.
        exclude_seen: leave out the items that are among the row's own history: where nothing comes twice.
        replicates: draws of the bootstrap over sequences.
        seed: of these draws.
        report: told how many rows are done, over all predictors.
        tell: told what each predictor said of the rows.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    split = split_to_score(log, split)
    rows, known = scored_rows(log, split), known_rows(log, split)
    counts = np.bincount(log.item[known], minlength=len(log.items))
    candidates = counts > 0
    wanted, first = log.item[rows], starts(log)
    draws = Bootstrap(sequence_of(log)[rows], replicates, seed)
    information = -np.log2(np.maximum(counts, 1) / max(counts.sum(), 1))
    found, done = {}, 0
    for name, predictor in predictors.items():
        place, (rank, novelty, chance, surest) = 0, np.zeros((4, len(rows)))
        made = Lists(rank, novelty, chance, surest, listed=np.zeros(len(log.items), np.int64))
        for batch in batches(rows, len(log.items)):
            seen = histories(log, batch, first[batch]) if exclude_seen else None
            part = slice(place, place := place + len(batch))
            if isinstance(predictor, ItemProbability):
                scores = _possible(predictor.item_probabilities(log, batch), candidates, seen)
                made.chance[part], made.surest[part] = scores[np.arange(len(batch)), wanted[part]], scores.max(1)
            else:
                scores = predictor.item_scores(log, batch)
            made.rank[part], top = ranked(scores, wanted[part], candidates, k, seen)
            shown = top >= 0
            made.listed[:] += np.bincount(top[shown], minlength=len(log.items))
            made.novelty[part] = np.where(shown, information[top], 0).sum(1) / np.maximum(shown.sum(1), 1)
            done += len(batch)
            report(done)
        figures = _figures(draws, made.rank, k)
        if isinstance(predictor, ItemProbability):
            figures["log_loss"] = draws.mean(log_losses(made.chance))
            figures["ece"] = calibration_error(draws, made.surest, (made.rank == 1).astype(np.float64))
        coverage = (made.listed > 0).sum() / candidates.sum()
        found[name] = Scores(figures | {"coverage": _alone(coverage), "novelty": draws.mean(made.novelty)})
        tell(name, made)
    about = {
        "split": split,
        "rows": len(rows),
        "sequences": draws.sequences,
        "k": k,
        "exclude_seen": exclude_seen,
        "candidates": int(candidates.sum()),
        "rows_with_item_never_learned": int((~candidates[wanted]).sum()),
        "ties": "middle",
    }
    return Report("next-item", about, found)


def _possible(probabilities: Floats, candidates: Bools, seen: tuple[Ints, Ints] | None) -> Floats:
    """Return the probabilities given that one of the items comes that can [rows, items]."""
    kept = probabilities * candidates
    if seen is not None:
        items, ends = seen
        kept[np.repeat(np.arange(len(kept)), np.diff(ends)), items] = 0
    total = kept.sum(1, keepdims=True)
    possible: Floats = np.divide(kept, total, out=np.zeros_like(kept), where=total > 0)
    return possible


def _figures(draws: Bootstrap, rank: Floats, k: int) -> dict[str, Figure]:
    hit = rank <= k
    return {
        "recall": draws.mean(hit.astype(np.float64)),
        "mrr": draws.mean(np.where(hit, 1 / rank, 0)),
        "ndcg": draws.mean(np.where(hit, 1 / np.log2(1 + rank), 0)),
    }


def _alone(value: float) -> Figure:
    """Return a figure without an interval: drawing sequences again can only make the coverage smaller."""
    return Figure(float(value), float("nan"), float("nan"))
