"""What a training row learns from, and what judges: two sets of counts."""

import numpy as np
import torch
from small_logs import random_log

from models.network import Network
from models.objective import losses
from models.state import HIDDEN
from models.training_table import Aims, Parts, parts


def test_rows_learn_from_counts_of_other_sequences_and_are_judged_by_those_of_all() -> None:
    made = parts(random_log(5, sequences=40), utc_offset_h=0, leave_after_ms=60_000, item_count=1, item_cap=100)
    network = Network(len(made.items), torch.Generator().manual_seed(3), made.heads)
    with torch.no_grad():
        network.get_parameter("follow_bias").fill_(1.0)
    all_first, tables = made.followers.all_first, made.followers.tables
    places = np.arange(len(tables.lift))[:, None]

    def item_loss(aims: Aims, log: Parts) -> float:
        rows = torch.nonzero(aims.known & aims.has_next)[:, 0]
        with torch.no_grad():
            return float(losses(network.on_grid(), log, aims, rows, torch.zeros(len(rows), HIDDEN))[1])

    def without(others: bool) -> Parts:
        kept = tables._replace(lift=np.where((places < all_first) == others, np.float32(0), tables.lift))
        return made._replace(followers=made.followers._replace(tables=kept))

    of_all, of_others = without(others=True), without(others=False)
    assert item_loss(made.train, of_others) == item_loss(made.train, made) != item_loss(made.train, of_all)
    assert (
        item_loss(made.validation, of_all) == item_loss(made.validation, made) != item_loss(made.validation, of_others)
    )
