"""The plan: right by hand for round figures, and never smaller for more load."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from models.predictor import Predictor
from schemas.events import Limits
from streams.benchmark.limit import chunks
from streams.benchmark.workload import random_model, workload
from streams.capacity import GIB, MEASURED, MIB, Figures, Load, Plan, plan
from streams.chunk.changelog import ID_BYTES, changelog_batches
from streams.cli import app
from streams.options import Options
from streams.pipeline import process
from streams.publishing import encoded
from streams.user_rows import UserRows

ROOT = Path(__file__).parents[3]
HEAD_BYTES = 61
"""Of a record batch, before its records."""

ROUND = Figures(
    event_us=10,
    item_ns=1,
    program_mib=400,
    slates_mib=100,
    item_bytes=MIB / 100,
    user_bytes=MIB - 10,
    input_bytes=100,
    output_bytes=1000,
    slot_bytes=10,
    changelog_bytes=500,
    row_bytes=GIB / 2,
    recovered_users_per_s=10,
)


def test_round_figures_by_hand() -> None:
    made = plan(Load(60_000, 300, 10_000, 10, user_id_bytes=10, replicas=2, retention_days=1), ROUND)
    assert made.worker_events_per_s == pytest.approx(50_000)  # 10 us and 10,000 x 1 ns
    assert made.workers == 3  # 2 would be planned with 60 %, and one alone does not carry it
    assert made.worker_busy == pytest.approx(0.4)
    assert made.partitions == 16
    assert made.worker_memory_mib == pytest.approx(400 + 100 + 100 + 300 / 2)
    assert made.worker_in_mb_per_s == pytest.approx(2.0)
    assert made.worker_out_mb_per_s == pytest.approx(20 * 1.6)
    assert made.brokers_in_mb_per_s == pytest.approx(2 * 60 * 1.7)
    assert made.brokers_out_mb_per_s == pytest.approx(60 * 1.2 + 60 * 1.7)
    assert made.disk_events_gib == pytest.approx(2 * 6e6 * 86_400 / GIB)
    assert made.disk_outputs_gib == pytest.approx(2 * 66e6 * 86_400 / GIB)
    assert made.disk_changelog_gib == pytest.approx(2 * (300 + 30e6 * 3600 / GIB + 16))
    assert made.recovery_s == pytest.approx(300 / 3 / 10)


def test_without_slates_items_take_no_time_but_memory() -> None:
    made = plan(Load(60_000, 300, 10_000, slate_size=0, user_id_bytes=10), ROUND)
    assert made.worker_events_per_s == pytest.approx(100_000)
    assert made.worker_memory_mib == pytest.approx(400 + 100 + 300 / (made.workers - 1))


loads = st.builds(
    Load, st.floats(1, 1e7), st.integers(1, 10**9), st.integers(1, 10**6), st.integers(0, 500), st.integers(0, 100)
)


@given(loads)
def test_plan_carries_the_load_also_with_one_worker_missing(load: Load) -> None:
    made = plan(load)
    assert made.partitions >= 4 * made.workers
    assert made.worker_busy <= 0.6 + 1e-9
    assert (made.workers - 1) * made.worker_events_per_s >= load.events_per_s * (1 - 1e-9)


@given(loads, st.sampled_from(["events_per_s", "users", "items"]))
def test_more_of_anything_asks_for_no_less(load: Load, field: str) -> None:
    less, more = plan(load), plan(msgspec.structs.replace(load, **{field: 2 * getattr(load, field)}))
    for total in ("workers", "partitions", "brokers_in_mb_per_s", "disk_events_gib", "disk_changelog_gib"):
        assert getattr(more, total) >= getattr(less, total)


@pytest.mark.parametrize("wrong", [{"users": 0}, {"events_per_s": 0}, {"replicas": 0}, {"slate_size": -1}])
def test_load_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        plan(msgspec.structs.replace(Load(1, 1), **wrong))


def test_command_prints_one_line_of_json_or_a_table() -> None:
    asked = ["plan", "--events-per-s", "20000", "--users", "5000000"]
    done = CliRunner().invoke(app, [*asked, "--json"])
    assert msgspec.json.decode(done.stdout, type=Plan) == plan(Load(20_000, 5_000_000))
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    assert "partitions" in shown.output


def test_figures_are_those_of_the_page() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+)", page, re.MULTILINE))
    assert {name: float(value) for name, value in listed.items()} == msgspec.structs.asdict(MEASURED)


@pytest.mark.measure
def test_bytes_that_a_worker_writes_for_an_event_by_the_size_of_its_chunks() -> None:
    model = Predictor(random_model(10_000))
    for slate_size in (0, 10, 20):
        for at_once in (1, 10, 100, 1000):
            options = Options(prefix="", limits=Limits(), valid_for_ms=3_600_000, slate_size=slate_size)
            users, out, log, skipped, events = UserRows(), 0, 0, 2000, 4000
            for number, chunk in enumerate(chunks(workload(events, users=1000, items=10_000), 8, at_once)):
                result = process(chunk, users, model, 1_800_000_000_000, options)
                for partition, change in result.changes.items():
                    users.write(partition, change.keys, change.rows)
                if number * at_once < skipped:
                    continue
                outputs = [batch for made in result.outputs for its in encoded(made).values() for batch in its]
                out += sum(HEAD_BYTES + len(batch.compressed().data) for batch in outputs)
                for partition, change in result.changes.items():
                    writer = np.random.default_rng(partition).bytes(ID_BYTES)
                    batches = changelog_batches(partition, writer, change.keys, change.rows)
                    log += sum(HEAD_BYTES + len(batch.compressed().data) for batch in batches)
            each = events - skipped
            print(f"slates of {slate_size}, {at_once} at once: {out / each:.0f} out, {log / each:.0f} changelog")
