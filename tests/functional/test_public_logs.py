"""The converters on the published files, and the logs that come of them."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from public_data import public_file

from models.convert import cdnow, diginetica, jd, movielens, online_retail, taobao, taobao_types
from models.convert.source import Converted
from models.events_file import read_events, write_events
from models.log import SPLITS, Log, log
from models.state import ACTIONS


class Public(NamedTuple):
    """A public log in its two forms."""

    converted: Converted
    events: pl.DataFrame
    log: Log

    def splits(self) -> Counter[str]:
        """Number of rows of each part, as the log has them."""
        return Counter(SPLITS[code] for code in self.log.split)


def public(folder: Path, converted: Converted) -> Public:
    write_events(converted.events, folder / "events.parquet")
    events = read_events(folder / "events.parquet")
    made = log(events)
    assert len(made.item) == len(events) == len(converted.events)  # the converters make no duplicates
    return Public(converted, events, made)


def test_taobao_slice(tmp_path: Path) -> None:
    made = public(tmp_path, taobao.convert(public_file("taobao_userbehavior_700.csv.gz")))
    assert (len(made.events), len(made.log.first)) == (69_044, 670)
    assert list(made.converted.dropped.values()) == [30]
    assert made.log.actions == ACTIONS
    assert made.splits() == {"train": 45_531, "validation": 5_060, "test": 18_453}
    by_category = log(read_events(tmp_path / "events.parquet", item="category", action="raw_action"))
    assert by_category.actions == ("buy", "cart", "fav", "pv")
    assert len(by_category.items) == made.events["category"].n_unique()


def test_jd(tmp_path: Path) -> None:
    made = public(tmp_path, jd.convert(public_file("jd_micro_appliances.csv.gz")))
    assert (len(made.events), len(made.log.first), len(made.log.items)) == (78_040, 1_866, 11_444)
    assert set(made.log.actions) == set(jd.ACTION.values())
    sessions = made.events.group_by("session_id").agg(
        pl.col("split").unique(), pl.col("ts_ms").max() - pl.col("ts_ms").min()
    )
    assert sessions["split"].list.len().max() == 1
    assert Counter(sessions["split"].explode()) == {"train": 1_493, "test": 373}
    longest = sessions["ts_ms"].max()
    assert isinstance(longest, int)
    assert longest < jd.WEEK_MS


def test_diginetica(tmp_path: Path) -> None:
    train, test = "diginetica_srgnn_train_sessions.txt.gz", "diginetica_srgnn_test_prefix_label.tsv.gz"
    made = public(tmp_path, diginetica.convert(public_file(train), public_file(test)))
    learned = made.events.filter(pl.col("split") == "train")
    assert (len(learned), learned["user_id"].n_unique()) == (906_140, 186_670)
    assert learned["item_id"].n_unique() == len(made.log.items) == 43_097
    assert made.splits()["test"] == 60_858
    assert not made.log.timed


def test_movielens(tmp_path: Path) -> None:
    made = public(tmp_path, movielens.convert(public_file("ml1m_lrurec_loo.tsv.gz")))
    assert (len(made.log.first), len(made.log.items)) == (6_040, 3_416)
    assert made.splits() == {"train": 987_531, "validation": 6_040, "test": 6_040}


def test_online_retail(tmp_path: Path) -> None:
    made = public(tmp_path, online_retail.convert(public_file("online_retail_2009_2010.csv.gz")))
    assert made.converted.dropped == {"from 2010-12-01 on": 22_523, "without a customer": 100_207, "returns": 9_541}
    assert len(made.events) + sum(made.converted.dropped.values()) == 525_461
    assert len(made.log.first) == 4_268


def test_cdnow(tmp_path: Path) -> None:
    made = public(tmp_path, cdnow.convert(public_file("cdnow_master.txt.gz")))
    assert (len(made.events), len(made.log.first)) == (69_659, 23_570)
    before = made.events.filter(pl.col("split") == "train")
    assert before["user_id"].n_unique() == 23_570  # all first bought in the first twelve weeks


def test_taobao_types(tmp_path: Path) -> None:
    made = public(tmp_path, taobao_types.convert(public_file("taobao_tpp_17types.csv.gz")))
    assert (len(made.events), len(made.log.first)) == (115_397, 2_000)
    assert made.log.items == list(made.log.actions)
    assert len(made.log.items) == 17
    assert made.splits() == {"train": 75_231, "validation": 11_404, "test": 28_762}


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl"])
def test_other_forms_hold_the_same_log(tmp_path: Path, suffix: str) -> None:
    converted = jd.convert(public_file("jd_micro_appliances.csv.gz"))
    write_events(converted.events, tmp_path / f"events{suffix}")
    assert (
        read_events(tmp_path / f"events{suffix}")
        .drop("event_id")
        .equals(converted.events.sort("ts_ms", maintain_order=True))
    )
