"""`python -m streams`: the command `nextact`."""

from streams.cli import app

app()
