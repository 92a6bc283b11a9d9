"""The grids that numbers of the network lie on: units coarse enough that no sum of them rounds."""

import numpy as np
import numpy.typing as npt

from models.state import Floats

STATE_UNIT = 2.0**-14
WEIGHT_UNIT = 2.0**-12
EMBEDDING_UNIT = 2.0**-10


def on_grid(values: Floats, unit: float, limit: float = 64) -> npt.NDArray[np.float64]:
    """Return the values rounded to multiples of the unit, within the limit on both sides.

    >>> on_grid(np.array([0.3, -70.0]), 0.25).tolist()
    [0.25, -64.0]
    """
    return np.clip(np.rint(values.astype(np.float64) / unit) * unit, -limit, limit)
