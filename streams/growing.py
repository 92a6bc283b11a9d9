"""Arrays that grow where they lie: a copy would cost time, and leave holes in the allocator's memory."""

import mmap
from typing import Any

import numpy as np
import numpy.typing as npt


class Growing:
    """An array that is made longer where it lies: its pages move, they are not copied, and count when they are used.

    >>> numbers = Growing(np.uint8)
    >>> numbers.reserve(3)
    >>> len(numbers.array) >= 3
    True
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.array: npt.NDArray[Any] = np.empty(0, dtype)
        self._memory = _pages(mmap.PAGESIZE)

    def reserve(self, length: int) -> None:
        """Make it at least so long; what is new in it is zero."""
        dtype = self.array.dtype
        if length <= len(self.array):
            return
        count = length + length // 4
        held, self.array = len(self.array), np.empty(0, dtype)  # lets go of the memory
        try:
            self._memory.resize(count * dtype.itemsize)
        except (BufferError, OSError, SystemError):  # someone holds a view of it, or the system cannot
            self.array = np.frombuffer(self._memory, dtype, held)
            memory = _pages(count * dtype.itemsize)
            np.frombuffer(memory, np.uint8)[: self.array.nbytes] = self.array.view(np.uint8)
            self._memory = memory
        self.array = np.frombuffer(self._memory, dtype, count)


def zeros(length: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array of zeros whose memory goes back to the system with it.

    >>> zeros(3, np.uint8).tolist()
    [0, 0, 0]
    """
    return np.frombuffer(_pages(length * np.dtype(dtype).itemsize), dtype)


def _pages(size: int) -> mmap.mmap:
    """Return memory that is zero, and nobody else's: from the allocator, a growing array would leave holes."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
