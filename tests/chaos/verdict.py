"""What was found: differences, and figures for the report."""

from collections import Counter
from dataclasses import dataclass, field

_SHOWN = 5


@dataclass
class Verdict:
    """What was found.

    Attributes:
        differences: one line each; empty: all is equal.
        suspects: users and partitions of the first differences, for a search in the logs.
        counts: figures for the report.
        story: what the changelog tells of the first users that differ.
    """

    differences: list[str] = field(default_factory=list)
    suspects: list[tuple[bytes, int]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)

    def differs(self, kind: str, text: str) -> None:
        """Count a difference; keep the first ones of each kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= _SHOWN:
            self.differences.append(f"{kind}: {text}")
