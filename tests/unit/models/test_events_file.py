"""EVENTS files: every form reads alike, and what is wrong is said with file, line and column."""

from pathlib import Path

import polars as pl
import pytest
from same_logs import assert_same_logs

from models.events_file import SUFFIXES, EventsFileError, read_events, read_log, read_serving_events, write_events
from models.log import log

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
        ("u,i,,1,2", "action", "None"),
        ("u,i,view,-1,2", "ts_ms", "'-1'"),
        ("u,i,view,soon,2", "ts_ms", "'soon'"),
        ("u,i,view,,2", "ts_ms", "None"),
        ("u,i,view,1512144000000000,2", "ts_ms", "'1512144000000000'"),  # microseconds
        ("u,i,view,1,dear", "price", "'dear'"),
        ("u,i,view,1,-3", "price", "'-3'"),
        ("u,i,view,1,NaN", "price", "'NaN'"),
    ],
)
def test_a_wrong_cell_is_named_by_file_line_and_column(tmp_path: Path, line: str, column: str, value: str) -> None:
    with pytest.raises(EventsFileError) as caught:
        read(tmp_path, "events.csv", CSV + line + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'events.csv'}, line 5, column {column}: {value} ")


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    with pytest.raises(EventsFileError, match="line 5, column action"):
        read(tmp_path, "quoted.csv", 'user_id,item_id,action,ts_ms\nu,"two\nlines",view,1\nu,i,view,1\nu,i,,1\n')
    good = '{"user_id": "u", "item_id": "i", "action": "view", "ts_ms": 1}\n'
    with pytest.raises(EventsFileError, match="line 4, column action"):
        read(tmp_path, "blank.jsonl", good + "\n" + good + good.replace("view", ""))
    with pytest.raises(EventsFileError, match="line 2 cannot be read"):
        read(tmp_path, "broken.jsonl", good + '{"user_id":\n')


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", "user_id,action,ts_ms\nu,view,1\n", "line 1: column item_id is missing"),
        ("events.csv", "", "holds no events"),
        ("events.csv", "user_id,item_id,action,ts_ms\n", "holds no events"),
        ("events.parquet", "not parquet", "cannot be read"),
        ("events.csv.gz", "not gzip", "cannot be read: it is not gzipped"),
        ("events.jsonl", "", "holds no events"),
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


def test_any_action_is_read_and_what_serves_refuses_others_by_line(tmp_path: Path) -> None:
    events = read(tmp_path, "events.csv", CSV + "u,i,cart,1,2\n")
    assert events["action"].to_list().count("cart") == 1
    with pytest.raises(EventsFileError, match=r"events\.csv, line 5, column action: 'cart' is not one of view, click"):
        read_serving_events(tmp_path / "events.csv")
    (tmp_path / "good.csv").write_text(CSV)
    assert read_serving_events(tmp_path / "good.csv").equals(read_events(tmp_path / "good.csv"))


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ([1_511_544_070, 1_511_544_071], "line 2, column ts_ms: 1511544070 looks like seconds, as in all rows"),
        (
            [1_511_544_070_000, 1_511_544_071, 1_511_544_072_000],
            "line 3, column ts_ms: 1511544071 looks like seconds, as in 1 of 3 rows",
        ),
    ],
)
def test_times_in_seconds_are_refused_with_their_rows(tmp_path: Path, times: list[int], said: str) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,action,ts_ms\n" + "".join(f"u,i,view,{time}\n" for time in times)
    )
    for reads in (read_events, read_serving_events, read_log):
        with pytest.raises(EventsFileError, match="multiply by 1000") as caught:
            reads(tmp_path / "events.csv")
        assert said in str(caught.value)


@pytest.mark.parametrize("times", [[0, 1_511_544_070], [345_600_000, 950_400_000, 1_511_544_070_000]])
def test_times_that_begin_in_1970_are_times_in_ms(tmp_path: Path, times: list[int]) -> None:
    """As those of a simulator, or of a log that knows intervals only."""
    lines = "".join(f"u,i,view,{time}\n" for time in times)
    assert read(tmp_path, "events.csv", "user_id,item_id,action,ts_ms\n" + lines)["ts_ms"].to_list() == times


def test_events_before_a_time_are_those_of_the_log_with_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(CSV + "u1,8,click,1000,\nu1,9,click,1000,\n")
    wanted = log(read_events(tmp_path / "events.csv").filter(pl.col("ts_ms") < 2000))
    assert_same_logs(read_log(tmp_path / "events.csv", until_ms=2000), wanted)
    with pytest.raises(EventsFileError, match=r"holds no event before 1970-01-01 00:00:01 UTC"):
        read_log(tmp_path / "events.csv", until_ms=1000)
    (tmp_path / "positions.csv").write_text("user_id,item_id,action,position\nu,b,view,2\n")
    with pytest.raises(EventsFileError, match="has no times"):
        read_log(tmp_path / "positions.csv", until_ms=1000)


