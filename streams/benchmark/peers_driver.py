"""Runs the peers' own run.py with one more peer: `nextact`, their job on our chunk path.

    PEERS_PYTHON peers_driver.py DIR OUR_PYTHON OUR_ROOT [arguments of run.py]

A script for the peers' interpreter, which knows nothing of ours. All that run.py checks of a peer it checks of ours.
"""

import ctypes
import os
import signal
import subprocess
import sys
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(143)  # run.py stops its peer on the way out


def main(folder: str, python: str, root: str, *arguments: str) -> None:
    """Run run.py of a folder; `python` with `root` on its path runs our peer."""
    signal.signal(signal.SIGTERM, _terminate)
    vars(subprocess)["Popen"] = partial(subprocess.Popen, preexec_fn=_die_with_parent)
    sys.path[0] = folder
    sys.argv = ["run.py", *arguments]
    run: Any = import_module("run")
    theirs = run.command

    def command(peer: str, options: Any, group: str, *others: object) -> tuple[list[str], dict[str, str]]:  # noqa: ANN401
        if peer != "nextact":
            found: tuple[list[str], dict[str, str]] = theirs(peer, options, group, *others)
            return found
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        words = [python, "-m", "streams.benchmark.peers_job", folder, options.bootstrap, group]
        return words, os.environ | {"PYTHONPATH": path}

    run.command = command
    run.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
