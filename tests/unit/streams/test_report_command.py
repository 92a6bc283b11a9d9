"""`nextact report`: the page holds every panel, nothing from elsewhere, and nothing of the data as code."""

import base64
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from models.events_file import write_events
from models.model_directory import Card, Model, save, shapes
from models.simulator import Shop, log
from models.state import Floats
from streams import extras
from streams.cli import app

END_MS = 1_750_000_000_000
HOSTILE = '<script>alert("i")</script>&'
DOLLARS = "_cost $x^{2$ \x07 <b>"
PANELS = {
    "curves",
    "reliability",
    "confusion",
    "seasons",
    "action-history",
    "item-history",
    "popularity",
    "waiting",
    "time-reliability",
    "learning",
}


class Page(HTMLParser):
    """What a browser sees: tags with their attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        """Return an attribute of all tags that have it."""
        return [value or "" for _, attributes in self.tags for key, value in attributes.items() if key == name]


def model_of(events: pl.DataFrame, folder: Path, **card: object) -> Path:
    """Write a model of random weights, and return where."""
    made = Card(name="<i>shop", command="nextact train a&b.csv", **card)  # type: ignore[arg-type]
    items = sorted(set(events["item_id"]))
    random = np.random.default_rng(1)
    weights: dict[str, Floats] = {
        name: random.normal(0, 0.2, shape) for name, shape in shapes(len(items), made.heads).items()
    }
    weights["follower"][:] = 0
    weights["item_bias"][1 + len(items) // 2] = 9  # stands in all lists
    save(Model(made, items, weights), folder)
    return folder


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    made = log(Shop(users=30, items=40), END_MS, events=1200)
    middle = sorted(set(made["item_id"]))[20]
    return made.with_columns(item_id=pl.col("item_id").replace(middle, f"i00020{HOSTILE}"))


@pytest.fixture(scope="module")
def file(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "a&b<u>.csv"
    write_events(events, path)
    return path


@pytest.fixture(scope="module")
def model(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    history: list[dict[str, Any]] = [
        {"epoch": k, "loss": 3 / k, "validation_loss": 4 / k, "heads": {"next_item": 1 / k, "next_action": 2 / k}}
        for k in (1, 2, 3)
    ]
    history[2]["validation_loss"] = 5.0
    metrics = {"history": history, "stopped": True}
    splits = {"train": 1_000, "validation": 120, "test": 70, "context": 10}
    data = {"rows": 1_200, "sequences": 30, "items": 40, "splits": splits, "sha256": "5a", "first_ms": 1, "last_ms": 2}
    return model_of(events, tmp_path_factory.mktemp("models") / "shop", metrics=metrics, data=data)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments), "--replicates", "20"])


@pytest.fixture(scope="module")
def made(file: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The page, written to a folder of its own, and what was printed."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    result = run(model, file, "--out", out, "--k", 5)
    assert result.exit_code == 0, result.output
    return out, result


def pictures(page: Page) -> list[ET.Element]:
    """Return the pictures of a page, each well-formed."""
    prefix = "data:image/svg+xml;base64,"
    sources = page.values("src")
    assert all(source.startswith(prefix) for source in sources)
    return [ET.fromstring(base64.b64decode(source.removeprefix(prefix))) for source in sources]  # noqa: S314 - ours


def test_a_page_holds_every_panel_and_needs_nothing_else(made: tuple[Path, Result]) -> None:
    out, result = made
    assert re.fullmatch(r".*report\.html: [\d,]+ validation rows of \d+ sequences\n", result.stdout)
    page = Page(out.read_text())
    assert {value for tag, values in page.tags if tag == "figure" and (value := values["id"])} == PANELS
    assert len(page.values("alt")) == len(PANELS)
    assert all(len(alt) > 40 for alt in page.values("alt"))
    assert all(link.startswith("#") for link in page.values("href"))
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object"} == set()
    assert "Left out" not in page.text
    for picture in pictures(page):
        for element in picture.iter():
            assert not element.tag.endswith("script")
            assert all(
                value.startswith(("#", "data:")) for key, value in element.attrib.items() if key.endswith("href")
            )
    for floor in ("Markov-2", "V-SKNN", "by last gap"):
        assert floor in page.text
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_a_page_says_what_was_learned_from_and_which_epoch_was_kept(made: tuple[Path, Result]) -> None:
    page = Page(made[0].read_text())
    assert "log of the training1,200 rows, 30 sequences, 40 items" in page.text.replace("\n", "")
    assert "1,000 learned from, 120 held out to judge by, 80 neither" in page.text
    assert "3 epochs, stopped before its end; kept is that of epoch 2" in page.text
    [learning] = [picture for picture in pictures(page) if "all heads" in "".join(picture.itertext())]
    assert "kept: epoch 2" in "".join(learning.itertext())
    assert page.text.count("The model is behind a floor: ") == 3, "one of random weights"


def test_nothing_of_the_data_becomes_part_of_the_page(made: tuple[Path, Result]) -> None:
    page = Page(made[0].read_text())
    assert HOSTILE in page.text
    assert "<i>shop" in page.text
    assert "a&b<u>.csv" in page.text
    assert {tag for tag, _ in page.tags} & {"script", "i", "u", "b"} == set()


def test_actions_of_any_name_are_drawn(tmp_path: Path) -> None:
    names = {"view": "<script>", "click": DOLLARS.replace("\x07", ""), "purchase": "加入购物车"}
    events = log(Shop(users=30, items=40), END_MS, events=900).with_columns(pl.col("action").replace(names))
    write_events(events, tmp_path / "events.jsonl")
    model = model_of(events, tmp_path / "model", actions=tuple(sorted(names.values())), targets=("any",))
    result = run(model, tmp_path / "events.jsonl", "--out", tmp_path / "report.html")
    assert result.exit_code == 0, result.output
    page = Page((tmp_path / "report.html").read_text())
    drawn = ["".join(picture.itertext()) for picture in pictures(page)]
    for name in names.values():
        assert any(name in text for text in drawn)
        assert name in page.text
    assert "script" not in {tag for tag, _ in page.tags}


def test_numbers_are_printed_as_one_line_and_the_same_numbers_give_the_same_page(
    file: Path, model: Path, made: tuple[Path, Result], tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    result = run(model, file, "--out", out, "--k", 5, "--json")
    assert out.read_bytes() == made[0].read_bytes()
    assert len(result.stdout.splitlines()) == 1
    found = json.loads(result.stdout)
    numbers = found["numbers"]
    assert (found["model"], found["events"], numbers["asked"][0]) == ("<i>shop", file.name, "validation")
    recall = numbers["items"]["table"]["predictors"]["model"]["figures"]["recall"]["value"]
    assert f"{recall:.3f}" in Page(out.read_text()).text
    assert f"{numbers['rows']:,} validation rows" in Page(out.read_text()).text


def test_a_log_without_times_or_with_one_action_says_what_is_left_out(tmp_path: Path) -> None:
    rows = [(f"u{k % 40}", f"i{k * k % 7}", "view", k) for k in range(400)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "action", "position"], orient="row")
    write_events(events, tmp_path / "events.csv")
    model = model_of(events, tmp_path / "model", actions=("view",), targets=())
    result = run(model, tmp_path / "events.csv", "--out", tmp_path / "report.html", "--exclude-seen")
    assert result.exit_code == 0, result.output
    page = Page((tmp_path / "report.html").read_text())
    assert {value for tag, values in page.tags if tag == "figure" and (value := values["id"])} == {
        "item-history",
        "popularity",
    }
    for reason in ("keeps no history", "nothing to tell apart", "positions and no times"):
        assert reason in page.text


@pytest.mark.parametrize("module", ["matplotlib", "jinja2", "sklearn"])
def test_what_is_missing_is_said_at_once(
    file: Path, model: Path, tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else True)
    result = run(model, file, "--out", tmp_path / "report.html")
    assert result.exit_code == 2
    assert f"report needs {module}: `pip install" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_cannot_be_done_ends_with_one_line(file: Path, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("user_id,item_id,action,position\n" + "".join(f"u{k % 30},other,view,{k}\n" for k in range(90)))
    for arguments, message in (
        ([model, file, "--out", tmp_path], "is a folder: name a file"),
        ([model, file, "--out", tmp_path / "none" / "a.html"], "there is no folder"),
        ([model, file, "--split", "test", "--out", tmp_path / "a.html"], "no test row of the log has a row before it"),
        ([model, other, "--out", tmp_path / "a.html"], "knows none of the items"),
        ([tmp_path / "none", file, "--out", tmp_path / "a.html"], "is not a model directory"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "a.html").exists()
