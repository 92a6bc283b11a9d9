"""`PYTHONPATH=tests python -m released` records today's contract, as the version that `schemas.asyncapi` names.

A version that was released is never recorded again: a change raises the version.
"""

import sys

from released.samples import recorded_document, written
from schemas.asyncapi import VERSION


def main() -> None:
    """Write the version's folder, unless it is there."""
    folder = recorded_document(VERSION).parent
    if folder.exists():
        sys.exit(f"{folder} is there: raise VERSION in schemas/asyncapi.py, or delete it if it was never released")
    folder.mkdir()
    written(folder)


if __name__ == "__main__":
    main()
