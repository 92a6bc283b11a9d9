"""Items begin where those stand that come with them: of one length, those of two halves of a shop apart."""

import numpy as np
import pytest
import torch

from models.followers import followers
from models.neighbours import neighbours

HALF = 20


def tables() -> tuple[np.ndarray, np.ndarray]:
    """What followed what where sessions stay in one half of the items; two items stand in none."""
    random = np.random.default_rng(0)
    item = np.concatenate([1 + random.permutation(HALF)[:5] + HALF * (session % 2) for session in range(400)])
    number = np.tile(np.arange(5), 400)
    made = followers(item, number, number > 0, 2 * HALF + 2)
    return made.tables.item[made.all_first :], made.tables.lift[made.all_first :]


def test_items_of_one_half_stand_together_and_those_of_none_at_nought() -> None:
    made = neighbours(*tables(), 8, seed=1)
    alike = made @ made.T
    one, other = slice(1, HALF + 1), slice(HALF + 1, 2 * HALF + 1)
    torch.testing.assert_close(made[one.start : other.stop].norm(dim=1), torch.ones(2 * HALF))
    assert not made[0].any()
    assert not made[other.stop :].any()
    within = torch.cat([alike[one, one], alike[other, other]]).mean()
    assert float(within) > 0.3
    assert float(alike[one, other].abs().max()) < 0.01


def test_a_seed_gives_the_same_vectors_and_few_items_leave_numbers_unused() -> None:
    assert torch.equal(neighbours(*tables(), 8, seed=1), neighbours(*tables(), 8, seed=1))
    wide = neighbours(*tables(), 64, seed=1)
    assert wide.shape == (2 * HALF + 3, 64)
    assert not wide[:, 2 * HALF + 3 :].any()


@pytest.mark.parametrize("rows", [1, 2])
def test_a_table_without_followers_gives_noughts(rows: int) -> None:
    nothing = np.zeros((rows, 3), np.int32)
    assert neighbours(nothing, nothing.astype(np.float32), 4, seed=0).tolist() == [[0.0] * 4] * rows
