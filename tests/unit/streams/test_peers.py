"""Running the peers' job: what is refused, what is made of their results. Their run.py is a small stand-in here."""

import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from streams.benchmark import peers
from streams.benchmark.final_state import BenchmarkFailed
from streams.benchmark.peers import Ours, Peer, PeersJob, Ratio, with_ratios
from streams.commands.benchmark import throughput as command
from streams.errors import SettingsError
from streams.settings import read_settings

STAND_IN = """
import json, sys
def command(peer, o, group, work, mode):
    return ["theirs", peer], {}
def main():
    o = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    options = type("Options", (), {"bootstrap": o["--bootstrap"]})
    for turn in range(int(o["--repeat"])):
        for peer in o["--peers"].split(","):
            words, env = command(peer, options, "group", o["--work"], "throughput")
            row = {"peer": peer, "events": int(o["--events"]), "events_s": 1000 * (turn + 1), "cpu_us": 20.0,
                   "events_s_last60": 2000, "rss_mb": 100, "changelog_records": 50, "agree_all": 1.0 - turn / 10}
            with open(o["--json"], "a") as f:
                f.write(json.dumps(WHAT) + "\\n")
    sys.exit(CODE)
"""


@pytest.fixture(autouse=True)
def _no_packages_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_NEEDED", {})
    monkeypatch.setattr(peers, "_NEEDED_BY", {})


def folder_of(path: Path, what: str = "row", code: str = "0") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "run.py").write_text(STAND_IN.replace("WHAT", what).replace("CODE", code))
    return path


def run(tmp_path: Path, names: list[str], *, events: int = 500_000, repeat: int = 1, **stand_in: str) -> list[Peer]:
    job = PeersJob(folder_of(tmp_path / "peers", **stand_in), names)
    settings = read_settings(bootstrap_servers="nowhere:1234")
    return job.run(settings, tmp_path, events, 100, repeat, lambda _: None)


def test_results_are_medians_with_least_and_most(tmp_path: Path) -> None:
    [quix] = run(tmp_path, ["quix"], repeat=3)
    assert (quix.events_per_s.median, quix.events_per_s.least, quix.events_per_s.most) == (2000, 1000, 3000)
    assert quix.agree == pytest.approx(0.8)
    assert quix.changelog_records_per_event == 50 / 500_000


def test_faust_gets_fewer_events_and_keeps_its_place(tmp_path: Path) -> None:
    found = run(tmp_path, ["faust", "quix"])
    assert [(peer.name, peer.events) for peer in found] == [("faust", peers.SLOW_EVENTS), ("quix", 500_000)]


def test_ours_is_one_more_peer_and_runs_on_our_interpreter(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed) as caught:
        run(tmp_path, ["nextact", "quix"], what='{"peer": peer, "error": repr((words, env.get("PYTHONPATH")))}')
    ours, theirs = str(caught.value).split("; ")
    assert f"'{sys.executable}', '-m', 'streams.benchmark.peers_job'" in ours
    assert "'nowhere:1234', 'group'" in ours
    assert str(Path(peers.__file__).parents[2]) in ours
    assert "['theirs', 'quix']" in theirs


def test_failed_peer_fails_the_run_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    log = 'o["--work"] + "/quix.log"'
    says = f'open({log}, "w").write("one\\nno memory\\n\\n") and {{"peer": peer, "error": "stopped; see " + {log}}}'
    with pytest.raises(BenchmarkFailed, match=r"^quix: stopped: no memory$"):
        run(tmp_path, ["quix"], what=says)


def test_refused_check_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFailed, match=r"ended with code 1: FAILED: \['quix'\]"):
        run(tmp_path, ["quix"], code="\"FAILED: ['quix']\"")


def test_ratios_are_ours_to_theirs(tmp_path: Path) -> None:
    [quix] = with_ratios(run(tmp_path, ["quix"]), {"ours": Ours(4000, 5000, 5)})
    assert quix.ratios == {"ours": Ratio(events_per_s=4, last_60=2.5, cpu=4)}


def test_what_was_measured_warm_is_compared_with_warm_peers_alone(tmp_path: Path) -> None:
    [quix] = with_ratios(run(tmp_path, ["quix"]), {"ours": Ours(None, 5000, 5)})
    assert quix.ratios == {"ours": Ratio(events_per_s=None, last_60=2.5, cpu=4)}
    [limit] = with_ratios(
        run(tmp_path / "limit", ["limit"], what='{k: v for k, v in row.items() if "last" not in k}'),
        {"ours": Ours(None, 5000, 5)},
    )
    assert limit.ratios == {"ours": Ratio(events_per_s=None, last_60=5, cpu=4)}


@pytest.mark.parametrize(
    ("ours", "columns"),
    [
        ({}, []),
        ({"whole job": Ours(None, 5000, 5)}, ["whole job: warm events/s", "CPU"]),
        (
            {"whole job": Ours(None, 5000, 5), "nextact": Ours(4000, 5000, 5)},
            ["whole job: warm events/s", "CPU", "nextact: warm events/s", "CPU", "nextact: all events/s"],
        ),
    ],
)
def test_ratios_are_shown_if_there_are_any(tmp_path: Path, ours: dict[str, Ours], columns: list[str]) -> None:
    found = with_ratios(run(tmp_path, ["quix"]), ours)
    console = Console(file=StringIO(), record=True, width=200)
    command._show(console, "Apache Kafka", [], found)
    assert ("times as good as" in console.export_text()) == bool(columns)
    if columns:
        table = command._ratios_table(found)
        assert [str(column.header) for column in table.columns] == ["times as good as", *columns]
        assert "last 60 %" in str(table.caption)


def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"there is no run\.py"):
        PeersJob(tmp_path, ["quix"])
    folder = folder_of(tmp_path / "peers")
    with pytest.raises(SettingsError, match="no such peer: flink"):
        PeersJob(folder, ["flink", "quix"])
    with pytest.raises(SettingsError, match="is no Python"):
        PeersJob(folder, ["quix"], tmp_path / "python")
    monkeypatch.setattr(peers, "_NEEDED_BY", {"quix": {"quixstreams": "no_such_module"}})
    PeersJob(folder, ["limit"])
    with pytest.raises(SettingsError, match="lacks quixstreams, which the peers need: run `make peers`"):
        PeersJob(folder, ["quix"])
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="Kafka Streams needs Java"):
        PeersJob(folder, ["kstreams"])
