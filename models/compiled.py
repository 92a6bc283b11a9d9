"""Loops of the hot path, compiled by numba: as plain as the algorithm, and free of the interpreter's lock.

What is compiled is kept beside the source, in `__pycache__`, and is trusted as far as the `.pyc` files there: no
further. Where neither that folder nor the user's cache can be written, it is compiled at each start.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import Cache, IndexDataCacheFile

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
    if isinstance(getattr(made, "_cache", None), Cache):  # else nothing is compiled: NUMBA_DISABLE_JIT
        made._cache._cache_file.__class__ = _Kept
        made._cache._cache_file.function = function
    return cast(Function, made)


class _Kept(IndexDataCacheFile):
    """What numba keeps of a loop, until anything has changed that it was made of: numba looks at its own file only."""

    function: Callable[..., Any]

    @property
    def _source_stamp(self) -> tuple[object, ...]:
        return (*self.own_stamp, _frozen(self.function, set()))

    @property
    def own_stamp(self) -> tuple[object, ...]:
        """What numba made of the file that the loop stands in."""
        stamp: tuple[object, ...] = self.__dict__["_source_stamp"]
        return stamp


def _frozen(function: Callable[..., Any], seen: set[str]) -> str:
    """Return a hash of what a loop holds that stands outside it: constants, and all loops that it calls."""
    digest = sha256()
    for name in sorted(function.__code__.co_names):
        value = function.__globals__.get(name)
        if isinstance(value, np.ndarray):
            digest.update(name.encode() + value.tobytes())
        elif isinstance(value, int | float | str | tuple | np.generic):
            digest.update(f"{name}={value!r};".encode())
        elif isinstance(kept := getattr(getattr(value, "_cache", None), "_cache_file", None), _Kept):
            where = f"{kept.function.__module__}.{name}"
            if where not in seen:
                seen.add(where)
                digest.update(f"{name}:{kept.own_stamp}:{_frozen(kept.function, seen)};".encode())
    return digest.hexdigest()
