"""A log read by a network as it trains: what the heads read after events, whole sequences in lanes."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from models import lanes
from models.cells.cell import Cell
from models.objective import run
from models.state import Ints
from models.training_table import Steps

_LANES, _STEPS = 256, 128


class Reading:
    """Which lane reads which event when: made once for any number of networks.

    Args:
        first: number of each sequence's first event [sequences].
        lengths: how many events of each sequence are read, 0 allowed [sequences].
    """

    def __init__(self, first: Ints, lengths: Ints) -> None:
        self._plan = torch.from_numpy(lanes.fill(first, lengths, _LANES, np.random.default_rng(0)))

    @torch.no_grad()
    def after(self, cell: Cell, weights: dict[str, Tensor], steps: Steps) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield events [n], and what the heads read after them [n, HIDDEN], piece by piece.

        Args:
            cell: makes the states.
            weights: `Network.on_grid`.
            steps: inputs of all events.
        """
        state = torch.zeros(self._plan.shape[1], cell.sizes.state)
        for events in torch.split(self._plan, _STEPS):
            after, state = run(cell, weights, steps, events, state)
            yield events[events >= 0], after[events >= 0]
