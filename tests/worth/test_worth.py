"""What is left out for the table of inputs is left out, and nothing else."""

from pathlib import Path

import polars as pl
import pytest

from models.log import log
from models.training_table import Parts, parts
from worth.inputs import BLINDS, learn, says_something


def events() -> pl.DataFrame:
    """Return events of twelve users that have every input."""
    rows = [(user, place) for user in range(12) for place in range(8)]
    return pl.DataFrame(
        {
            "user_id": [f"u{user:02}" for user, _ in rows],
            "item_id": [f"i{(user + place * place) % 5}" for user, place in rows],
            "action": [("view", "click", "purchase")[(user + place) % 3] for user, place in rows],
            "ts_ms": [1_750_000_000_000 + user * 90_000_000 + place * place * 7_000_000 for user, place in rows],
            "category": ["even" if (user + place * place) % 5 % 2 else "odd" for user, place in rows],
            "price": [float((user + place * place) % 5 + 1) for user, place in rows],
            "device": [("phone", "desktop")[place % 2] for _, place in rows],
        }
    )


@pytest.fixture(scope="module")
def made() -> Parts:
    return parts(log(events()), utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=100)


@pytest.mark.parametrize("name", [name for name in BLINDS if name != "nothing"])
def test_every_input_says_something_until_it_is_left_out(made: Parts, name: str) -> None:
    without = BLINDS[name](made)
    assert says_something(made, BLINDS[name])
    assert not says_something(without, BLINDS[name])
    assert without.train is made.train
    assert without.validation is made.validation


def test_an_input_that_a_log_does_not_have_is_not_trained_without(tmp_path: Path) -> None:
    events().drop("device").write_parquet(tmp_path / "events.parquet")
    assert learn(tmp_path / "events.parquet", "item_id", "action", 0, BLINDS["device"], 0) is None
