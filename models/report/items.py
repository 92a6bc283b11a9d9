"""The next item: figures beside floors, by what was known of the user, by how popular the item is that came."""

import msgspec
import numpy as np

from models.evaluation.bootstrap import Bootstrap
from models.evaluation.next_item import Lists, next_item
from models.evaluation.predictor import NextItem
from models.evaluation.result import Report
from models.evaluation.rows import known_rows, scored_rows, sequence_of
from models.floors.catalogue import NEXT_ITEM
from models.log import Log
from models.report.asked import MODEL, Asked, Counting, unseen
from models.report.groups import Groups, by_group
from models.report.slices import HISTORIES, TENTHS, Listed, history, most_listed, tenths
from models.report.table import beside_floors

_FLOORS = ("popularity", "Markov-1")


class Items(msgspec.Struct):
    """What was said of the next item.

    Fields:
        table: the model beside the floors.
        recall_by_history: recall at k of the model and of some floors, by events before the row.
        recall_by_popularity: the same by tenth of the items.
        of_lists: share of the places in the model's lists that each tenth of the items has, "new" last.
        of_targets: share of what came that it has.
        most_listed: the items in most of the model's lists.
    """

    table: Report
    recall_by_history: Groups
    recall_by_popularity: Groups
    of_lists: list[float]
    of_targets: list[float]
    most_listed: list[Listed]


def items(log: Log, model: NextItem, asked: Asked, counting: Counting = unseen) -> Items:
    """Score the next item.

    Raises:
        NothingToScoreError: no row of the split has a row before it.
    """
    said: dict[str, Lists] = {}
    settings = {"k": asked.k, "exclude_seen": asked.exclude_seen, "tell": said.__setitem__}
    table = beside_floors("next item", next_item, NEXT_ITEM, log, model, asked, counting, **settings)
    rows = scored_rows(log, asked.split)
    counts = np.bincount(log.item[known_rows(log, asked.split)], minlength=len(log.items))
    draws = Bootstrap(sequence_of(log)[rows], asked.replicates, asked.seed)
    hits = {name: (said[name].rank <= asked.k).astype(np.float64) for name in (*_FLOORS, MODEL)}
    tenth, wanted, listed = tenths(counts), log.item[rows], said[MODEL].listed
    return Items(
        table,
        by_group(draws, history(log, rows), HISTORIES, hits),
        by_group(draws, tenth[wanted], TENTHS, hits),
        (np.bincount(tenth, listed, len(TENTHS)) / max(listed.sum(), 1)).tolist(),
        (np.bincount(tenth[wanted], minlength=len(TENTHS)) / len(rows)).tolist(),
        most_listed(log, rows, listed),
    )
