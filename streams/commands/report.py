"""`nextact report`."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.log_options import ActionColumn, By, DrawSeed, ItemColumn, Replicates, Split


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Model directory.")],
    file: Annotated[Path, typer.Argument(metavar="EVENTS", help="The log: Parquet, CSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="Page to write.")] = Path("report.html"),
    k: Annotated[int, typer.Option(min=1, help="Length of the lists of items.")] = 20,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen", help="Leave the items of the row's own history out of the lists.")
    ] = False,
    split: Split = None,
    by: By = None,
    item_column: ItemColumn = "item_id",
    action_column: ActionColumn = "action",
    replicates: Replicates = 200,
    seed: DrawSeed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers behind the page as one line.")] = False,
) -> None:
    """Write one HTML page with all that is known of a trained model on a log: tables and plots, nothing to load.

    What the log cannot give (no times, one action) is left out, and the page says why. Hours and days are those of the
    shop, as the model was trained.

    Example:  nextact report shop-model events.parquet --out report.html
    """
    from streams.extras import require

    require("report", "matplotlib", "jinja2", "sklearn", "scipy")
    import msgspec

    from models.evaluation.rows import NothingToScoreError, split_to_score
    from models.events_file import read_log
    from models.learned import Learned
    from models.report.asked import Asked
    from models.report.learning import learning_curves
    from models.report.numbers import numbers
    from streams.errors import NextactError
    from streams.progress import counting
    from streams.report.page import page
    from streams.trained import trained

    _check_place(out)
    made = read_log(file, by, item_column, action_column)
    try:
        model = Learned(trained(directory, made))
        asked = Asked(split_to_score(made, split), k, exclude_seen, model.card.utc_offset_h, replicates, seed)
        found = numbers(made, model, model.card.targets, learning_curves(model.card.metrics), asked, counting)
    except (NothingToScoreError, ValueError) as error:
        raise NextactError(f"{file}: {error}") from None
    part = out.with_name(f".{out.name}.part")
    try:
        part.write_text(page(found, model.card, file.name), "utf-8", errors="replace")
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    if as_json:
        about = {"out": str(out), "events": file.name, "model": model.card.name, "version": model.card.version}
        typer.echo(msgspec.json.encode(about | {"numbers": found}).decode())
    else:
        typer.echo(f"{out}: {found.rows:,} {asked.split} rows of {found.sequences:,} sequences")


def _check_place(out: Path) -> None:
    """Refuse a place that cannot be written to before anything is worked out."""
    from streams.errors import NextactError

    if out.is_dir():
        raise NextactError(f"--out {out} is a folder: name a file, like {out / 'report.html'}")
    if not out.absolute().parent.is_dir():
        raise NextactError(f"--out {out}: there is no folder {out.parent}")
