"""The network as it serves: every sum exact, so that no order or grouping of users changes a bit.

Floating-point sums depend on their order, and a matrix product orders them by the shape of its batch. Here nothing
rounds but where it says so: states are integers in units of 2**-7 (`recurrence`), weights are multiples of 2**-12, a
product of the two summed over the state needs under 40 of the 53 bits of a float64. The heads call `exp`, so their
last bit may be another on another processor; the recurrent states are the same.
"""

import numpy as np
import numpy.typing as npt

from models import windows
from models.compiled import compiled
from models.features import TIME_BINS, Steps, table_rows
from models.grid import STATE_UNIT, WEIGHT_UNIT, weights_on_grid
from models.item_index import ItemIndex, item_hashes
from models.latest import codes
from models.model_directory import OUTCOMES, TARGETS, Model
from models.older_items import keys, older_key
from models.recent import Held, held
from models.recent import tables as recent_tables
from models.recurrence import Recurrence, States, Table
from models.state import ACTIONS, OLDER_KEY_BITS, RING, Floats, Ints, Rows, ring_action
from models.windows import BINS

_HAZARD_LIMIT = 30  # a hazard of 1 to the last bit has no logarithm of what it leaves
_TABLE_ITEMS = 200_000  # beyond, the item's input is computed per step: a table would take 384 bytes an item


def _compact(table: Table) -> Table:
    """Return the table in 16 bits a number if all of it fits, as that of a trained model does: more stays in caches."""
    limits = np.iinfo(np.int16)
    return table.astype(np.int16) if limits.min <= table.min() and table.max() <= limits.max else table


