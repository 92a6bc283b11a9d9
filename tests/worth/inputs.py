"""What each input is worth: trainings of the same log in which one of them says nothing.

`PYTHONPATH=tests python -m worth.inputs EVENTS` prints a table; docs/model.md has two. An input is blinded in what
training and validation read; whatever else is made of it is blinded with it.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated
from unittest import mock

import numpy as np
import torch
import typer
from torch import Tensor

from models import training
from models.events_file import read_events
from models.features import DEVICES, GAPS, NO_GAP, PRICES
from models.latest import nothing
from models.log import log
from models.model_directory import Card
from models.training_table import Parts, parts
from models.updates import Options

_DAY = 24
_GAP_CODES = (5, 6, 8)  # of `latest`: the gap before the last event, the span of the last events, visits
_PRICE_CODE = 9

Blind = Callable[[Parts], Parts]
"""Returns what training reads with one input that says nothing."""


def without_category(made: Parts) -> Parts:
    """Let no items share a vector."""
    return made._replace(category=np.zeros_like(made.category))


def without_items(made: Parts) -> Parts:
    """Let all items that come in be unknown; they are still what is predicted."""
    return made._replace(steps=made.steps._replace(item=torch.zeros_like(made.steps.item)))


def without_gaps(made: Parts) -> Parts:
    """Leave out the time since the event before, and what the heads read of times between the last events."""
    blank = made.steps.action_gap // GAPS * GAPS + NO_GAP
    return _codes_blank(made._replace(steps=made.steps._replace(action_gap=blank)), _GAP_CODES)


def without_hour(made: Parts) -> Parts:
    """Leave out the hour of the day."""
    return made._replace(steps=made.steps._replace(hour=made.steps.hour // _DAY * _DAY))


def without_day(made: Parts) -> Parts:
    """Leave out the day of the week."""
    return made._replace(steps=made.steps._replace(hour=made.steps.hour % _DAY))


def without_price(made: Parts) -> Parts:
    """Leave out what events cost, and the mean of it that the heads read."""
    return _codes_blank(_context(made, lambda code: code // PRICES * PRICES), (_PRICE_CODE,))


def without_device(made: Parts) -> Parts:
    """Leave out the device."""
    return _context(made, lambda code: code % PRICES)


def without_latest(made: Parts) -> Parts:
    """Leave out all that the heads read of the last events beside the state."""
    return _codes_blank(made, tuple(range(made.steps.latest.shape[1])))


def without_windows(made: Parts, kept: int = 0) -> Parts:
    """Leave out how often each action came lately, but for the shortest windows: none, the hour, hour and day."""
    bins = made.steps.window_bins.clone()
    bins[:, kept * len(made.heads.actions) :] = 0
    return made._replace(steps=made.steps._replace(window_bins=bins))


def without_trend(made: Parts) -> Parts:
    """Leave out all windows but the hour: whether a user does more or less than before."""
    return without_windows(made, kept=1)


def without_followers(made: Parts) -> Parts:
    """Leave out what followed the last items in training rows."""
    tables = made.followers.tables
    blank = tables._replace(item=np.zeros_like(tables.item), lift=np.zeros_like(tables.lift))
    return made._replace(followers=made.followers._replace(tables=blank))


BLINDS: dict[str, Blind] = {
    "nothing": lambda made: made,
    "items": without_items,
    "category": without_category,
    "gaps": without_gaps,
    "hour of the day": without_hour,
    "day of the week": without_day,
    "price": without_price,
    "device": without_device,
    "windows": without_windows,
    "trend": without_trend,
    "last events": without_latest,
    "followers": without_followers,
}


def says_something(made: Parts, blind: Blind) -> bool:
    """Return whether blinding changes anything of a log."""
    with_, without = (_numbers(each) for each in (made, blind(made)))
    return any(not torch.equal(one, other) for one, other in zip(with_, without, strict=True))


def _numbers(made: Parts) -> list[Tensor]:
    tables = made.followers.tables
    return [*made.steps, *map(torch.from_numpy, (made.category, tables.item, tables.lift))]


def _context(made: Parts, of: Callable[[Tensor], Tensor]) -> Parts:
    assert (DEVICES + 1) * PRICES == 256  # the byte is of these two
    return made._replace(steps=made.steps._replace(context=of(made.steps.context)))


def _codes_blank(made: Parts, columns: tuple[int, ...]) -> Parts:
    codes = made.steps.latest.clone()
    none = torch.from_numpy(nothing(len(made.heads.actions)))
    codes[:, list(columns)] = none[list(columns)].to(codes.dtype)
    return made._replace(steps=made.steps._replace(latest=codes))


def learn(events: Path, item: str, action: str, utc_offset_h: int, blind: Blind, seed: int) -> list[float] | None:
    """Return log-losses of next action and next item, Recall@20 and the loss of the time to the next event.

    None where the input says nothing in this log anyway.
    """
    changed: list[bool] = []

    def blinded(*arguments: object, **options: int) -> Parts:
        made = parts(*arguments, **options)  # type: ignore[arg-type]
        changed.append(blind is BLINDS["nothing"] or says_something(made, blind))
        if not changed[-1]:
            raise InterruptedError
        return blind(made)

    read = log(read_events(events, item=item, action=action))
    try:
        with mock.patch.object(training, "parts", blinded):
            model = training.train(read, Card(name="worth", utc_offset_h=utc_offset_h), Options(seed=seed))
    except InterruptedError:
        return None
    found = model.card.metrics["validation"]
    times = [-found[name]["log_likelihood"] for name in found if name == "time_to_any"]
    return [
        found["next_action"]["log_loss"],
        found["next_item"]["log_loss"],
        found["next_item"]["recall_at_20"],
        *times,
    ]


def main(
    events: Annotated[Path, typer.Argument(help="EVENTS.")],
    item_column: Annotated[str, typer.Option(help="Column that is the item.")] = "item_id",
    action_column: Annotated[str, typer.Option(help="Column that is the action.")] = "action",
    utc_offset_h: Annotated[int, typer.Option(help="Hours from UTC to the shop's time.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 1,
    only: Annotated[str, typer.Option(help="Inputs to leave out, with commas between.")] = "",
) -> None:
    """Train once with every input and once without each, and print what each came to on validation rows.

    Example:  python -m worth.inputs jd.parquet --seeds 3
    """
    torch.set_num_threads(1)
    asked = ["nothing", *(only.split(",") if only else [name for name in BLINDS if name != "nothing"])]
    typer.echo("| left out | next action, log-loss | next item, log-loss | Recall@20 | time to next, log-loss |")
    typer.echo("|" + "---|" * 5)
    for name in asked:
        found = [learn(events, item_column, action_column, utc_offset_h, BLINDS[name], seed) for seed in range(seeds)]
        known = [figures for figures in found if figures is not None]
        if known:
            cells = [f"{median(column):.3f}" for column in zip(*known, strict=True)]
            typer.echo(f"| {' | '.join([name, *cells])} |")


if __name__ == "__main__":
    typer.run(main)
