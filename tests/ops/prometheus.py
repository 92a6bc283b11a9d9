"""A Prometheus of our own, on the loopback address."""

import math
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

import yaml

from deploy.dashboards.prometheus import Answer, Prometheus
from streams.errors import ProcessEnded
from streams.local_broker import free_ports
from streams.processes import Process

INTERVAL_MS = 250
"""How often workers are scraped and rules looked at: 15 s, scaled less than the rules so that each window has some."""

_NAP_S = 0.1


class PrometheusProcess(Process):
    """Scrapes these addresses and evaluates these rules. Use it in a `with` block; `server` is asked.

    Args:
        program: the binary.
        folder: where it keeps everything.
        targets: addresses of workers, host:port.
        rules: files of rules.
    """

    def __init__(self, program: str, folder: Path, targets: Sequence[str], rules: Sequence[Path]) -> None:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        self.server = Prometheus(f"http://{address}")
        every = f"{INTERVAL_MS}ms"
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(path) for path in rules],
            "scrape_configs": [{"job_name": "nextact", "static_configs": [{"targets": list(targets)}]}],
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=warn",
        ]
        super().__init__(command, folder / "prometheus.log")

    def query(self, expr: str) -> list[Answer]:
        """Return what an expression is now.

        Raises:
            ValueError: the expression is refused.
            OSError: nobody answers.
        """
        return self.server.instant(expr, time.time())

    def value(self, expr: str) -> float:
        """Return the one number that an expression is; not a number if it is none."""
        found = self.query(expr)
        return found[0].last if len(found) == 1 else math.nan

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        alerts = self.server.get("alerts", {})["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def wait_until(self, condition: Callable[[], object], what: str, patience_s: float) -> float:
        """Wait until something holds; return the seconds that it took.

        Raises:
            ProcessEnded: it did not come to that.
        """
        began_s = time.monotonic()
        while True:
            try:
                if condition():
                    return time.monotonic() - began_s
            except (OSError, HTTPException):
                pass  # it only just starts
            if self.code is not None:
                raise ProcessEnded(f"Prometheus ended with code {self.code}: {self.last_words()}")
            if time.monotonic() > began_s + patience_s:
                raise ProcessEnded(f"not after {patience_s:.0f} s: {what}")
            time.sleep(_NAP_S)
