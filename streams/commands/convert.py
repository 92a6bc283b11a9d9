"""`nextact convert`."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.convert.source import Converted


class Name(StrEnum):
    """Public logs that can be converted."""

    taobao = "taobao"
    jd = "jd"
    diginetica = "diginetica"
    movielens = "movielens"
    online_retail = "online-retail"
    cdnow = "cdnow"
    taobao_types = "taobao-types"


FILES = {Name.diginetica: ("the training sessions", "the test prefixes with their next items")}
"""What is needed of logs that are not in one file."""


def convert(
    name: Annotated[Name, typer.Argument(help="Which log it is.")],
    files: Annotated[list[Path], typer.Argument(help="The log's files, also gzipped; docs/data.md tells which.")],
    out: Annotated[Path, typer.Option(help="EVENTS to write: .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz.")],
    as_json: Annotated[bool, typer.Option("--json", help="End with a summary as one line of JSON.")] = False,
) -> None:
    """Turn a public log into an EVENTS file, with the split into training and test rows that its figures are for.

    Example:  nextact convert taobao UserBehavior.csv --out taobao.parquet
    """
    from msgspec import json

    from models.events_file import write_events
    from streams.errors import NextactError

    needed = FILES.get(name, ("one file",))
    if len(files) != len(needed):
        raise NextactError(f"convert {name} takes {' and '.join(needed)}, not {len(files)} files")
    events, dropped = _converter(name)(*files)
    write_events(events, out)
    if as_json:
        typer.echo(json.encode({"events": len(events), "dropped": dropped}).decode())
        return
    typer.echo(f"{len(events):,} events of {events['user_id'].n_unique():,} users in {out}")
    for reason, rows in dropped.items():
        typer.echo(f"{rows:,} rows dropped: {reason}")


def _converter(name: Name) -> "Callable[..., Converted]":
    from models.convert import cdnow, diginetica, jd, movielens, online_retail, taobao, taobao_types

    converters: dict[Name, Callable[..., Converted]] = {
        Name.taobao: taobao.convert,
        Name.jd: jd.convert,
        Name.diginetica: diginetica.convert,
        Name.movielens: movielens.convert,
        Name.online_retail: online_retail.convert,
        Name.cdnow: cdnow.convert,
        Name.taobao_types: taobao_types.convert,
    }
    return converters[name]
