"""Runs are done once, test rows are never scored unseen, and the page says what the runs say."""

import gzip
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from results.__main__ import app
from results.checkout import ROOT, Code
from results.execution import Bench, CommandError, RefusedError, done, nextact, run, shown
from results.kept import HEADS, Run, Shelf, latest
from results.page import renewed
from results.plan import QUESTIONS, chosen
from results.simulator import held

PAGE = "".join(f"<!-- made by `make results`: {n} -->\n<!-- end -->\n" for n in ("goals", "ledger", "validation"))
[CHURN] = chosen(["cdnow-churn"])
FIGURES = {"log_loss": 0.5, "macro_f1": 0.4, "recall": 0.3, "ndcg": 0.2, "mrr": 0.1, "error": 0.6, "ece": 0.01}


class Pretended:
    """Stands for `nextact`: writes what it would and says what was to be said. Notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = ""

    def __call__(self, arguments: Sequence[str], folder: Path) -> str:
        self.asked.append(arguments[0])
        if arguments[0] == self.fails:
            raise CommandError(shown(arguments), 2)
        if arguments[0] == "convert":
            (folder / arguments[-1]).touch()
            return ""
        if arguments[0] == "train":
            (folder / arguments[arguments.index("--out") + 1]).mkdir()
            told: dict[str, Any] = {"version": "v", "data": {"splits": {"train": 9}, "sha256": "s"}}
            return msgspec.json.encode(told | {"metrics": {"history": [1, 2]}}).decode()
        seed = int(arguments[1].rsplit("-", 1)[1])
        churn = {"roc_auc": 0.7 + seed / 100, "mae_count": 0.8} if "churn" in arguments else FIGURES
        both = {
            who: {
                name: {"value": value - less, "low": value - 0.1, "high": value + 0.1} for name, value in churn.items()
            }
            for who, less in (("floor", 0.05), ("model", 0.0))
        }
        return msgspec.json.encode({"task": "t", "rows": 7, "predictors": both}).decode()


def bench(folder: Path, execute: Any, *, changed: bool = False, tree: str = "tree") -> Bench:
    return Bench(folder, folder / "work", Shelf(folder / "kept"), Code(tree, "abc", changed), lambda _: None, execute)


def test_what_was_done_is_not_done_again_and_questions_of_one_log_share_a_model(tmp_path: Path) -> None:
    pretended = Pretended()
    place = bench(tmp_path, pretended)
    for question in chosen(["jd"]):
        assert not done(question, "validation", 0, place)
        run(question, "validation", 0, place)
        assert done(question, "validation", 0, place)
        assert not done(question, "validation", 1, place)
        assert not done(question, "test", 0, place)
    assert pretended.asked == ["convert", "train", "evaluate", "evaluate"]
    assert not done(question, "validation", 0, bench(tmp_path, pretended, tree="other")), "of other code"


def test_test_rows_are_scored_once_for_each_configuration_and_seed(tmp_path: Path) -> None:
    pretended = Pretended()
    place = bench(tmp_path, pretended)
    for seed in (0, 1):
        run(CHURN, "test", seed, place)
    with pytest.raises(RefusedError, match="seed 1: its test rows were scored with this configuration on 20"):
        run(CHURN, "test", 1, place)
    assert pretended.asked.count("evaluate") == 2
    run(CHURN, "test", 1, place, force=True)
    run(CHURN, "test", 1, bench(tmp_path, pretended, tree="other"))
    lines = place.shelf.ledger()
    assert [(line.seed, line.forced) for line in lines] == [(0, False), (1, False), (1, True), (1, False)]
    assert len({line.configuration for line in lines}) == 2


def test_a_scoring_that_was_cut_off_is_written_down(tmp_path: Path) -> None:
    pretended = Pretended()
    place = bench(tmp_path, pretended)
    pretended.fails = "evaluate"
    with pytest.raises(CommandError):
        run(CHURN, "test", 0, place)
    pretended.fails = ""
    assert len(place.shelf.ledger()) == 1
    assert not done(CHURN, "test", 0, place)
    with pytest.raises(RefusedError):
        run(CHURN, "test", 0, place)


def test_changes_that_are_not_committed_score_no_test_row(tmp_path: Path) -> None:
    pretended = Pretended()
    with pytest.raises(RefusedError, match="not committed"):
        run(CHURN, "test", 0, bench(tmp_path, pretended, changed=True))
    assert pretended.asked == []
    run(CHURN, "validation", 0, bench(tmp_path, pretended, changed=True))


def test_a_training_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    pretended = Pretended()
    place = bench(tmp_path, pretended)
    (tmp_path / "work" / "tree" / "cdnow-0").mkdir(parents=True)
    run(CHURN, "test", 0, place)
    assert pretended.asked == ["convert", "train", "evaluate"]


def test_tables_show_the_median_seed_of_the_newest_configuration(tmp_path: Path) -> None:
    old, place = (bench(tmp_path, Pretended(), tree=tree) for tree in ("old", "new"))
    run(CHURN, "test", 9, old)
    for seed in (2, 0, 1):
        run(CHURN, "test", seed, place)
    page = renewed(PAGE, place.shelf)
    assert "| AUC of any purchase | >= .780 | .650 (floor) | **.710** | .610 to .810 | 3: .700 to .720 | no |" in page
    assert "| MAE of the count | <= .790 | .750 (floor) | **.800** |" in page
    assert "| JD appliances, next action | log-loss | <= 1.100 | 1.254 (Markov-2) | not run yet |" in page
    assert page.count("`nextact train cdnow.parquet --out cdnow-") == 3, "old runs are in the ledger alone"
    assert page.count("| cdnow-churn | 9 |") == 1
    assert renewed(page, place.shelf) == page
    assert [run.seed for run in latest(place.shelf.runs("test"))["cdnow-churn"]] == [0, 1, 2]


def test_validation_rows_have_tables_of_their_own(tmp_path: Path) -> None:
    place = bench(tmp_path, Pretended())
    run(chosen(["jd-next-action"])[0], "validation", 0, place)
    test_rows, validation = renewed(PAGE, place.shelf).split("No test row has been scored with a model.")
    assert "**.500**" not in test_rows
    assert "**.500**" in validation
    assert "--split validation" in validation


def test_no_question_reads_test_rows_for_validation() -> None:
    for question in QUESTIONS:
        asked = question.validation.evaluate
        if "--at" in asked:
            until = asked[asked.index("--at") + 1]
            assert question.validation.train[-2:] == ("--until", until)
            end = date.fromisoformat(until) + timedelta(days=int(asked[asked.index("--horizon-days") + 1]))
            assert end <= date.fromisoformat(question.test.evaluate[question.test.evaluate.index("--at") + 1])
        else:
            assert asked[-2:] == ("--split", "validation")


def test_the_page_is_what_the_kept_runs_say() -> None:
    page = (ROOT / "docs/results.md").read_text()
    assert renewed(page, Shelf(ROOT / "docs/results")) == page, 'run make results ARGS="--tables"'


def test_wrong_names_and_missing_data_end_with_one_line(tmp_path: Path) -> None:
    for arguments, said in (
        (["--only", "amazon"], "error: --only amazon: there are movielens"),
        (["--data", str(tmp_path), "--validation", "--only", "jd"], "does not hold jd_micro_appliances.csv.gz"),
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert said in result.stderr.splitlines()[-1]


def test_a_model_of_simulated_shoppers_is_held_against_the_truth(tmp_path: Path) -> None:
    """After so short a training it is above the truth in every head."""
    shelf = Shelf(tmp_path)
    shelf.keep_held(found := held(0, Code("tree", "abc", False), events=6_000, users=60, epochs=4))
    assert 600 <= found.rows <= 700
    for head in HEADS:
        assert 0 < found.over(head) < 1, head
    page = renewed(PAGE, shelf)
    assert "| simulator, log-loss over that of the known truth | next action | <= +3 % |" in page
    assert page.count("simulator, log-loss") == 2, "validation rows have none of their own"


def test_commands_run_as_they_are_shown(tmp_path: Path) -> None:
    """All of it, with `nextact` itself, on customers who are made up."""
    draw = np.random.default_rng(0)
    lines = [
        f"{customer:05d} {date(1997, 1, 1) + timedelta(days=int(day)):%Y%m%d} 1 9.99"
        for customer in range(60)
        for day in np.sort(draw.choice(540, 2 + customer % 9, replace=False))
    ]
    (tmp_path / "cdnow_master.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    place = bench(tmp_path, nextact)
    found = run(CHURN, "test", 0, place)
    assert found.about["horizon_ms"] == 273 * 86_400_000
    assert {"model", "BG/NBD"} <= set(found.predictors)
    assert found.train.epochs > 0
    assert found.about["rows"] <= 60
    kept = place.shelf.path("test", "cdnow-churn", found.configuration, 0).read_bytes()
    assert msgspec.json.decode(kept, type=Run) == found
    assert str(tmp_path) not in kept.decode()
