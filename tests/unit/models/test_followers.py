"""What followed what: counted as a plain loop counts it, and without some sequences as if they had never been."""

import numpy as np
import numpy.typing as npt
import pytest

from models.followers import PARTS, Followers, followers, recent
from models.grid import LIFT_UNIT, MOST_LIFT
from models.model_directory import FOLLOWERS, RECENT
from models.state import RING, Floats, Ints

Counts = dict[tuple[int, int], float]
Bools = npt.NDArray[np.bool_]


def log_of(events: int, items: int, seed: int = 0) -> tuple[Ints, Ints, Bools]:
    """Items, numbers in their sequences, and which may be learnt from; some items are unknown."""
    random = np.random.default_rng(seed)
    begins = random.random(events) < 0.1
    begins[0] = True
    number = np.arange(events) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
    return random.integers(0, items + 1, events), number, (random.random(events) < 0.8) & ~begins


def plain(item: Ints, number: Ints, learnt: Bools) -> Counts:
    counts: Counts = {}
    for event in range(len(item)):
        for distance in range(1, min(RECENT, int(number[event])) + 1):
            earlier, later = int(item[event - distance]), int(item[event])
            if learnt[event] and min(earlier, later) > 0 and earlier != later:
                counts[earlier, later] = counts.get((earlier, later), 0) + 1 / distance
                counts[later, earlier] = counts.get((later, earlier), 0) + 0.5 / distance
    return counts


def lifts(counts: Counts, item: Ints, learnt: Bools, items: int) -> Floats:
    """Witten and Bell: log of (count + different followers * share) / (all + different followers), for both counts."""
    often = np.bincount(item[learnt], minlength=items + 1)
    share = (often + 0.5) / (often.sum() + 0.5 * (items + 1))
    table = np.zeros((items + 1, items + 1))
    for (source, target), count in counts.items():
        spread = sum(pair[0] == source for pair in counts)
        table[source, target] = np.log((count + spread * share[target]) / (spread * share[target]))
    return np.minimum(table, MOST_LIFT)


@pytest.mark.parametrize(("events", "items"), [(2_000, 20), (2_000, 200), (40, 3), (1, 1)])
def test_lifts_are_those_of_plain_counts_of_the_other_sequences(events: int, items: int) -> None:
    item, number, learnt = log_of(events, items)
    made = followers(item, number, learnt, items)
    for part in range(PARTS + 1):
        counted = learnt & (made.part != part)
        wanted = plain(item, number, counted)
        table = lifts(wanted, item, counted, items)
        first = part * made.rows
        for source in range(items + 1):
            behind = sorted((-count, pair[1]) for pair, count in wanted.items() if pair[0] == source)
            kept = min(len(behind), FOLLOWERS)
            found, lift = made.tables.item[first + source], made.tables.lift[first + source]
            np.testing.assert_allclose(
                [wanted[source, follower] for follower in found[:kept].tolist()],
                [-count for count, _ in behind[:kept]],
                rtol=1e-6,
            )
            np.testing.assert_allclose(lift[:kept], table[source, found[:kept]], atol=LIFT_UNIT)
            assert not found[kept:].any()
            assert not lift[kept:].any()
    assert (made.tables.lift / LIFT_UNIT % 1 == 0).all()
    assert made.tables.most_lift == made.tables.lift.max()


def test_a_sequence_tells_nothing_to_its_own_rows() -> None:
    item, number, learnt = log_of(2_000, 30, seed=3)
    made = followers(item, number, learnt, 30)
    assert sorted(set(made.part.tolist())) == list(range(PARTS))
    assert (made.part[number > 0] == made.part[np.flatnonzero(number > 0) - 1]).all()
    for part in range(PARTS):
        other = np.where(made.part == part, np.random.default_rng(4).integers(0, 31, len(item)), item)
        changed = followers(other, number, learnt, 30)
        mine = slice(part * made.rows, (part + 1) * made.rows)
        for ours, theirs in zip(made.tables[:2], changed.tables[:2], strict=True):
            assert np.array_equal(ours[mine], theirs[mine])
        assert not np.array_equal(made.tables.lift[made.all_first :], changed.tables.lift[made.all_first :])


def test_followers_of_rows_that_may_not_be_learnt_from_change_nothing() -> None:
    item, number, learnt = log_of(2_000, 30)
    other = item.copy()
    last = np.append(number[1:] == 0, True)
    free = last & ~learnt  # nothing comes after them, and nobody learns from them
    other[free] = 30 - item[free]

    def told(made: Followers) -> list[bytes]:
        return [table.tobytes() for table in made.export().values()]

    assert free.any()
    assert told(followers(item, number, learnt, 30)) == told(followers(other, number, learnt, 30))


def test_recent_items_stop_where_the_sequence_begins() -> None:
    item, number, _ = log_of(500, 30)
    found = recent(item, number, np.arange(500))
    for row in range(500):
        held = item[max(row - RING + 1, row - number[row]) : row + 1][::-1]
        assert found[row].tolist() == [*held.tolist(), *[0] * (RING - len(held))]
