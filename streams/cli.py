"""The command `nextact`. Each command stands in a module of its own and imports what it needs when it runs."""

import errno
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streams.commands import (
    backtest,
    benchmark,
    broker,
    compare,
    contract,
    convert,
    dead_letters,
    demo,
    evaluate,
    plan,
    replay,
    report,
    simulate,
    tail,
    topics,
    train,
    user,
    worker,
)
from streams.errors import NextactError
from streams.extras import missed

USAGE_ERROR = 2
_UsageError = typer.BadParameter.__mro__[1]  # typer has no name for it, and carries a click of its own
TERMINATED = 143


class OneLineErrors(TyperGroup):
    """Ends with one line and code 2 for what a user can do something about; a bug keeps its traceback."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - click's
        """Read what stands before the command."""
        with _one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - click's
        """Run a command."""
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        message = _explained(error)
        if message is None:
            raise
        typer.echo(f"error: {message}", err=True)
        raise typer.Exit(USAGE_ERROR) from None


app = typer.Typer(
    cls=OneLineErrors,
    help="What a shopper does next, live, on the Kafka you already have.",
    epilog="Start with:  nextact demo --events 20000",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _explained(error: Exception) -> str | None:
    """Return the line for an error that is none of ours to fix, None for a bug."""
    if isinstance(error, NextactError):
        return str(error)
    if isinstance(error, _UsageError):
        return _of_usage(error)
    if isinstance(error, ModuleNotFoundError):
        return missed(error)
    refused = getattr(sys.modules.get("kafka.errors"), "AuthorizationError", None)
    if refused is not None and isinstance(error, refused):
        return f"this user lacks a right ({error}): add ACLs for it: docs/operations.md has the list"
    # an error of a module that was never imported cannot have come from it
    for module, name, prefix in (
        ("models.model_directory", "ModelDirectoryError", ""),
        ("models.events_file", "EventsFileError", ""),
        ("kafka.errors", "KafkaError", "the broker does not do what was asked: "),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return f"{prefix}{error}" if str(error) else f"{prefix}{type(error).__name__}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot read or write {error.filename}: {error.strerror}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of a file that is open, so nameless
        return f"cannot write: {error.strerror}"
    return None


def _of_usage(error: Any) -> str | None:  # noqa: ANN401 - click's
    """Return the line for an option or argument that cannot be, None for one that shows the help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    line = " ".join(error.format_message().split()).replace("Value error, ", "")  # of what checks the values
    return line if error.ctx is None else f"{line.removesuffix('.')}; see `{error.ctx.command_path} --help`"


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"nextact {version('nextact')}")
        except PackageNotFoundError:
            typer.echo("nextact, not installed")
        raise typer.Exit


def _terminate(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - signal's
    raise SystemExit(TERMINATED)


@app.callback()
def main(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run before each command: a SIGTERM ends it as an exception does, so that all it started is stopped."""
    signal.signal(signal.SIGTERM, _terminate)


app.command()(demo.demo)
app.add_typer(topics.app, name="topics")
app.command()(worker.worker)
app.command()(simulate.simulate)
app.command()(replay.replay)
app.command()(tail.tail)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(contract.app, name="contract")
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(report.report)
app.command()(compare.compare)
app.command()(backtest.backtest)
app.add_typer(user.app, name="user")
app.command()(convert.convert)
app.command()(plan.plan)
app.command()(broker.broker)
app.add_typer(benchmark.app, name="benchmark")
