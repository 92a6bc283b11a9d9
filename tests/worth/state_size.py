"""What the bytes of a state are worth: trainings of the same log with states of other sizes and precisions.

`PYTHONPATH=tests python -m worth.state_size EVENTS` prints a table; docs/model.md has one. The size of a state is a
constant of the code, so each training runs in a process of its own in which it is another.
"""

import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Annotated, NamedTuple

import msgspec
import typer

LATE = 6
"""Rows at the end of each sequence that judge: the last one alone would be too few."""

ROW_BYTES = 256
"""Of the states in a row today: two copies of 128 numbers of 8 bits."""


class Size(NamedTuple):
    """A state: how many numbers, of how many bits each."""

    hidden: int
    bits: int

    @property
    def bytes_(self) -> int:
        """Bytes of one copy."""
        return self.hidden * self.bits // 8

    @property
    def copies(self) -> int:
        """Number of copies that today's bytes hold.

        >>> Size(64, 16).copies, Size(128, 8).copies, Size(256, 16).copies
        (2, 2, 0)
        """
        return ROW_BYTES // self.bytes_


class Found(msgspec.Struct):
    """What a training came to, on the rows that judge."""

    hidden: int
    bits: int
    rows: int
    log_loss: float
    recall: float
    ndcg: float
    epochs: int
    cpu_seconds: float


def learn(events: Path, size: Size, every: int, epochs: int, seed: int) -> Found:
    """Train with states of a size; only in a process in which nothing of the network has been imported yet."""
    import models.state

    models.state.HIDDEN = size.hidden
    import models.grid

    models.grid.STATE_UNIT = 2.0 ** -(size.bits - 1 if size.bits < 16 else 14)
    models.grid.STATE_LIMIT = 1 - models.grid.STATE_UNIT

    import numpy as np
    import polars as pl
    import torch

    from models.events_file import read_events
    from models.log import log
    from models.model_directory import Card
    from models.training import train
    from models.updates import Options

    torch.set_num_threads(1)
    frame = read_events(events).filter(pl.col("split").is_in(["train", "validation"]))
    users = frame["user_id"].unique().sort()
    frame = frame.filter(pl.col("user_id").is_in(users.gather_every(every).implode()))
    made = log(frame)
    ends = np.append(made.first[1:], len(made.item))
    last = np.concatenate([np.arange(max(start, end - LATE), end) for start, end in zip(made.first, ends, strict=True)])
    split = np.zeros_like(made.split)
    split[last] = 1
    began_s = process_time()
    model = train(made._replace(split=split), Card(name="size"), Options(seed=seed, epochs=epochs))
    figures = model.card.metrics["validation"]
    item = figures["next_item"]
    return Found(
        hidden=size.hidden,
        bits=size.bits,
        rows=figures["rows"],
        log_loss=item["log_loss"],
        recall=item["recall_at_20"],
        ndcg=item["ndcg_at_20"],
        epochs=len(model.card.metrics["history"]),
        cpu_seconds=process_time() - began_s,
    )


def main(
    events: Annotated[Path, typer.Argument(help="EVENTS with splits.")],
    hidden: Annotated[str, typer.Option(help="Numbers of a state, with commas between.")] = "32,64,128",
    bits: Annotated[str, typer.Option(help="Bits of each, with commas between.")] = "16,8",
    every: Annotated[int, typer.Option(min=1, help="Only every so manieth user.")] = 4,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 12,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    one: Annotated[bool, typer.Option("--one", hidden=True)] = False,
) -> None:
    """Train with states of each size, and print what each came to on validation rows.

    Example:  python -m worth.state_size movielens.parquet --every 8
    """
    sizes = [Size(int(h), int(b)) for h in hidden.split(",") for b in bits.split(",")]
    if one:
        typer.echo(msgspec.json.encode(learn(events, sizes[0], every, epochs, seed)).decode())
        return
    typer.echo("| numbers | bits | bytes | copies in 256 bytes | rows | log-loss | Recall@20 | NDCG@20 | CPU s |")
    typer.echo("|" + "---|" * 9)
    for size in sizes:
        options = ["--hidden", size.hidden, "--bits", size.bits, "--every", every, "--epochs", epochs, "--seed", seed]
        command = [sys.executable, "-m", "worth.state_size", str(events), *map(str, options), "--one"]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        found = msgspec.json.decode(said.stdout, type=Found)
        cells = [size.hidden, size.bits, size.bytes_, size.copies, f"{found.rows:,}", f"{found.log_loss:.3f}"]
        cells += [f"{found.recall:.3f}", f"{found.ndcg:.3f}", f"{found.cpu_seconds:,.0f}"]
        typer.echo(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    typer.run(main)
