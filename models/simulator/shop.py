"""A shop and the people who come to it: the settings, and all that is drawn once from its seed."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from models.state import Floats

CATEGORIES = (
    "shoes", "dresses", "phones", "books", "toys", "kitchen", "garden", "sports",
    "beauty", "lighting", "tools", "bags", "watches", "music", "office", "pets",
)  # fmt: skip

DEVICES = ("phone", "desktop", "tablet")
DEVICE_SHARES = (0.6, 0.3, 0.1)

FAVOURITES = (0.6, 0.25, 0.1)
"""Share of a shopper's own choices that falls on each favourite category; the rest falls on any category."""

NEIGHBOURS = 6
_BLOCK = 1024


class Shopper(NamedTuple):
    """What a person is like. No event shows it; it never changes."""

    number: int
    rate_per_h: float  # sessions an hour, at a mean hour of the week
    lean: float  # shift of the log-odds to purchase
    haste: float  # shift of the log-odds to leave
    churn: float  # probability of being gone for good after a session without a purchase
    device: int  # the usual one
    favourites: tuple[int, ...]  # categories, the dearest first


class Tables(NamedTuple):
    """What is drawn once for a shop: its items [items], their categories and who resembles whom."""

    category: list[int]
    price: list[float]
    appeal: list[float]  # shift of the log-odds to click
    pull: list[float]  # shift of the log-odds to purchase: appeal, less when the item is dear
    members: list[list[int]]  # items of each category, the most popular first
    members_until: list[list[float]]  # cumulated popularity of the members, ending in 1
    categories_until: list[float]
    neighbours: list[list[int]]  # similar items of each item
    neighbours_until: list[list[float]]
    popularity: Floats  # probability of each item within each category [categories, items]
    category_share: Floats  # [categories]
    similarity: Floats  # probability of each neighbour [items, NEIGHBOURS or fewer], 0 beyond the last


@dataclass(frozen=True)
class Shop:
    """The settings of a simulated shop; two shops with equal settings are the same shop.

    Args:
        seed: of all that is random, not negative.
        users: people at any one time: whoever is gone for good is replaced by a newcomer.
        items: number of items, at least 2 a category.
        sessions_per_day: mean over shoppers; each has a rate of their own.
        sessions_per_life: mean number of sessions until churn, roughly; purchases make it longer.
        categories: their names, at least 3.

    Raises:
        ValueError: a setting is out of range.

    >>> shop = Shop(seed=1, users=10, items=50)
    >>> shop.shopper(0) == Shop(seed=1, users=10, items=50).shopper(0)
    True
    """

    seed: int = 0
    users: int = 1000
    items: int = 800
    sessions_per_day: float = 1.2
    sessions_per_life: float = 25.0
    categories: tuple[str, ...] = CATEGORIES

    def __post_init__(self) -> None:
        if len(self.categories) < len(FAVOURITES) or self.items < 2 * len(self.categories):
            raise ValueError(f"a shop needs {len(FAVOURITES)} categories and 2 items in each, or more")
        if self.seed < 0 or self.users < 1 or self.sessions_per_day <= 0 or self.sessions_per_life < 1:
            raise ValueError("a shop needs a seed from 0, a user, and sessions_per_life from 1")

    @cached_property
    def tables(self) -> Tables:
        """The items, drawn on first use."""
        return _tables(self)

    def shopper(self, number: int) -> Shopper:
        """Return the person of that number: the first `users` are there from the start, newcomers follow."""
        return _people(self, number // _BLOCK)[number % _BLOCK]


def _tables(shop: Shop) -> Tables:
    rng = np.random.default_rng((shop.seed, 0))
    groups = len(shop.categories)
    category = rng.permutation(np.arange(shop.items) % groups)
    appeal = rng.normal(0, 0.5, shop.items)
    level = rng.normal(3.4, 0.8, groups)  # log price
    price = np.round(0.01 + np.exp(level[category] + rng.normal(0, 0.5, shop.items)), 2)
    share = _shares(1 / np.sqrt(1 + np.arange(groups)))
    popularity = np.zeros((groups, shop.items))
    members = [rng.permutation(np.flatnonzero(category == group)) for group in range(groups)]
    for group, ranked in enumerate(members):
        popularity[group, ranked] = _shares(1 / (1 + np.arange(len(ranked))))  # Zipf
    similarity = np.zeros((shop.items, NEIGHBOURS))
    neighbours = []
    for item in range(shop.items):
        others = members[category[item]]
        chosen = rng.permutation(others[others != item])[:NEIGHBOURS]
        similarity[item, : len(chosen)] = _shares(0.6 ** np.arange(len(chosen)))
        neighbours.append(chosen.tolist())
    return Tables(
        category=category.tolist(),
        price=price.tolist(),
        appeal=appeal.tolist(),
        pull=(appeal - 0.4 * (np.log(price) - 3.4)).tolist(),
        members=[ranked.tolist() for ranked in members],
        members_until=[_until(popularity[group, ranked]) for group, ranked in enumerate(members)],
        categories_until=_until(share),
        neighbours=neighbours,
        neighbours_until=[_until(similarity[item, : len(near)]) for item, near in enumerate(neighbours)],
        popularity=popularity,
        category_share=share,
        similarity=similarity,
    )


def _shares(weight: Floats) -> Floats:
    return np.asarray(weight / weight.sum())


def _until(probabilities: Floats) -> list[float]:
    until: list[float] = np.cumsum(probabilities).tolist()
    until[-1] = 1.0
    return until


@lru_cache(maxsize=8)
def _people(shop: Shop, block: int) -> list[Shopper]:
    rng = np.random.default_rng((shop.seed, 1, block))
    rate = rng.gamma(2.0, shop.sessions_per_day / 24 / 2.0, _BLOCK)
    lean = rng.normal(0, 0.8, _BLOCK)
    haste = rng.normal(0, 0.4, _BLOCK)
    mean = 1 / shop.sessions_per_life
    churn = rng.beta(2.0, 2.0 * (1 - mean) / mean, _BLOCK) if mean < 1 else np.ones(_BLOCK)
    device = rng.choice(len(DEVICES), _BLOCK, p=DEVICE_SHARES)
    # the largest of log weights plus Gumbel noise are a draw without replacement (Yellott, 1977)
    keys = np.log(shop.tables.category_share) + rng.gumbel(size=(_BLOCK, len(shop.categories)))
    favourites = np.argsort(-keys, axis=1)[:, : len(FAVOURITES)]
    return [
        Shopper(
            number=block * _BLOCK + place,
            rate_per_h=float(rate[place]),
            lean=float(lean[place]),
            haste=float(haste[place]),
            churn=float(churn[place]),
            device=int(device[place]),
            favourites=tuple(favourites[place].tolist()),
        )
        for place in range(_BLOCK)
    ]
