"""Public logs to EVENTS: what each becomes, what is dropped, and which cell is wrong."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from models.convert import cdnow, diginetica, jd, movielens, online_retail, taobao, taobao_types
from models.convert.source import Converted
from models.events_file import EventsFileError, read_events, write_events
from streams.cli import USAGE_ERROR, app

TAOBAO = "1,10,5,pv,1511544070\n1,11,5,cart,1512143999\n2,12,6,fav,1512144000\n2,12,6,buy,1511544073\n"
JD = """\
session,pos,sku,action,category,interval_to_next_s,dwell_s
7,0,a,5,c,10,999
7,1,b,9,c,0,1
7,2,c,10,c,500,1
3,0,a,5,c,77,1
"""
TRAIN, TEST = "5 6\n7 8 5\n", "1 2 3\t4\n1 2\t3\n9 8\t7\n9\t8\n5 5\t5\n1\t2\n"
MOVIELENS = "user\ttrain\tval\ttest\nu\t10 11 12\t13\t14\nv\t10\t11\t12\n"
RETAIL = """\
invoice,stock_code,action,quantity,ts,price,customer_id,country
489434,85048,purchase,12,2009-12-01 07:45:00,6.95,13085,United Kingdom
489434,POST,purchase,1,2009-12-01 07:45:00,-5.0,,United Kingdom
C489435,85048,return,-2,2009-12-02 08:00:00,6.95,13085,France
538171,20970,return,-2,2010-12-01 00:00:00,3.75,,France
"""
CDNOW = """\
 00001 19970101  1   11.77
 00001 19970930  2   20.00
 00001 19970930  5    1.00\r
 00002 19971001  0    0.00
"""
TYPES = "seq_id,split,ts,type\n0,train,1511568853,8\n0,train,1511568853,16\n1,dev,1511568853,8\n2,test,1511568855,8\n"

Convert = Callable[..., Converted]
LOGS: dict[str, tuple[Convert, tuple[str, ...]]] = {
    "taobao": (taobao.convert, (TAOBAO,)),
    "jd": (jd.convert, (JD,)),
    "diginetica": (diginetica.convert, (TRAIN, TEST)),
    "movielens": (movielens.convert, (MOVIELENS,)),
    "online-retail": (online_retail.convert, (RETAIL,)),
    "cdnow": (cdnow.convert, (CDNOW,)),
    "taobao-types": (taobao_types.convert, (TYPES,)),
}


def converted(folder: Path, name: str, *texts: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """Convert texts, or the log's example, and return the events as they are read from an EVENTS file."""
    convert, example = LOGS[name]
    paths = [folder / f"{name}{k}.txt" for k in range(len(texts or example))]
    for path, text in zip(paths, texts or example, strict=True):
        path.write_bytes(text.encode())
    events, dropped = convert(*paths)
    write_events(events, folder / "events.parquet")
    return read_events(folder / "events.parquet"), dropped


