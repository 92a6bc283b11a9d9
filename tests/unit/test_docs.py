"""What the pages say is what the code does."""

import re
import signal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import typer.main
from typer.testing import CliRunner

from schemas import outputs
from schemas.dead_letters import decode_dead_letter
from schemas.events import Event, Reason, Rejected, decode_event
from schemas.json_schema import DIRECTORY, MESSAGES
from schemas.partitioner import murmur2, partition
from schemas.topics import INPUTS, topics
from streams.chunk.failure import EXIT_CONFIGURATION, EXIT_RESTART
from streams.cli import TERMINATED, USAGE_ERROR, app
from streams.commands.demo import UNANSWERED
from streams.metrics import page as metrics_page
from streams.metrics.catalogue import CATALOGUE
from streams.rights import WORKER
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
CONTRACT = (ROOT / "docs/contract.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PACKAGES = ("streams", "models", "schemas")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "deploy/README.md", *(ROOT / "docs").glob("*.md")]
EXAMPLES: list[tuple[str, str]] = re.findall(r"^```json (\S+)\n(.*?)^```", README + CONTRACT, re.DOTALL | re.MULTILINE)


def section(page: str, title: str) -> str:
    """Return the text under a heading, up to the next one."""
    return re.split(r"^#", page.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(text: str) -> list[list[str]]:
    """Return the cells of the rows of the tables in a text, without their headings."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    rules = [k for k, row in enumerate(rows) if set(row[0]) == {"-"}]
    return [[cell.strip() for cell in row] for k, row in enumerate(rows) if k not in rules and k + 1 not in rules]


def codes(cell: str) -> list[str]:
    """Return what stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def example(name: str) -> str:
    """Return the first example of a message."""
    return next(text for found, text in EXAMPLES if found == name)


def commands(command: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Return what can be typed after `nextact` to run something."""
    groups = getattr(command, "commands", None)
    if groups is None:
        return [" ".join(path)]
    return [name for key, each in groups.items() for name in commands(each, (*path, key))]


def test_pages_show_an_example_of_each_message() -> None:
    assert {name for name, _ in EXAMPLES} == set(MESSAGES)


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_examples_are_valid(name: str, text: str) -> None:
    value = msgspec.json.decode(text)
    jsonschema.validate(value, msgspec.json.decode((DIRECTORY / f"{name}.schema.json").read_bytes()))


@pytest.mark.parametrize(
    ("name", "topic"),
    [("next-action", "next-actions"), ("recommendation", "recommendations"), ("churn-risk", "churn-risk")],
)
def test_example_outputs_answer_the_example_event(name: str, topic: str) -> None:
    event = decode_event(example("event").encode(), b"u000513", [], "clicks", 1_790_000_000_000)
    assert isinstance(event, Event)
    value: dict[str, Any] = msgspec.json.decode(example(name))
    where, trigger = value["based_on"], value.get("trigger", "event")
    assert value["as_of_ms"] == event.ts_ms + value.get("silent_ms", 0)
    assert where["partition"] == partition(event.user_id.encode(), 8)
    assert value["id"] == outputs.output_id(
        topic,
        where["partition"],
        [where["offsets"][name] for name in INPUTS],
        value["model_version"],
        value["as_of_ms"],
        trigger,
    )


def test_example_dead_letter_is_of_a_record_refused_for_that_reason() -> None:
    letter = decode_dead_letter(example("dead-letter").encode())
    refused = decode_event(letter.value, letter.key, letter.headers, letter.topic, letter.rejected_at_ms)
    assert refused == Rejected(Reason(letter.reason), letter.detail)


def test_settings_table_lists_every_variable_with_its_default() -> None:
    listed: dict[str, str] = {}
    for names, default, _ in table(section(README, "Settings")):
        values = codes(default)
        listed |= {name: values[k] if k < len(values) else "" for k, name in enumerate(codes(names))}
    actual = {}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"NEXTACT_{name.upper()}")
        actual[variable] = "" if field.default is None else str(field.default)
    actual["KAFKA_SSL_CHECK_HOSTNAME"] = "true"
    assert listed == actual


def test_page_of_the_metrics_is_that_of_the_code() -> None:
    assert metrics_page.PATH.read_text() == metrics_page.page(), "run python -m streams.metrics"


def test_metrics_that_the_readme_names_are_there_with_these_labels() -> None:
    listed = [code for cell, _ in table(section(README, "Metrics")) for code in codes(cell)]
    assert len(listed) > 10
    for name, _, labels in (code.strip("}").partition("{") for code in listed):
        names = [label for label in labels.split(", ") if label]
        assert names in ([], [*CATALOGUE[name].labels]), name


def test_command_table_lists_every_command() -> None:
    listed = [codes(name)[0] for name, _ in table(section(README, "Commands"))]
    assert sorted(listed) == sorted(commands(typer.main.get_command(app)))


def test_exit_codes_are_those_of_the_code() -> None:
    listed = {int(code) for code, _, _ in table(section(OPERATIONS, "Stop"))}
    assert listed == {0, UNANSWERED, USAGE_ERROR, EXIT_CONFIGURATION, EXIT_RESTART, 128 + signal.SIGINT, TERMINATED}


def test_backtest_and_contract_say_that_silence_is_left_out() -> None:
    shown = " ".join(CliRunner().invoke(app, ["backtest", "--help"]).output.split())
    assert "trigger silence" in shown
    assert "but for trigger `silence`" in CONTRACT


def test_rights_of_a_worker_are_listed_as_it_asks_for_them() -> None:
    listed: dict[str, tuple[str, ...]] = {}
    [cell] = [rights for who, rights in table(section(OPERATIONS, "Security")) if who == "worker"]
    for part in cell.split(";"):
        operations = tuple(re.findall(r"\b[A-Z_]{4,}\b", part))
        listed |= dict.fromkeys(codes(part), operations)
    assert listed == WORKER


def test_topic_tables_list_every_topic_with_its_key_and_retention() -> None:
    assert {t for row in table(section(README, "The contract")) for t in codes(row[0])} == set(topics())
    kept = {str(7 * 86_400_000): "7 days", str(30 * 86_400_000): "30 days", None: "compacted"}
    rows = {topic: row for row in table(section(CONTRACT, "Topics")) for topic in codes(row[0]) if len(row) == 4}
    assert set(rows) == set(topics())
    for topic in topics().values():
        _, _, partitions, retention = rows[topic.logical]
        assert retention == kept[topic.config.get("retention.ms")]
        assert partitions == ("1" if topic.partitions == 1 else "`NEXTACT_PARTITIONS`")


def test_table_of_refusals_lists_every_reason() -> None:
    listed = {codes(row[0])[0] for row in table(section(CONTRACT, "Records that are refused"))}
    assert listed == {reason.value for reason in Reason}


def test_test_vectors_are_those_of_the_partitioner() -> None:
    vectors = [row for row in table(section(CONTRACT, "Topics")) if len(row) == 3]
    assert len(vectors) >= 4
    for key, hash_, number in vectors:
        data = key.strip("`").encode()
        assert (murmur2(data), partition(data, 8)) == (int(hash_), int(number))


def test_table_of_modules_names_what_is_there_and_all_of_it() -> None:
    listed = set()
    for places, _ in table(section(ARCHITECTURE, "Where things are")):
        folder = Path()
        for place in codes(places):
            path = Path(place) if place.partition("/")[0] in PACKAGES else folder / place
            assert (ROOT / path).exists(), place
            listed.add(path)
            folder = path.parent
    modules = {path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    modules -= {Path(package, "__init__.py") for package in PACKAGES}
    assert {path for path in modules if listed.isdisjoint({path, *path.parents})} == set()

    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"
    for line in page.splitlines():
        if line.startswith("|") and not set(line) <= set("|- ") and not line.endswith(" shown by |"):
            assert "`tests/" in line or line.endswith("chaos |"), line


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_files_that_pages_name_are_there(page: Path) -> None:
    for named in re.findall(r"\b(?:streams|models|schemas|tests)/[\w/]+\.py\b", page.read_text()):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target
