"""The grids that numbers of the network lie on: units coarse enough that no sum of them rounds."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.state import Floats

STATE_UNIT = 2.0**-7
STATE_LIMIT = 1 - STATE_UNIT  # the most that 8 bits hold on both sides
WEIGHT_UNIT = 2.0**-12
EMBEDDING_UNIT = 2.0**-10
LIFT_UNIT = 2.0**-10
MOST_LIFT = 16

_UNITS = {"item_embedding": EMBEDDING_UNIT, "follower": 1.0, "follower_lift": LIFT_UNIT}
_LIMITS = {
    "item_embedding": 8,
    "item_input": 8,
    "hidden": 8 - WEIGHT_UNIT,  # 16 bits hold it
    "follow_bias": 8,
    "again_bias": 8,
    "recent_gate": 8,
    "follower": 2**24,  # numbers of items: float32 holds them up to here
    "follower_lift": MOST_LIFT,
}
_LIMIT = 64


def on_grid(values: Floats, unit: float, limit: float = 64) -> npt.NDArray[np.float64]:
    """Return the values rounded to multiples of the unit, within the limit on both sides.

    >>> on_grid(np.array([0.3, -70.0]), 0.25).tolist()
    [0.25, -64.0]
    """
    return np.clip(np.rint(values.astype(np.float64) / unit) * unit, -limit, limit)


def weights_on_grid(weights: Mapping[str, Floats]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the tensors of a model as they are used: each in its unit, within its limit.

    >>> weights_on_grid({"item_input": np.array([9.0]), "query": np.array([9.0])})
    {'item_input': array([8.]), 'query': array([9.])}
    """
    return {
        name: on_grid(weight, _UNITS.get(name, WEIGHT_UNIT), _LIMITS.get(name, _LIMIT))
        for name, weight in weights.items()
    }