def test_positions_stand_in_for_times_but_not_for_what_serves(tmp_path: Path) -> None:
    events = read(tmp_path, "events.csv", "user_id,item_id,action,position,title\nu,b,view,2,Two\nu,a,view,1,One\n")
    assert events.select("item_id", "position", "title").rows() == [("b", 2, "Two"), ("a", 1, "One")]
    with pytest.raises(EventsFileError, match="line 1: column ts_ms is missing"):
        read_serving_events(tmp_path / "events.csv")
    with pytest.raises(EventsFileError, match="line 3, column position: None is empty"):
        read(tmp_path, "events.csv", "user_id,item_id,action,position\nu,b,view,2\nu,a,view,\n")


def test_a_split_is_one_that_is_known(tmp_path: Path) -> None:
    header = "user_id,item_id,action,ts_ms,split\n"
    assert read(tmp_path, "events.csv", header + "u,i,view,1,context\n")["split"].to_list() == ["context"]
    for wrong in ("dev", ""):
        with pytest.raises(
            EventsFileError, match=r"line 3, column split: .* is not one of train, validation, test, con"
        ):
            read(tmp_path, "events.csv", header + "u,i,view,1,test\nu,i,view,2," + wrong + "\n")


def test_other_columns_may_stand_for_item_and_action(tmp_path: Path) -> None:
    content = "user_id,item_id,action,ts_ms,category,raw_action\nu,7,click,1,shoes,cart\n"
    path = tmp_path / "events.csv"
    path.write_text(content)
    events = read_events(path, item="category", action="raw_action")
    names = ["item_id", "action", "file_item_id", "file_action", "category"]
    assert events.select(names).row(0) == ("shoes", "cart", "7", "click", "shoes")
    path.write_text(content + "u,8,click,2,,fav\n")
    with pytest.raises(EventsFileError, match="line 3, column category: None is empty"):
        read_events(path, item="category")
    with pytest.raises(EventsFileError, match="line 1: column shelf is missing"):
        read_events(path, item="shelf")


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if not suffix.startswith(".parquet")])
def test_a_gzipped_file_says_so_in_its_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"events{suffix}"
    write_events(read(tmp_path, "events.csv", CSV), path)
    wrong = tmp_path / (path.name.removesuffix(".gz") if suffix.endswith(".gz") else path.name + ".gz")
    path.rename(wrong)
    with pytest.raises(EventsFileError, match=r"cannot be read: it is (not )?gzipped"):
        read_events(wrong)


def test_a_blank_line_of_csv_is_named_as_an_editor_counts_it(tmp_path: Path) -> None:
    with pytest.raises(EventsFileError, match="line 3, column user_id: None is empty"):
        read(tmp_path, "events.csv", "user_id,item_id,action,ts_ms\nu,i,view,1\n\nu,i,view,2\n")


def test_a_broken_end_is_refused(tmp_path: Path) -> None:
    events = read(tmp_path, "events.csv", CSV)
    for suffix in (".parquet", ".csv.gz", ".jsonl.gz"):
        path = tmp_path / f"events{suffix}"
        write_events(events, path)
        path.write_bytes(path.read_bytes()[:-20])
        for reads in (read_events, read_log):
            with pytest.raises(EventsFileError, match="cannot be read"):
                reads(path)


def test_a_log_is_read_without_its_text(tmp_path: Path) -> None:
    events = read(tmp_path, "events.csv", CSV).with_columns(user_id=pl.lit(7), mood=pl.lit("good"))
    for suffix in SUFFIXES:
        path = tmp_path / f"events{suffix}"
        write_events(events, path)
        made = read_log(path, by="user")
        assert_same_logs(made, log(read_events(path), by="user"))
        assert made.columns.schema["mood"] == pl.Categorical
        assert_same_logs(read_log(path, item="mood"), log(read_events(path, item="mood")))
        with pytest.raises(EventsFileError, match=f"events{suffix}: 3 events have no session_id"):
            read_log(path, by="session")
    (tmp_path / "bad.csv").write_text(CSV + "u,i,view,soon,\n")
    with pytest.raises(EventsFileError, match="line 5, column ts_ms: 'soon' is not Int64"):
        read_log(tmp_path / "bad.csv")
