"""Taobao UserBehavior to EVENTS."""

from pathlib import Path

import pytest

from models.convert.taobao import convert
from models.events_file import EventsFileError, read_events, write_events

HEADER = "user_id,item_id,category_id,action,ts\n"
ROWS = "1,10,5,pv,1511544070\n1,11,5,cart,1511544071\n2,12,6,fav,1511544072\n2,12,6,buy,1511544073\n"


@pytest.mark.parametrize("header", ["", HEADER])
def test_actions_are_mapped_and_the_sources_are_kept(tmp_path: Path, header: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(header + ROWS)
    events, dropped = convert(path)
    assert events["action"].to_list() == ["view", "click", "click", "purchase"]
    assert events["raw_action"].to_list() == ["pv", "cart", "fav", "buy"]
    assert events["category"].to_list() == ["5", "5", "6", "6"]
    assert events["ts_ms"].to_list() == [1511544070000, 1511544071000, 1511544072000, 1511544073000]
    assert dropped == 0
    write_events(events, tmp_path / "events.parquet")
    assert read_events(tmp_path / "events.parquet").equals(events)


def test_rows_outside_the_nine_days_in_china_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    first, end = 1511539200, 1512316800  # 25 November and 4 December 2017, midnight in China
    times = [first - 1, first, end - 1, end, -5]
    path.write_text("".join(f"1,{k},5,pv,{ts}\n" for k, ts in enumerate(times)))
    events, dropped = convert(path)
    assert events["item_id"].to_list() == ["1", "2"]
    assert events["event_id"].to_list() == ["r000002", "r000003"]
    assert dropped == 3


@pytest.mark.parametrize(
    "row", ["1,10,5,look,1511544070", "1,10,5,pv,noon", ",10,5,pv,1511544070", "1,,5,pv,1511544070"]
)
def test_a_row_that_is_none_of_such_a_log_is_named_by_its_line(tmp_path: Path, row: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(HEADER + ROWS + row + "\n")
    with pytest.raises(EventsFileError, match="line 6"):
        convert(path)


def test_another_number_of_columns_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("1,2,3\n")
    with pytest.raises(EventsFileError, match="3 columns"):
        convert(path)
    with pytest.raises(EventsFileError, match="none"):
        convert(tmp_path / "none.csv")
