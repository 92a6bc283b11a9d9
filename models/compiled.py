"""Loops of the hot path, compiled by numba: as plain as the algorithm, and free of the interpreter's lock.

What is compiled is kept beside the source, in `__pycache__`, and is trusted as far as the `.pyc` files there: no
further. Where neither that folder nor the user's cache can be written, it is compiled at each start.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Return the function compiled: for arrays and numbers, nothing that allocates Python objects.

    It must give the same bytes on every machine, so it sums floats in a fixed order and calls no `exp`, `log` or
    `tanh`: those may round otherwise in a vector than alone.

    >>> add = compiled(lambda a, b: a + b)
    >>> add(1, 2)
    3
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba finds no folder to write to
        return cast(Function, numba.njit(nogil=True)(function))
