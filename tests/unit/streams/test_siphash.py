"""The hash against CPython's, which is the same."""

import subprocess
import sys

import numpy as np

from streams.key_index import spans
from streams.siphash import hashes

WORDS = [bytes(range(length)) for length in range(1, 41)] + [b"\xff" * 9, b"ann"]
SAME = "import sys; print([hash(word) for word in eval(sys.argv[1])], sys.hash_info.algorithm)"


def test_hashes_are_those_of_cpython_without_its_seed() -> None:
    run = [sys.executable, "-c", SAME, repr(WORDS)]
    theirs = subprocess.run(run, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=True).stdout
    ours = hashes(*spans(WORDS), np.zeros(2, np.uint64)).astype(np.int64).tolist()
    assert f"{ours} siphash13\n" == theirs


def test_hashes_of_another_process_are_others() -> None:
    other = hashes(*spans(WORDS), np.array([1, 0], np.uint64))
    assert (hashes(*spans(WORDS)) != other).all()
    assert (hashes(*spans(WORDS)) != hashes(*spans(WORDS), np.zeros(2, np.uint64))).all()