def rows(events: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return events.select(columns).rows()


@pytest.mark.parametrize("header", ["", "user_id,item_id,category_id,action,ts\n"])
def test_taobao_keeps_both_names_of_an_action_and_tests_the_last_two_days(tmp_path: Path, header: str) -> None:
    events, dropped = converted(tmp_path, "taobao", header + TAOBAO)
    assert rows(events, "event_id", "action", "raw_action", "category", "split") == [
        ("r000001", "view", "pv", "5", "train"),
        ("r000004", "purchase", "buy", "6", "train"),
        ("r000002", "click", "cart", "5", "train"),
        ("r000003", "click", "fav", "6", "test"),
    ]
    assert events["ts_ms"].to_list() == [1511544070000, 1511544073000, 1512143999000, 1512144000000]
    assert list(dropped.values()) == [0]


def test_taobao_drops_and_counts_rows_outside_the_nine_days_in_china(tmp_path: Path) -> None:
    first, end = 1511539200, 1512316800  # 25 November and 4 December 2017, midnight in China
    times = [first - 1, first, end - 1, end, -5]
    events, dropped = converted(tmp_path, "taobao", "".join(f"1,{k},5,pv,{ts}\n" for k, ts in enumerate(times)))
    assert rows(events, "item_id", "event_id") == [("1", "r000002"), ("2", "r000003")]
    assert dropped == {"outside 25 November to 3 December 2017": 3}


def test_jd_has_times_from_the_intervals_before_and_nothing_of_the_future(tmp_path: Path) -> None:
    events, _ = converted(tmp_path, "jd")
    week = 7 * 86_400_000
    start = 4 * 86_400_000
    assert rows(events, "session_id", "position", "action", "ts_ms", "split") == [
        ("7", 0, "search", start, "train"),
        ("7", 1, "add_to_cart", start + 10_000, "train"),
        ("7", 2, "order", start + 10_000, "train"),
        ("3", 0, "search", start + week, "train"),
    ]
    assert "dwell_s" not in events.columns
    assert "interval_to_next_s" not in events.columns
    sessions = JD.splitlines()[0] + "\n" + "".join(f"{k},0,a,5,c,1,1\n" for k in range(10))
    events, _ = converted(tmp_path, "jd", sessions)
    assert events["split"].to_list() == ["train"] * 8 + ["test"] * 2


def test_jd_at_a_row_does_not_change_with_the_future_columns_of_that_row_and_later_ones(tmp_path: Path) -> None:
    events, _ = converted(tmp_path, "jd")
    lines = JD.splitlines()
    for row in range(3):
        cut = lines[: row + 1]
        altered = [",".join([*line.split(",")[:5], "12345", "6789"]) for line in lines[row + 1 : 4]]
        changed, _ = converted(tmp_path, "jd", "\n".join([*cut, *altered]) + "\n")
        assert changed[: row + 1].drop("split").equals(events[: row + 1].drop("split"))


def test_diginetica_puts_sessions_together_and_every_line_is_a_target(tmp_path: Path) -> None:
    events, _ = converted(tmp_path, "diginetica")
    sessions = events.group_by("user_id", maintain_order=True).agg("item_id", "split", "position")
    t, c = "test", "context"
    assert sessions.rows() == [
        ("train1", ["5", "6"], ["train"] * 2, [1, 2]),
        ("train2", ["7", "8", "5"], ["train"] * 3, [1, 2, 3]),
        ("test1", ["1", "2", "3", "4"], [c, c, t, t], [1, 2, 3, 4]),
        ("test2", ["9", "8", "7"], [c, t, t], [1, 2, 3]),
        ("test3", ["5", "5", "5"], [c, c, t], [1, 2, 3]),
        ("test4", ["1", "2"], [c, t], [1, 2]),
    ]
    assert (events["split"] == "test").sum() == len(TEST.splitlines())
    assert "ts_ms" not in events.columns


def test_movielens_leaves_the_last_two_items_out(tmp_path: Path) -> None:
    events, _ = converted(tmp_path, "movielens")
    assert rows(events, "user_id", "item_id", "position", "split") == [
        ("u", "10", 1, "train"),
        ("u", "11", 2, "train"),
        ("u", "12", 3, "train"),
        ("u", "13", 4, "validation"),
        ("u", "14", 5, "test"),
        ("v", "10", 1, "train"),
        ("v", "11", 2, "validation"),
        ("v", "12", 3, "test"),
    ]


def test_online_retail_drops_each_row_for_one_reason(tmp_path: Path) -> None:
    events, dropped = converted(tmp_path, "online-retail")
    assert dropped == {"from 2010-12-01 on": 1, "without a customer": 1, "returns": 1}
    names = ["user_id", "item_id", "ts_ms", "event_id", "session_id", "price", "currency", "quantity", "place"]
    assert rows(events, *names) == [
        ("13085", "85048", 1259653500000, "r000001", "489434", 6.95, "GBP", 12, "United Kingdom")
    ]


@pytest.mark.parametrize("header", ["", " customer_id  date number_of_cds  dollar_value \n"])
def test_cdnow_tests_the_last_39_weeks(tmp_path: Path, header: str) -> None:
    events, _ = converted(tmp_path, "cdnow", header + CDNOW)
    assert events["event_id"].to_list() == [f"r{k:06d}" for k in range(1, 5)]
    day = 86_400_000
    first = 852_076_800_000  # 1 January 1997
    assert rows(events, "user_id", "ts_ms", "quantity", "price", "split") == [
        ("00001", first, 1, 11.77, "train"),
        ("00001", first + 272 * day, 2, 10.0, "train"),
        ("00001", first + 272 * day, 5, 0.2, "train"),
        ("00002", first + 273 * day, 0, None, "test"),
    ]


def test_taobao_types_are_items_and_actions_in_the_files_order(tmp_path: Path) -> None:
    events, _ = converted(tmp_path, "taobao-types")
    assert rows(events, "user_id", "item_id", "action", "ts_ms", "position", "split") == [
        ("0", "8", "8", 1511568853000, 1, "train"),
        ("0", "16", "16", 1511568853000, 2, "train"),
        ("1", "8", "8", 1511568853000, 1, "validation"),
        ("2", "8", "8", 1511568855000, 1, "test"),
    ]


@pytest.mark.parametrize(
    ("name", "texts", "message"),
    [
        ("taobao", (TAOBAO + "1,10,5,look,1511544070\n",), "0.txt, line 5, column action: 'look' is not one of pv, ca"),
        ("taobao", (TAOBAO + "1,10,5,pv,noon\n",), "line 5, column ts: 'noon' is not a time in seconds"),
        ("taobao", (TAOBAO + ",10,5,pv,1511544070\n",), "line 5, column user_id: '' is empty"),
        ("taobao", ("1,2,3\n",), "line 1: 3 columns, not the 5 of user_id,item_id,category_id,action,ts"),
        ("taobao", ("",), "holds no rows"),
        ("jd", (JD + "7,3,a,11,c,1,1\n",), "line 6, column action: '11' is not one of 1, 2, 3"),
        ("jd", (JD + "7,3,a,5,c,-1,1\n",), "line 6, column interval_to_next_s: '-1' is not a whole number"),
        ("jd", (JD + "7,3,a,5,c,1\n" + TAOBAO,), "line 6: 6 columns, not the 7 of session,pos"),
        ("jd", (JD.partition("\n")[2],), "line 1: '7,0,a,5,c,10,999' is not the header session,pos"),
        ("jd", (JD.partition("\n")[0],), "holds no rows"),
        ("diginetica", (TRAIN + "5  6\n", TEST), "0.txt, line 3, column items: '5  6' is not a list of whole numbers"),
        ("diginetica", (TRAIN, TEST + "5 6\t\n"), "1.txt, line 7, column label: '' is not a whole number"),
        ("diginetica", (TRAIN, TEST + "5 6\t7 8\n"), "1.txt, line 7, column label: '7 8' is not a whole number"),
        ("movielens", (MOVIELENS + "w\t\t1\t2\n",), "line 4, column train: '' is not a list of whole numbers"),
        ("movielens", (MOVIELENS + "w\t1 2\t1\t2 3\n",), "line 4, column test: '2 3' is not a whole number"),
        ("online-retail", (RETAIL + "5,6,buy,1,2009-12-01 07:45:00,1,2,X\n",), "line 6, column action: 'buy' is not"),
        (
            "online-retail",
            (RETAIL + "5,6,return,1,1/12/2009 07:45,1,2,X\n",),
            "line 6, column ts: '1/12/2009 07:45' is",
        ),
        ("online-retail", (RETAIL + "5,6,return,1,2009-12-01 07:45:00,x,2,X\n",), "line 6, column price: 'x' is not a"),
        ("cdnow", (CDNOW + " 00003 19970231 1 2\n",), "line 5, column date: '19970231' is not a date as 19970101"),
        ("cdnow", (CDNOW + " 00003 19970201 1\n",), "line 5: 3 columns, not the 4 of customer_id,date"),
        ("taobao-types", (TYPES + "3,valid,1,2\n",), "line 6, column split: 'valid' is not one of train, dev, test"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_column(
    tmp_path: Path, name: str, texts: tuple[str, ...], message: str
) -> None:
    with pytest.raises(EventsFileError) as caught:
        converted(tmp_path, name, *texts)
    assert str(caught.value).startswith(str(tmp_path))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", LOGS)
def test_gzipped_files_are_read_alike_and_broken_ones_are_refused(tmp_path: Path, name: str) -> None:
    plain, _ = converted(tmp_path, name)
    convert, texts = LOGS[name]
    paths = [tmp_path / f"{k}.gz" for k in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(gzip.compress(text.encode()))
    write_events(convert(*paths).events, tmp_path / "events.parquet")
    assert read_events(tmp_path / "events.parquet").equals(plain)
    paths[-1].write_bytes(paths[-1].read_bytes()[:30])
    with pytest.raises(EventsFileError, match=r"\.gz cannot be read"):
        convert(*paths)
    paths[-1].unlink()
    with pytest.raises(EventsFileError, match=r"\.gz cannot be read"):
        convert(*paths)


@pytest.mark.parametrize("name", LOGS)
def test_command_writes_events_and_says_what_was_dropped(tmp_path: Path, name: str) -> None:
    files = [tmp_path / f"{k}.txt" for k in range(len(LOGS[name][1]))]
    for file, text in zip(files, LOGS[name][1], strict=True):
        file.write_bytes(text.encode())
    out = tmp_path / "events.jsonl"
    command = ["convert", name, *map(str, files), "--out", str(out)]
    shown = CliRunner().invoke(app, [*command, "--json"])
    assert shown.exit_code == 0, shown.output
    summary = json.loads(shown.stdout)
    assert summary["events"] == len(read_events(out))
    assert CliRunner().invoke(app, command).stdout.count("rows dropped: ") == len(summary["dropped"])
    refused = CliRunner().invoke(app, [*command, str(files[0])])
    assert refused.exit_code == USAGE_ERROR
    assert f"convert {name} takes" in refused.stderr
