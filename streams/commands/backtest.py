"""`nextact backtest`."""

from pathlib import Path
from typing import Annotated

import typer


def backtest(
    model: Annotated[Path, typer.Argument(help="Model directory.")],
    file: Annotated[Path, typer.Argument(help="EVENTS: Parquet, CSV or JSON lines.")],
    out: Annotated[Path, typer.Option(help="Folder for the outputs, one JSON lines file a topic, and summary.json.")],
    chunk: Annotated[int, typer.Option(min=1, help="Events handled together.")] = 1000,
    score_all: Annotated[
        bool, typer.Option(help="Score the part of the log that the model was trained on too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Run the pipeline over a log with no broker, and score what it said of the next action.

    The outputs are those that a worker would publish for the same log, but for the churn risk of silent users: no time
    passes here, so there is none with the trigger silence. Only forecasts later than the model's training data are
    scored, unless --score-all is given.

    Example:  nextact backtest shop-model events.parquet --out backtest
    """
    from contextlib import ExitStack

    import msgspec

    from models.events_file import read_serving_events
    from models.model_directory import load
    from models.predictor import Predictor
    from schemas.topics import DEAD_LETTERS, OUTPUTS
    from streams.backtest import Forecasts
    from streams.backtest import backtest as run
    from streams.outputs import Output
    from streams.progress import counting
    from streams.settings import read_settings
    from streams.worker import options

    settings = read_settings()
    predictor, events, forecasts = Predictor(load(model)), read_serving_events(file), Forecasts()
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_files:
        files = {
            topic: open_files.enter_context((out / f"{topic}.jsonl").open("wb")) for topic in (*OUTPUTS, DEAD_LETTERS)
        }

        def keep(output: Output) -> None:
            files[output.topic].write(output.value + b"\n")
            forecasts(output)

        report = open_files.enter_context(counting(f"backtest {file.name}", len(events)))
        result = run(
            events,
            predictor,
            options(settings),
            keep,
            partitions=settings.partitions,
            chunk_records=chunk,
            report=report,
        )
    score = forecasts.score(events, predictor.card, 0 if score_all else None)
    summary = {
        "events": result.events,
        "users": len(result.users),
        "outputs": result.outputs,
        "rejected": result.rejected,
        "model": predictor.card.version,
        "next_action": score.as_dict(),
    }
    (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    if as_json:
        typer.echo(msgspec.json.encode(summary).decode())
        return
    typer.echo(f"{result.events:,} events of {len(result.users):,} users; outputs in {out}")
    if score.scored:
        typer.echo(
            f"next action, given that one came: log-loss {score.log_loss:.4f}, always saying the prior"
            f" {score.prior_log_loss:.4f}, over {score.scored:,} forecasts"
        )
    else:
        typer.echo("nothing scored: the model was trained on the whole log; --score-all scores it all the same")
