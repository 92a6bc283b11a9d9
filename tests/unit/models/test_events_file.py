"""EVENTS files: every form reads alike, and what is wrong is said with file, line and column."""

from pathlib import Path

import polars as pl
import pytest

from models.events_file import SUFFIXES, EventsFileError, read_events, write_events

CSV = "user_id,item_id,action,ts_ms,price\nu1,007,view,2000,1.5\nu2,8,click,1000,\nu1,9,purchase,1000,\n"


def read(tmp_path: Path, name: str, content: str) -> pl.DataFrame:
    path = tmp_path / name
    path.write_text(content)
    return read_events(path)


def test_events_are_sorted_by_time_and_ties_keep_the_files_order(tmp_path: Path) -> None:
    events = read(tmp_path, "events.csv", CSV)
    assert events["item_id"].to_list() == ["8", "9", "007"]
    assert events["event_id"].to_list() == ["r000002", "r000003", "r000001"]
    assert events.schema["ts_ms"] == pl.Int64
    assert events["price"].to_list() == [None, None, 1.5]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_form_reads_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    events = read(tmp_path, "events.csv", CSV).with_columns(raw=pl.lit("kept"))
    path = tmp_path / f"again{suffix}"
    write_events(events, path)
    assert read_events(path).equals(events)


def test_numbers_as_ids_become_text(tmp_path: Path) -> None:
    events = read(tmp_path, "events.jsonl", '{"user_id": 5, "item_id": 6, "action": "view", "ts_ms": 7}\n')
    assert events.select("user_id", "item_id").row(0) == ("5", "6")


def test_a_given_event_id_stays_and_a_missing_one_is_filled(tmp_path: Path) -> None:
    content = "user_id,item_id,action,ts_ms,event_id\nu,i,view,1,mine\nu,i,view,2,\n"
    assert read(tmp_path, "events.csv", content)["event_id"].to_list() == ["mine", "r000002"]


@pytest.mark.parametrize(
    ("line", "column", "value"),
    [
        (",i,view,1,2", "user_id", "None"),
        ('"",i,view,1,2', "user_id", "''"),
        ("u,,view,1,2", "item_id", "None"),
        ("u,i,cart,1,2", "action", "'cart'"),
        ("u,i,view,-1,2", "ts_ms", "-1"),
        ("u,i,view,soon,2", "ts_ms", "'soon'"),
        ("u,i,view,,2", "ts_ms", "None"),
        ("u,i,view,1512144000000000,2", "ts_ms", "1512144000000000"),  # microseconds
        ("u,i,view,1,dear", "price", "'dear'"),
        ("u,i,view,1,-3", "price", "-3.0"),
        ("u,i,view,1,NaN", "price", "nan"),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(tmp_path: Path, line: str, column: str, value: str) -> None:
    with pytest.raises(EventsFileError) as caught:
        read(tmp_path, "events.csv", CSV + line + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'events.csv'}, line 5, column {column}: {value} ")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    with pytest.raises(EventsFileError, match="line 5, column action"):
        read(tmp_path, "quoted.csv", 'user_id,item_id,action,ts_ms\nu,"two\nlines",view,1\nu,i,view,1\nu,i,buy,1\n')
    good = '{"user_id": "u", "item_id": "i", "action": "view", "ts_ms": 1}\n'
    with pytest.raises(EventsFileError, match="line 4, column action"):
        read(tmp_path, "blank.jsonl", good + "\n" + good + good.replace("view", "buy"))
    with pytest.raises(EventsFileError, match="line 2 cannot be read"):
        read(tmp_path, "broken.jsonl", good + '{"user_id":\n')


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", "user_id,action,ts_ms\nu,view,1\n", "line 1: column item_id is missing"),
        ("events.csv", "", "holds no events"),
        ("events.csv", "user_id,item_id,action,ts_ms\n", "holds no events"),
        ("events.parquet", "not parquet", "cannot be read"),
        ("events.csv.gz", "not gzip", "cannot be read"),
        ("events.txt", "", "must end in one of .parquet, .csv"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(EventsFileError, match=message) as caught:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(caught.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        with pytest.raises(EventsFileError, match=name):
            read_events(tmp_path / name)
