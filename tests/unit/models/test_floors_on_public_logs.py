"""Floors reach on public logs what they are known to."""

import numpy as np
import pytest
from public_data import public_file

from models.convert import cdnow, taobao_types
from models.evaluation.churn import churn
from models.evaluation.next_action import next_action
from models.evaluation.predictor import NextAction
from models.evaluation.rows import known_rows
from models.floors.bg_nbd import BgNbd
from models.floors.markov import Markov
from models.floors.popularity import Popularity
from models.log import log

DAY_MS = 86_400_000


def test_next_type_of_taobao() -> None:
    made = log(taobao_types.convert(public_file("taobao_tpp_17types.csv.gz")).events)
    known = known_rows(made, "test")
    floors: dict[str, NextAction] = {"prior": Popularity(made, known), "Markov-2": Markov(made, known, 2)}
    scores = next_action(made, floors, replicates=2).predictors
    assert scores["prior"].figures["error"].value == pytest.approx(0.573, abs=5e-4)
    assert scores["Markov-2"].figures["error"].value == pytest.approx(0.402, abs=5e-4)


def test_customers_of_cdnow() -> None:
    made = log(cdnow.convert(public_file("cdnow_master.txt.gz")).events)
    floor = BgNbd(made, np.flatnonzero(made.ts_ms < cdnow.TEST_FROM_MS))
    report = churn(made, {"": floor}, at_ms=cdnow.TEST_FROM_MS, horizon_ms=273 * DAY_MS, replicates=2)
    figures = report.predictors[""].figures
    assert report.about["rows"] == 23_570
    assert figures["roc_auc_of_count"].value == pytest.approx(0.763, abs=1e-3)
    assert figures["mae_count"].value == pytest.approx(0.819, abs=3e-3)
