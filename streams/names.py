"""Names of users and items inside JSON strings."""

from functools import lru_cache

import msgspec
import numpy as np

from models.compiled import compiled
from models.predictor import Predictor
from streams.texts import Bytes, Texts, texts


def json_names(names: Texts) -> Texts:
    r"""Return names (UTF-8) as they stand between the quotes of a JSON string.

    >>> json_names(texts([b"ann", b'"bob"'])).strings()
    [b'ann', b'\\"bob\\"']
    """
    if _plain(names.data):
        return names
    return texts([msgspec.json.encode(name.decode())[1:-1] for name in names.strings()])


@lru_cache(maxsize=2)
def item_names(model: Predictor) -> Texts:
    """Return the names of the model's items as they stand in JSON."""
    return json_names(texts([item.encode() for item in model.items]))


@compiled
def _plain(data: Bytes) -> bool:
    """Tell whether JSON writes every character as itself."""
    found = np.uint8(0)
    for byte in data:
        found |= np.uint8(byte < 0x20) | np.uint8(byte == 0x22) | np.uint8(byte == 0x5C)
    return bool(found == 0)
