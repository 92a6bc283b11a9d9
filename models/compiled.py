"""Loops of the hot path, compiled by numba: as plain as the algorithm, and free of the interpreter's lock.

What is compiled is kept beside the source, in `__pycache__`, and is trusted as far as the `.pyc` files there: no
further. Where neither that folder nor the user's cache can be written, it is compiled at each start.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar, cast

import numba
import numpy as np

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
        made: Any = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba finds no folder to write to
        return cast(Function, numba.njit(nogil=True)(function))
    kept = made._cache._cache_file
    kept._source_stamp = (*kept._source_stamp, _frozen(function))
    return cast(Function, made)


def _frozen(function: Callable[..., Any]) -> str:
    """Return a hash of what the compiled loop holds of other files: numba looks at the loop's own."""
    digest = sha256()
    for name in sorted(function.__code__.co_names):
        value = function.__globals__.get(name)
        if isinstance(value, np.ndarray):
            digest.update(name.encode() + value.tobytes())
        elif isinstance(value, int | float | str | tuple | np.generic):
            digest.update(f"{name}={value!r};".encode())
        elif (cache := getattr(value, "_cache", None)) is not None and hasattr(cache, "_cache_file"):
            digest.update(f"{name}:{cache._cache_file._source_stamp};".encode())
    return digest.hexdigest()
