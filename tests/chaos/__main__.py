"""`make chaos`: faults on a real cluster; ends with 0 only if state and outputs are those of the reference."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from chaos.faults import FAULTS
from chaos.journal import Journal
from chaos.run import Plan, chaos
from streams.errors import NextactError
from streams.settings import read_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    faults: Annotated[int, typer.Option(min=0, help="Number of faults.")] = 20,
    seed: Annotated[int, typer.Option(help="Same seed: same faults in the same order, same messages.")] = 1,
    only: Annotated[str, typer.Option(help=f"Kinds of faults, with commas between: {', '.join(FAULTS)}.")] = "",
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 200.0,
    users: Annotated[
        int, typer.Option(min=1, help="Number of users: a third of the rate each second is theirs.")
    ] = 600,
    workers: Annotated[int, typer.Option(min=1, help="Workers to begin with.")] = 2,
    overlap: Annotated[float, typer.Option(min=0, max=1, help="Share of faults that strike during another.")] = 0.3,
    session_s: Annotated[int, typer.Option(min=1, max=60, help="Session timeout of the workers, s.")] = 5,
    compaction_lag_ms: Annotated[int, typer.Option(min=0, help="min.compaction.lag.ms of the changelog.")] = 40_000,
    out: Annotated[Path, typer.Option(help="Folder for reports and logs; a run replaces what is there.")] = Path(
        ".nextact/chaos"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one line of JSON.")] = False,
) -> None:
    """Kill, pause, move and change whatever can be, while events flow; then hold everything against a reference.

    Needs Apache Kafka: KAFKA_HOME names a folder with its jars. report.json, report.md and all logs are left in --out.

    Example:  python -m chaos --faults 20 --seed 1
    """
    kinds = [name for name in only.split(",") if name]
    if unknown := set(kinds) - set(FAULTS):
        raise typer.BadParameter(f"no such faults: {', '.join(sorted(unknown))}")
    shutil.rmtree(out, ignore_errors=True)
    plan = Plan(
        faults=faults,
        seed=seed,
        kinds=kinds,
        rate=rate,
        users=users,
        workers=workers,
        overlap=overlap,
        session_s=session_s,
        compaction_lag_ms=compaction_lag_ms,
    )
    journal = Journal()
    try:
        report = chaos(read_settings(partitions=6), plan, out, journal)
    except NextactError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from None
    finally:
        (out / "journal.log").write_text("".join(f"{line}\n" for line in journal.lines))
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    (out / "report.md").write_text(report.markdown())
    typer.echo(msgspec.json.encode(report).decode() if as_json else report.markdown())
    raise typer.Exit(0 if report.equal else 1)


if __name__ == "__main__":
    app()
