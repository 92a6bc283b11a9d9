"""What docs/model.md says of influence, in minutes: simulated shoppers, and validation rows of the Taobao log."""

from pathlib import Path

import numpy as np
import pytest
from influence_figures import (
    WEEK_MS,
    Shoppers,
    agreement,
    faithfulness,
    knowing,
    lives,
    shoppers,
    true_influence,
    watching,
)
from public_data import public_file

from models.churn import as_of_ms
from models.convert import taobao
from models.events_file import read_log, write_events
from models.history import Events, apply
from models.influence import influence, predicted
from models.item_index import item_hashes
from models.log import SPLITS, Log, log
from models.model_directory import DAY_MS, Card, save
from models.predictor import Predictor
from models.simulator import Shop, next_action_probabilities
from models.simulator.crowd import frame
from models.simulator.shopper import NOTHING, PURCHASE
from models.state import RING, Rows, empty_rows
from models.training import train
from models.updates import Options

pytestmark = [pytest.mark.measure, pytest.mark.timeout(0)]

START_MS = 1_740_000_000_000
CUT_MS = START_MS + 70 * DAY_MS
SHOP = Shop(seed=5, users=150, items=80)


def test_simulated_shoppers(tmp_path: Path) -> None:
    past = lives(SHOP, START_MS, CUT_MS + 10 * DAY_MS)
    learned = train(log(frame(SHOP, [s for s in past if s.ts_ms < CUT_MS])), Card(name="sim"), Options(epochs=12))
    model = Predictor(save(learned, tmp_path))
    some = shoppers(SHOP, past, CUT_MS, model, least=RING, seed=1)
    print(f"\n{learned.card.data['rows']:,} events, {len(some.rows)} shoppers")
    found = influence(some.rows, model)
    for truth in (knowing, watching):
        for target, each in agreement(found, true_influence(truth, SHOP, some.histories, WEEK_MS)):
            print(truth.__name__, target, *(f"{name} {value:.2f}" for name, value in each._asdict().items()))
    show_faithfulness(some.rows, model)
    show_purchases(some, model)


def test_taobao(tmp_path: Path) -> None:
    file = tmp_path / "events.parquet"
    write_events(taobao.convert(public_file("taobao_userbehavior_700.csv.gz")).events, file)
    read = read_log(file)
    learned = train(read, Card(name="taobao", utc_offset_h=8), Options(epochs=4))
    model = Predictor(save(learned, tmp_path / "model"))
    rows = validation_rows(read, model)
    print(f"\n{learned.card.data['rows']:,} events, {len(rows)} users")
    show_faithfulness(rows, model)


def show_purchases(some: Shoppers, model: Predictor) -> None:
    """Print how likely the purchase of the item is that a shopper wishes for: no other can be bought next."""
    wish = np.array([life[-1].wish for life in some.histories])
    mine = np.flatnonzero(wish != NOTHING)
    true = [next_action_probabilities(SHOP, some.histories[k][-1])[PURCHASE] for k in mine.tolist()]
    rows = some.rows[mine]
    found = predicted(rows, model, as_of_ms(rows), item_hashes([f"i{k:05d}" for k in range(SHOP.items)]))
    ours = found.of("purchase") * found.items[np.arange(len(mine)), wish[mine]]
    print(f"purchase of the wished-for item: {ours.mean():.3f}, in truth {np.mean(true):.3f}")


def validation_rows(read: Log, model: Predictor) -> Rows:
    """Return each user's row before a random validation row that has a full ring before it."""
    draw, hashes = np.random.default_rng(3), item_hashes(read.items)
    histories = []
    for first, end in zip(read.first, np.append(read.first[1:], len(read.item)), strict=True):
        targets = np.flatnonzero(read.split[first:end] == SPLITS.index("validation"))
        if (targets >= RING).any():
            histories.append(np.arange(first, first + int(draw.choice(targets[targets >= RING]))))
    events = np.concatenate(histories)
    assert not np.isin(read.split[events], SPLITS.index("test")).any()
    user = np.repeat(np.arange(len(histories)), [len(each) for each in histories])
    none = np.zeros(len(events), np.int64)
    rows = empty_rows(len(histories))
    columns = user, read.action[events], events, read.ts_ms[events], hashes[read.item[events]], events, none
    apply(rows, Events(*columns), model)
    return rows


def show_faithfulness(rows: Rows, model: Predictor) -> None:
    for target, strongest, random in faithfulness(rows, model, seed=2):
        print(f"{target}: moved by {strongest:.4f} without the 3 strongest, {random:.4f} without 3 random ones")
        assert strongest > 1.5 * random
