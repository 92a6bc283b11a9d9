"""What each network keeps of a user and what it learns beside the tables and heads that all share."""

from typing import NamedTuple

from models.state import HIDDEN

SERVED_NETWORK = "gru"
"""The only one whose step the worker has."""

SPAN = 64
"""Number of last events that the Transformer attends to, the newest included."""

LAYERS = 2
"""Blocks of the Transformer."""

ATTENTION_HEADS = 2

_FEED = 2 * HIDDEN


class Sizes(NamedTuple):
    """Sizes of a network.

    Fields:
        inputs: width of the input of a step, a sum of rows of tables.
        state: how many numbers it keeps of a user between two events.
        own: its own weights by name, with their shapes. A name that ends in `bias` is not decayed.
    """

    inputs: int
    state: int
    own: dict[str, tuple[int, ...]]


def _feed(prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a layer norm with a feed-forward block behind it."""
    return {
        f"{prefix}norm_gain_bias": (HIDDEN,),
        f"{prefix}norm_bias": (HIDDEN,),
        f"{prefix}feed": (HIDDEN, _FEED),
        f"{prefix}feed_bias": (_FEED,),
        f"{prefix}back": (_FEED, HIDDEN),
        f"{prefix}back_bias": (HIDDEN,),
    }


def _block(layer: int) -> dict[str, tuple[int, ...]]:
    prefix = f"layer{layer}_"
    return {
        f"{prefix}attend_gain_bias": (HIDDEN,),
        f"{prefix}attend_norm_bias": (HIDDEN,),
        f"{prefix}attend": (HIDDEN, 3 * HIDDEN),
        f"{prefix}merge": (HIDDEN, HIDDEN),
        f"{prefix}distance_bias": (ATTENTION_HEADS, SPAN),
    } | _feed(prefix)


NETWORKS: dict[str, Sizes] = {
    "gru": Sizes(3 * HIDDEN, HIDDEN, {"hidden": (HIDDEN, 3 * HIDDEN), "hidden_bias": (HIDDEN,)}),
    "lstm": Sizes(4 * HIDDEN, 2 * HIDDEN, {"hidden": (HIDDEN, 4 * HIDDEN), "forget_bias": (HIDDEN,)}),
    "transformer": Sizes(
        HIDDEN,
        LAYERS * 2 * (SPAN - 1) * HIDDEN + 1,
        {name: shape for layer in range(LAYERS) for name, shape in _block(layer).items()}
        | {"last_gain_bias": (HIDDEN,), "last_norm_bias": (HIDDEN,)},
    ),
    "lru": Sizes(
        3 * HIDDEN,
        2 * HIDDEN,
        {
            "decay_bias": (HIDDEN,),
            "turn_bias": (HIDDEN,),
            "mix": (2 * HIDDEN, HIDDEN),
            **_feed(""),
            "last_gain_bias": (HIDDEN,),
            "last_norm_bias": (HIDDEN,),
        },
    ),
}
"""By name: the Transformer keeps keys and values of each block and how many of them are a user's."""
