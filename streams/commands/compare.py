"""`nextact compare`."""

from math import isnan, nan
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.log_options import NETWORKS, ActionColumn, By, ItemColumn, UtcOffsetH, positive

if TYPE_CHECKING:
    from models import training
    from models.comparison import Run
    from models.log import Log
    from models.model_directory import Card
    from models.updates import Options

_PICTURES = (".png", ".svg", ".pdf")
_ALL = ",".join(NETWORKS)


def _some(value: str) -> str:
    names = value.split(",")
    strange = [name for name in names if name not in NETWORKS]
    if strange:
        raise typer.BadParameter(f"{strange[0]!r} is none of {', '.join(NETWORKS)}")
    return ",".join(dict.fromkeys(names))


def _picture(value: Path | None) -> Path | None:
    if value is not None and value.suffix not in _PICTURES:
        raise typer.BadParameter(f"must end in one of {', '.join(_PICTURES)}")
    if value is not None and not value.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {value.parent}")
    return value


def compare(
    file: Annotated[Path, typer.Argument(help="EVENTS: Parquet, CSV or JSON lines.")],
    networks: Annotated[str, typer.Option(callback=_some, help="Which, with commas between them.")] = _ALL,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network, from seed 0 on.")] = 3,
    max_minutes: Annotated[
        float | None,
        typer.Option(callback=positive, help="Processor minutes of one training at most; the best so far counts."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs at most; by default fewer for a long log.")] = None,
    by: By = None,
    item_column: ItemColumn = "item_id",
    action_column: ActionColumn = "action",
    utc_offset_h: UtcOffsetH = 0,
    plot: Annotated[Path | None, typer.Option(callback=_picture, help="Picture to write: .png, .svg or .pdf.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Train each network with the same features, heads, losses, budget and seeds, and show what each is worth.

    Quality is that of validation rows; time is that of one processor, so that a busy machine changes little; the step
    is timed here too. Ctrl-C shows the trainings that have ended. A GRU is what is served: to keep a model of another
    network, use `train --network`.

    Example:  nextact compare events.parquet --networks gru,lru --seeds 3 --max-minutes 10 --plot networks.png
    """
    import msgspec
    import torch
    from rich.console import Console

    from models.comparison import floors
    from models.events_file import read_log
    from models.model_directory import Card
    from models.updates import Options
    from streams.comparison_view import as_dict, table
    from streams.comparison_view import plot as draw
    from streams.errors import NextactError
    from streams.extras import require
    from streams.step_cost import served_step_cost, step_cost
    from streams.stopping import stopping

    if plot is not None:
        require("--plot", "matplotlib")
    torch.set_num_threads(1)
    runs: list[Run] = []
    kinds = networks.split(",")
    validation: dict[str, Any] = {}
    with stopping() as asked:
        try:
            made = read_log(file, by, item_column, action_column)
            for seed in range(seeds):
                for kind in kinds:  # seed by seed: what else the machine does hits all alike
                    card = Card(name=kind, network=kind, utc_offset_h=utc_offset_h)
                    run, validation = _run(made, card, Options(seed=seed, epochs=epochs), max_minutes)
                    runs.append(run)
                    _tell(run, len(runs), seeds * len(kinds))
        except ValueError as error:
            raise NextactError(f"{file}: {error}") from None
        except SystemExit:
            if not runs:
                raise
    costs = {kind: step_cost(kind) for kind in kinds} | {"served": served_step_cost()}
    if plot is not None:
        draw(runs, costs, plot)
    if as_json:
        about = {"events": file.name, "rows": validation["rows"], "max_minutes": max_minutes}
        typer.echo(msgspec.json.encode(about | as_dict(runs, floors(validation), costs)).decode())
    else:
        Console().print(table(runs, floors(validation), costs, validation["rows"]))
    if asked.code:
        raise typer.Exit(asked.code)


def _run(made: "Log", card: "Card", options: "Options", max_minutes: float | None) -> "tuple[Run, dict[str, Any]]":
    from models.comparison import Run, figures
    from models.training import train
    from streams.training_view import training_bar

    # from the first update on: reading the log and loading code is none of a network's time
    begun, epochs, cut = nan, 0, False
    with training_bar() as show:

        def report(progress: "training.Progress") -> bool:
            nonlocal begun, epochs, cut
            show(progress)
            begun = process_time() if isnan(begun) else begun
            epochs = progress.epoch
            cut = max_minutes is not None and process_time() - begun > max_minutes * 60
            return not cut

        model = train(made, card, options, report)
    spent_s = process_time() - begun
    validation = model.card.metrics["validation"]
    if not validation["rows"]:
        raise ValueError("no validation row has a row before it: there is nothing to compare by")
    return Run(card.network, options.seed, spent_s, epochs, cut, figures(validation)), validation


def _tell(run: "Run", done: int, of: int) -> None:
    cut = ", out of time" if run.cut else ""
    what = f"loss {run.figures['loss']:.4f}, {run.cpu_s:.1f} s of processor, {run.epochs} epochs{cut}"
    typer.echo(f"{done} of {of}: {run.network}, seed {run.seed}: {what}", err=True)