def _window_tables(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return what the bins of the actions of a window add to the heads together [windows, BINS**3, outputs]."""
    view, click, purchase = weights.reshape(-1, len(ACTIONS), BINS, weights.shape[1]).swapaxes(0, 1)
    tables = view[:, :, None, None] + click[:, None, :, None] + purchase[:, None, None]
    return tables.reshape(len(tables), BINS**3, -1)


class Predictor:
    """A model ready to serve.

    Args:
        model: card, item ids and tensors; see `model_directory.shapes` for the equations.
    """

    def __init__(self, model: Model) -> None:
        self.card, self.items = model.card, model.items
        self.tag = int(model.card.version[:8], 16)
        self.item_hashes = item_hashes(model.items)
        self._index = ItemIndex(self.item_hashes)
        self._older = ItemIndex(older_key(self.item_hashes), OLDER_KEY_BITS)
        grid = weights_on_grid(model.weights)
        self.embedding = grid.pop("item_embedding").astype(np.float32)  # [items + 1, VECTOR]
        self.item_bias = grid["item_bias"].astype(np.float32)
        self.query = grid["query"]
        self.followers, self.recent = recent_tables(grid)
        self._item_input = grid["item_input"]
        every = np.arange(len(self.embedding))
        self._item_table = _compact(self._item_inputs(every)) if len(model.items) <= _TABLE_ITEMS else None
        tables = [grid[name] for name in ("action_gap", "hour_of_week", "context")]
        self._other_table = _compact(np.rint(np.concatenate(tables) / WEIGHT_UNIT).astype(np.int32))
        self._recurrence = Recurrence(grid["hidden"], grid["hidden_bias"])
        self._readout = grid["readout"] * STATE_UNIT
        self._readout_bias = grid["readout_bias"]
        self._windows = _window_tables(grid["window"])
        self._latest = np.ascontiguousarray(grid["latest"])

    def item_rows(self, item: Ints) -> Ints:
        """Return the table row of each item hash, any shape; 0 stands for an item that the model does not know."""
        return self._index.rows(item)

    def ring(self, rows: Rows) -> Ints:
        """Return the table rows of the items of the rings, 0: none or unknown [users, RING]."""
        return np.where(np.arange(RING) < rows["accepted"][:, None], self.item_rows(rows["ring_item"]), 0)

    def held(self, rows: Rows, ring: Ints) -> Held:
        """Return the last and the older items of users, from their rows and what `ring` says of these [users]."""
        slot = (rows["accepted"].astype(np.int64)[:, None] - 1 - np.arange(RING)) % RING
        last, high = (np.take_along_axis(column, slot, 1) for column in (ring, rows["ring_high"]))
        older = self._older.rows(keys(rows["older_low"], rows["older_high"]))
        return held(last, ring_action(high), older, len(ACTIONS))

    def knows(self, item: Ints) -> npt.NDArray[np.bool_]:
        """Return whether the model has seen each item hash, any shape."""
        return self.item_rows(item) > 0

    def advance(self, states: States, steps: Steps, lengths: Ints) -> States:
        """Return each state after its steps.

        Args:
            states: before [n, HIDDEN].
            steps: all steps, those of the first state first, each state's in order.
            lengths: number of steps of each state [n], 0 allowed.
        """
        rows, table = self.item_rows(steps.item), self._item_table
        if table is None:
            known, rows = np.unique(rows, return_inverse=True)
            table = self._item_inputs(known)
        others = table_rows(steps, self.card.utc_offset_h)
        return self._recurrence.advance(states, lengths, rows, table, others, self._other_table)

    def _item_inputs(self, rows: Ints) -> Table:
        product = self.embedding[rows].astype(np.float64) @ self._item_input
        return np.rint(product / WEIGHT_UNIT).astype(np.int32)

    def predict(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return what `heads` says of the next event of users [users], from their rows alone."""
        return self.heads(rows["now"], windows.bins(rows), codes(rows, len(ACTIONS)))

    def heads(self, states: States, window_bins: Ints, latest: Ints) -> tuple[Floats, Floats]:
        """Return what the state says of the next event.

        Args:
            states: recurrent states [n, HIDDEN].
            window_bins: `windows.bins` of the same rows [n, FEATURES].
            latest: `latest.codes` of the same rows [n, codes].

        Returns:
            probabilities of OUTCOMES [n, outcomes], hazards [n, TARGETS, TIME_BINS].
        """
        logits = states.astype(np.float64) @ self._readout
        actions = np.empty((len(states), len(OUTCOMES)))
        hazards = np.empty((len(states), len(TARGETS) * TIME_BINS))
        beside = (np.ascontiguousarray(column, np.int64) for column in (window_bins, latest))
        _to_exponents(logits, self._readout_bias, self._windows, self._latest, *beside)
        np.exp(logits, out=logits)
        _to_probabilities(logits, actions, hazards)
        return actions, hazards.reshape(len(states), len(TARGETS), TIME_BINS)


@compiled
def _to_exponents(logits: Floats, bias: Floats, tables: Floats, latest: Floats, window_bins: Ints, codes: Ints) -> None:
    """Add what windows and last events say to logits; turn them into what `exp` is to be taken of. In place."""
    if not len(window_bins) == len(codes) == len(logits):
        raise ValueError("not as many window features or codes as states")
    for k in range(len(logits)):
        for window in range(len(tables)):
            code = 0
            for action in range(len(ACTIONS)):
                code = code * BINS + min(max(window_bins[k, window * len(ACTIONS) + action], 0), BINS - 1)
            for j in range(logits.shape[1]):
                logits[k, j] += tables[window, code, j]
        for column in range(codes.shape[1]):
            code = min(max(codes[k, column], 0), len(latest) - 1)
            for j in range(logits.shape[1]):
                logits[k, j] += latest[code, j]
        for j in range(logits.shape[1]):
            logits[k, j] += bias[j]
        most = logits[k, : len(OUTCOMES)].max()
        for j in range(len(OUTCOMES)):
            logits[k, j] -= most
        for j in range(len(OUTCOMES), logits.shape[1]):
            logits[k, j] = -min(max(logits[k, j], -_HAZARD_LIMIT), _HAZARD_LIMIT)


@compiled
def _to_probabilities(exponentials: Floats, actions: Floats, hazards: Floats) -> None:
    for k in range(len(exponentials)):
        total = 0.0
        for j in range(actions.shape[1]):
            total += exponentials[k, j]
        for j in range(actions.shape[1]):
            actions[k, j] = exponentials[k, j] / total
        for j in range(hazards.shape[1]):
            hazards[k, j] = 1 / (1 + exponentials[k, actions.shape[1] + j])
