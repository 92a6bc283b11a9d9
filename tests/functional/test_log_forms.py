"""A log is the same whatever form its events stand in and however its rows are shuffled."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from same_logs import assert_same_logs

from models.events_file import SUFFIXES, read_events, read_log, write_events
from models.log import SPLITS, By, log

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4)
"""Ids and names of all kinds but with control characters, which CSV does not keep."""


@st.composite
def logs(draw: st.DrawFn) -> pl.DataFrame:
    """Draw events, few ids and times so that many are equal, with ids of their own and any of the other columns."""
    count = draw(st.integers(1, 30))
    names = draw(st.lists(TEXTS, min_size=1, max_size=4))

    def column(values: st.SearchStrategy[object]) -> pl.Series:
        return pl.Series(draw(st.lists(values, min_size=count, max_size=count)))

    events = {name: column(st.sampled_from(names)) for name in ("user_id", "item_id", "action", "event_id")}
    timed = draw(st.booleans())
    if timed:
        events["ts_ms"] = column(st.integers(0, 5))
    else:
        events["position"] = column(st.integers(-2, 3))
    if not timed or draw(st.booleans()):  # what is held out of a log without times depends on the file's order
        split = {name: draw(st.sampled_from(SPLITS)) for name in names}
        if not timed:
            split[events["event_id"][0]] = "validation"
        events["split"] = events["event_id"].replace_strict(split)
    for name, of in (("session_id", "event_id"), ("category", "item_id"), ("title", "item_id"), ("mood", "event_id")):
        if draw(st.booleans()):  # what are duplicates by their ids must be so in all columns
            events[name] = events[of].replace_strict({name: draw(st.sampled_from(names)) for name in names})
    return pl.DataFrame(events)


@given(logs(), st.randoms(use_true_random=False), st.sampled_from(SUFFIXES), st.sampled_from([None, "user", "session"]))
def test_any_order_of_rows_in_any_form_is_the_same_log(
    events: pl.DataFrame, random: Random, suffix: str, by: By | None
) -> None:
    if "session_id" not in events.columns and by == "session":
        by = None
    rows = list(range(len(events)))
    random.shuffle(rows)
    expected = log(events, by)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"events{suffix}"
        write_events(events[rows], path)
        assert_same_logs(log(read_events(path), by), expected)
        assert_same_logs(read_log(path, by), expected)
