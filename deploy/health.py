"""Ask the worker in this container how it is: exit code 0 if well, else 1 and a line that says why.

`live`: it answers, and gets on. `ready`: it owns partitions, and their users are read back. Nothing is imported that
takes long to load, as this runs every few seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 4.0
ADDRESSES = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do


def check(host: str, port: int, what: str) -> str | None:
    """Ask a worker; return what is wrong with it, None if nothing is."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"/{what}")
        answer = connection.getresponse()
        said = answer.read().decode()
    except (OSError, HTTPException) as error:
        return f"not {what}: {host}:{port} does not answer: {error}"
    finally:
        connection.close()
    return None if answer.status == 200 else said.strip()


def main(arguments: list[str]) -> int:
    """Check what the one argument says, at the address that the worker's own variables name."""
    if arguments not in (["live"], ["ready"]):
        sys.stderr.write("usage: health.py live|ready\n")
        return 1
    host = os.environ.get("NEXTACT_METRICS_HOST", "")
    wrong = check(ADDRESSES.get(host, host), int(os.environ.get("NEXTACT_METRICS_PORT") or 9464), arguments[0])
    if wrong is not None:
        sys.stdout.write(f"{wrong}\n")
    return int(wrong is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
