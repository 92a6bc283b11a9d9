"""`nextact benchmark`: one module a sub-command."""

import typer

from streams.commands.benchmark import latency, memory, recovery, scaling, throughput

app = typer.Typer(help="Measure the pipeline on a real broker.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Measure the pipeline on a real broker; its state is checked against a plain fold over the input."""


app.command()(throughput.throughput)
app.command()(recovery.recovery)
app.command()(memory.memory)
app.command()(latency.latency)
app.command()(scaling.scaling)
