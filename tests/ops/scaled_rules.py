"""The rules of Prometheus with all durations divided by one factor, as 30 days cannot be waited for."""

import re
from pathlib import Path

FACTOR = 240
"""One hour becomes 15 s. Expressions and thresholds stay: only `[5m]`, `for: 5m` and the like are scaled."""

_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(?<=\[)(\d+)([smhd])(?=\])|(?<=for: )(\d+)([smhd])$|(?<=offset )(\d+)([smhd])\b", re.MULTILINE)


def scaled(rules: str, factor: int = FACTOR) -> str:
    """Return a file of rules with shorter durations.

    >>> scaled("expr: rate(nextact:e:5m[6h] offset 1d) > 5 * 60")
    'expr: rate(nextact:e:5m[90000ms] offset 360000ms) > 5 * 60'
    >>> scaled("for: 2m")
    'for: 500ms'
    """

    def shorter(match: re.Match[str]) -> str:
        number, unit = (part for part in match.groups() if part is not None)
        return f"{int(number) * _UNITS_MS[unit] // factor}ms"

    return _DURATION.sub(shorter, rules)


def write_scaled(source: Path, folder: Path, factor: int = FACTOR) -> list[Path]:
    """Write scaled copies of all files of rules into a folder; return them."""
    written = []
    for path in sorted(source.glob("*.yaml")):
        written.append(folder / path.name)
        written[-1].write_text(scaled(path.read_text(), factor))
    return written
