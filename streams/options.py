"""What the pipeline is told from outside."""

from dataclasses import dataclass

from schemas.events import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Options:
    """What to accept and what to answer."""

    prefix: str = ""
    limits: Limits = DEFAULT_LIMITS
    valid_for_ms: int = 3_600_000  # of a next action and of a slate; a churn risk is valid for its bands' horizon
    slate_size: int = 10  # 0: no recommendations
    reject_unknown_items: bool = False
