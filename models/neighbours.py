"""Where the vectors of items begin: those that follow each other stand close together.

From nothing, the vector of a rare item takes many rows to find its place; what followed what knows most of it at once.
So vectors begin as the largest eigenvectors of the matrix of lifts (`models.followers`), by randomized subspace
iteration (Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 2011), its rows and columns
weighed as in spectral clustering (Ng, Jordan and Weiss, 2001), each item's brought to the same length.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.compiled import compiled

_SPARE = 16  # directions beyond those that are kept, so that these are found well
_ROUNDS = 6
_LEAST = 1e-6


def neighbours(item: npt.NDArray[np.int32], lift: npt.NDArray[np.float32], width: int, seed: int) -> Tensor:
    """Return a vector of length 1 of each row of a table of followers, of zeros where there are none [rows, width].

    Args:
        item: table rows of what followed, 0: none [rows, FOLLOWERS].
        lift: of each [rows, FOLLOWERS].
        width: length of a vector.
        seed: of the directions that the search begins with.

    >>> made = neighbours(np.array([[0], [2], [1], [4], [3]]), np.array([[0], [1], [1], [1], [1]]), 2, 0)
    >>> [round(float((made[1] * made[row]).sum().abs()), 2) for row in (2, 3, 4)]
    [1.0, 0.0, 0.0]
    """
    item, lift = np.ascontiguousarray(item, np.int32), np.ascontiguousarray(lift, np.float32)
    ones = np.ones((len(item), 1), np.float32)
    scale = torch.from_numpy(1 / np.sqrt(np.maximum(_times(item, lift, ones), _LEAST)))
    vectors = torch.randn(len(item), min(width + _SPARE, len(item)), generator=torch.Generator().manual_seed(seed))
    for _ in range(_ROUNDS):
        vectors = torch.linalg.qr(scale * torch.from_numpy(_times(item, lift, (scale * vectors).numpy())))[0]
    small = vectors.T @ (scale * torch.from_numpy(_times(item, lift, (scale * vectors).numpy())))
    size, turned = torch.linalg.eigh((small + small.T) / 2)
    best = size.argsort(descending=True)[:width]
    vectors = (vectors @ turned[:, best]) * size[best].clamp(min=0).sqrt()
    length = vectors.norm(dim=1, keepdim=True)
    vectors = torch.where(length > _LEAST, vectors / length, 0.0)
    return torch.nn.functional.pad(vectors, (0, width - vectors.shape[1]))


def _times(
    item: npt.NDArray[np.int32], lift: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the product of the matrix of lifts, either way, and vectors [rows, columns]."""
    out = np.zeros(vectors.shape, np.float32)
    _add(item, lift, np.ascontiguousarray(vectors), out)
    return out


@compiled
def _add(
    item: npt.NDArray[np.int32],
    lift: npt.NDArray[np.float32],
    vectors: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    for row in range(len(item)):
        for place in range(item.shape[1]):
            other, weight = item[row, place], lift[row, place]
            if other == 0:
                break
            for k in range(vectors.shape[1]):
                out[row, k] += weight * vectors[other, k]
            for k in range(vectors.shape[1]):
                out[other, k] += weight * vectors[row, k]
