"""Prometheus' HTTP interface, as far as panels and tests ask it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import numpy.typing as npt

TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One series of an answer: its labels, and its values over time [points]."""

    labels: Mapping[str, str]
    time_s: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]

    @property
    def last(self) -> float:
        """The last value that is a number; NaN if none is."""
        known = self.value[~np.isnan(self.value)]
        return float(known[-1]) if len(known) else float("nan")


class Prometheus:
    """A server of Prometheus."""

    def __init__(self, url: str) -> None:
        """Name it, as http://host:port."""
        self._url = urlsplit(url)

    def instant(self, query: str, at_s: float) -> list[Answer]:
        """Return what a query answers at one time.

        Raises:
            ValueError: Prometheus refuses the query.
            OSError: it does not answer.
        """
        found = self.get("query", {"query": query, "time": f"{at_s:.3f}"})
        pairs = [{"metric": {}, "value": found["result"]}] if found["resultType"] == "scalar" else found["result"]
        return [_answer(each["metric"], [each["value"]]) for each in pairs]

    def range(self, query: str, start_s: float, end_s: float, step_s: float) -> list[Answer]:
        """Return what a query answers over time.

        Raises:
            ValueError: Prometheus refuses the query.
            OSError: it does not answer.
        """
        window = {"start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": f"{step_s:g}"}
        return [_answer(s["metric"], s["values"]) for s in self.get("query_range", {"query": query} | window)["result"]]

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
        """Return the data of an answer of /api/v1.

        Raises:
            ValueError: Prometheus refuses the request.
            OSError: it does not answer.
        """
        connection = HTTPConnection(self._url.hostname or "localhost", self._url.port or 9090, timeout=TIMEOUT_S)
        try:
            connection.request("GET", f"{self._url.path.rstrip('/')}/api/v1/{path}?{urlencode(parameters)}")
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.headers.get_content_type() != "application/json":  # it only just starts, or is something else
            raise ConnectionError(f"{self._url.geturl()} answers {answer.status}, and not as Prometheus does")
        value = json.loads(text)
        if value["status"] != "success":
            raise ValueError(f"{value['error']}: {parameters}")
        return value["data"]


def _answer(labels: Mapping[str, str], pairs: list[tuple[float, str]]) -> Answer:
    return Answer(labels, np.array([p[0] for p in pairs], float), np.array([float(p[1]) for p in pairs], float))
