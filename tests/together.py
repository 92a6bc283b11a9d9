"""What `tests/unit/streams/test_train_together.py` lets torchrun start: one of the processes that train together.

`together.py gradients FILE` writes the gradients of one update; anything else are arguments of `nextact`. Lanes are
shared out among threads and processes however few there are, so that a small log is enough. Each process says at its
end which threads of gloo it has left: one of them, as the interpreter goes down, would abort it.
"""

import atexit
import sys
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import save_file
from small_logs import small_log
from torch import Tensor

from models import item_loss, updates
from models.network import Network
from models.peers import ALONE, Peers, peers
from models.training_table import parts
from streams.cli import app

LANES_A_THREAD = 1


def gradients(with_: Peers = ALONE) -> dict[str, Tensor]:
    """Return the gradients of the first update on a log of which each row tells something of all heads."""
    log = small_log(
        ["".join("abcde"[(k + place * (1 + k % 3)) % 5] for place in range(3 + k % 7)) for k in range(24)],
        actions=["".join("vcp"[(k + place) % 3] for place in range(3 + k % 7)) for k in range(24)],
    )
    made = parts(log, utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=100)
    options = updates.Options(seed=3, threads=1, dropout=0.0, item_dropout=0.0)
    network = Network(len(made.items), torch.Generator().manual_seed(3), made.heads)
    # bfloat16, where the item loss multiplies in it, rounds each process's part of a sum
    with mock.patch.object(item_loss, "FAST", torch.float32):
        next(updates.Updates(network, made, options, with_).epoch())
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def say_what_is_left() -> None:
    """Write the names of gloo's threads to standard error."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    print("left of gloo:", [name for name in names if "gloo" in name], file=sys.stderr)


def main() -> None:
    """Do what the arguments say."""
    atexit.register(say_what_is_left)
    updates._LANES_A_THREAD = LANES_A_THREAD
    if sys.argv[1] != "gradients":
        app(sys.argv[1:])
    with peers() as found:
        made = gradients(found)
        if found.rank == 0:
            save_file(made, sys.argv[2])


if __name__ == "__main__":
    main()
