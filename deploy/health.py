"""Ask the worker in this container how it is: exit code 0 if well, else 1 and a line that says why.

`live`: it answers. `ready`: it owns partitions, and their users are read back. Nothing is imported that takes long to
load, as this runs every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0
ADDRESSES = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do


def values(text: str) -> dict[str, float]:
    r"""Return the metrics without labels, by name.

    >>> values('# HELP a b\na 1.0\nb{c="d"} 2.0\n')
    {'a': 1.0}
    """
    pairs = [line.split() for line in text.splitlines() if line and line[0] != "#" and "{" not in line]
    return {pair[0]: float(pair[1]) for pair in pairs if len(pair) >= 2}


def trouble(metrics: dict[str, float]) -> str | None:
    """Return what a worker is still waiting for; None: nothing.

    >>> trouble({"nextact_partitions": 8.0, "nextact_recovering": 1.0})
    'partitions change hands or are read back'
    """
    if metrics.get("nextact_recovering") != 0:
        return "partitions change hands or are read back"
    return None if metrics.get("nextact_partitions", 0) > 0 else "it owns no partition"


def check(host: str, port: int, what: str) -> str | None:
    """Ask a worker; return what is wrong with it, None if nothing is."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, HTTPException) as error:
        return f"{host}:{port} does not answer: {error}"
    finally:
        connection.close()
    if answer.status != 200:
        return f"{host}:{port} answers {answer.status}"
    return trouble(values(text)) if what == "ready" else None


def main(arguments: list[str]) -> int:
    """Check what the one argument says, at the address that the worker's own variables name."""
    if arguments not in (["live"], ["ready"]):
        sys.stderr.write("usage: health.py live|ready\n")
        return 1
    host = os.environ.get("NEXTACT_METRICS_HOST", "")
    wrong = check(ADDRESSES.get(host, host), int(os.environ.get("NEXTACT_METRICS_PORT") or 9464), arguments[0])
    if wrong is not None:
        sys.stdout.write(f"not {arguments[0]}: {wrong}\n")
    return int(wrong is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
