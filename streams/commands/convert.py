"""`nextact convert`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Log(StrEnum):
    """Public logs that can be converted."""

    taobao = "taobao"


def convert(
    log: Annotated[Log, typer.Argument(help="Which log it is: taobao is Taobao UserBehavior.")],
    file: Annotated[Path, typer.Argument(help="The log as published, CSV, also gzipped.")],
    out: Annotated[Path, typer.Option(help="EVENTS to write: .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz.")],
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Turn a public log into an EVENTS file.

    Example:  nextact convert taobao UserBehavior.csv --out taobao.parquet
    """
    from msgspec import json

    from models.convert import taobao
    from models.events_file import write_events

    events, dropped = {Log.taobao: taobao.convert}[log](file)
    write_events(events, out)
    if as_json:
        typer.echo(json.encode({"events": len(events), "dropped": dropped}).decode())
    else:
        typer.echo(f"{len(events):,} events in {out}; {dropped:,} rows outside {taobao.DAYS} dropped")
