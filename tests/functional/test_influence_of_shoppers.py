"""Influence in a trained model: beside the truth of simulated shoppers, and whether the strongest events move most.

With -s the figures are shown. docs/model.md has those of a larger model.
"""

import numpy as np
import pytest
from influence_figures import (
    TARGETS,
    WEEK_MS,
    Shoppers,
    Truth,
    agreement,
    faithfulness,
    knowing,
    lives,
    replayed,
    shoppers,
    true_influence,
    watching,
)

from models.influence import CHURN, influence
from models.log import log
from models.model_directory import DAY_MS, Card, save
from models.predictor import Predictor
from models.simulator import Shop, State, next_action_probabilities, silence
from models.simulator.crowd import frame
from models.training import train
from models.updates import Options

START_MS = 1_740_000_000_000
CUT_MS = START_MS + 12 * DAY_MS
SHOP = Shop(seed=5, users=120, items=60)


@pytest.fixture(scope="module")
def past() -> list[State]:
    return lives(SHOP, START_MS, CUT_MS + 6 * DAY_MS)


@pytest.fixture(scope="module")
def model(past: list[State], tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Learned from what came before CUT_MS."""
    events = frame(SHOP, [state for state in past if state.ts_ms < CUT_MS])
    learned = train(log(events), Card(name="small"), Options(epochs=8))
    assert learned.card.trained_until_ms < CUT_MS
    return Predictor(save(learned, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def some(past: list[State], model: Predictor) -> Shoppers:
    """Shoppers at moments that the model has not learned from."""
    return shoppers(SHOP, past, CUT_MS, model, least=16, seed=1)


def test_replay_of_all_events_is_the_shopper_as_it_is(some: Shoppers) -> None:
    assert len(some.histories) > 40
    for life in some.histories:
        assert replayed(life) == life
        known = knowing(SHOP, life, life[-1].ts_ms + DAY_MS, WEEK_MS)
        assert np.allclose(known[:-1], next_action_probabilities(SHOP, life[-1]))
        assert np.isclose(known[-1], silence(SHOP, life[-1], np.array([DAY_MS]), WEEK_MS)[0])


def test_who_watches_learns_what_the_shopper_is_like(some: Shoppers) -> None:
    """A long history brings the inferred chances nearer to the true ones than none does."""
    truth, watched, blind = [], [], []
    for life in some.histories:
        truth.append(next_action_probabilities(SHOP, life[-1]))
        watched.append(watching(SHOP, life, life[-1].ts_ms, WEEK_MS)[:-1])
        blind.append(watching(SHOP, life[-1:], life[-1].ts_ms, WEEK_MS)[:-1])
    away = [np.abs(np.array(each) - np.array(truth)).mean() for each in (watched, blind)]
    assert away[0] < 0.8 * away[1]


@pytest.mark.parametrize("truth", [knowing, watching])
def test_influence_goes_with_the_true_one(some: Shoppers, model: Predictor, truth: Truth) -> None:
    found = influence(some.rows, model)
    figures = dict(agreement(found, true_influence(truth, SHOP, some.histories, WEEK_MS)))
    for target, each in figures.items():
        print(target, *(f"{name} {value:.2f}" for name, value in each._asdict().items()))
    for target in ("click", "purchase", "leave", CHURN):
        assert figures[target].correlation > 0.4, target
    for each in figures.values():
        assert each.rank_of_size > 0.1


def test_the_strongest_events_move_more_than_random_ones(some: Shoppers, model: Predictor) -> None:
    for target, strongest, random in faithfulness(some.rows, model, seed=2):
        print(target, f"{strongest:.4f} {random:.4f} {strongest / random:.2f}")
        assert strongest > 1.5 * random
    assert len(TARGETS) == 5
