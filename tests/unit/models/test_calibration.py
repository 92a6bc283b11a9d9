"""Calibration: what says too much is put right, on rows that it was not fitted on, and folded into the weights."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import calibration, item_calibration
from models.calibration import FOLDS, Head, calibrate, fit, fold_in
from models.features import TIME_BINS
from models.item_calibration import NONE, ItemParts, item_parts
from models.item_calibration import fit as fit_items
from models.latest import COLUMNS
from models.learned import Learned
from models.likeliest import AS_SAID, bent
from models.log import log
from models.model_directory import SERVED, Card, Heads, Model
from models.network import Network, item_scores, readout
from models.simulator import Shop
from models.simulator import log as simulate
from models.state import HIDDEN
from models.training import train
from models.training_table import Aims, Parts, parts
from models.updates import Options
from models.validation import Validation

ROWS = 4_000


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def head(logits: Tensor, came: Tensor) -> Head:
    def loss(said: Tensor, rows: Tensor) -> Tensor:
        return functional.cross_entropy(said, came[rows], reduction="none")

    def reliability(said: Tensor) -> tuple[Tensor, Tensor]:
        most, which = torch.softmax(said, 1).max(1)
        return most, which == came

    return Head("it", 0, logits, torch.arange(len(logits)) % FOLDS, loss, reliability)


def test_an_over_confident_head_becomes_calibrated() -> None:
    truth = drawn(1, ROWS, 3)
    came = torch.multinomial(torch.softmax(truth, 1), 1, generator=torch.Generator().manual_seed(2))[:, 0]
    said = 3 * truth + torch.tensor([0.0, 1.5, -1.5])
    found, told = calibration._put_right(head(said, came))
    assert told["ece"]["after"] < 0.03 < 0.15 < told["ece"]["before"]
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    right = torch.softmax(found.of(said), 1)
    assert float((right - torch.softmax(truth, 1)).abs().max()) < 0.05


def test_a_head_that_is_right_stays_as_it_is_or_nearly_so() -> None:
    truth = drawn(3, ROWS, 4)
    came = torch.multinomial(torch.softmax(truth, 1), 1, generator=torch.Generator().manual_seed(4))[:, 0]
    found, told = calibration._put_right(head(truth, came))
    assert found.slope == pytest.approx(1, abs=0.08)
    assert told["log_loss"]["after"] < told["log_loss"]["before"] + 0.002


def test_what_is_reported_was_not_fitted_on_the_rows_that_it_is_reported_of() -> None:
    """Logits that say nothing: what is fitted on the very rows says more than what is fitted on others."""
    said, came = drawn(5, 40, 30), torch.arange(40) % 30
    made = head(said, came)
    told = calibration._put_right(made)[1]
    every = torch.arange(40)
    fitted_on_all = float(made.loss(fit(made, every).of(said), every).mean())
    assert fitted_on_all < told["log_loss"]["after"] - 0.05


def test_all_rows_of_a_sequence_are_in_one_fold() -> None:
    sequence = np.sort(np.random.default_rng(1).integers(0, 50, 400))
    fold = calibration._folds(sequence)
    assert all(a != b or x == y for (a, b), (x, y) in zip(pairwise(sequence), pairwise(fold), strict=True))
    assert set(fold) == set(range(FOLDS))


@pytest.mark.parametrize("heads", [SERVED, Heads(("a", "b"), ("any",)), Heads(("a", "b"), ())])
def test_folding_into_the_weights_equals_applying(heads: Heads) -> None:
    network = Network(9, torch.Generator().manual_seed(3), heads)
    with torch.no_grad():
        for k, weight in enumerate(network.parameters()):
            weight.add_(0.2 * drawn(k, *weight.shape))
    h = torch.tanh(drawn(8, 50, HIDDEN)).float()
    bins = torch.randint(9, (50, heads.features), generator=torch.Generator().manual_seed(9))
    codes = torch.randint(len(network.trust), (50, COLUMNS), generator=torch.Generator().manual_seed(11))
    network.trust.copy_(torch.linspace(0, 1, len(network.trust))[:, None])
    before = readout(network.on_grid(), heads, h, bins, codes)
    slopes, shifts = torch.linspace(0.5, 1.5, heads.readout), drawn(10, heads.readout).float()
    fold_in(network, slopes, shifts, torch.tensor(NONE))
    after = readout(network.on_grid(), heads, h, bins, codes)
    joined = [torch.cat([some.detach().reshape(50, -1) for some in said], 1) for said in (before, after)]
    assert float((slopes * joined[0] + shifts - joined[1]).abs().max()) < 0.01


@pytest.fixture(scope="module")
def made() -> Parts:
    events = simulate(Shop(users=60, items=40), 1_750_000_000_000, events=6_000)
    return parts(log(events), utc_offset_h=0, leave_after_ms=1_800_000, item_count=1, item_cap=100)


def some_items(made: Parts, network: Network) -> tuple[Tensor, Tensor]:
    """Rows whose next item is known, and what the heads may read after them."""
    with torch.no_grad():
        for k, weight in enumerate(network.parameters()):
            weight.add_(0.2 * drawn(k, *weight.shape))
    rows = torch.nonzero(made.validation.next_item)[:80, 0]
    return rows, torch.tanh(drawn(8, len(rows), HIDDEN)).float()


def test_folding_factors_of_items_into_the_weights_equals_applying(made: Parts) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    rows, h = some_items(made, network)
    factors = torch.tensor([0.6, 1.3, 0.7, 1.2, -0.4])

    def scores() -> Tensor:
        return item_scores(network.on_grid(), made.followers.tables, h, *made.held(rows))

    target = made.validation.next_item[rows] - 1
    weights = network.on_grid()
    parted = item_parts(weights, made, rows, h)
    loss = functional.cross_entropy(scores(), target, reduction="none")
    torch.testing.assert_close(parted.told(torch.tensor(NONE))[0], loss.double(), atol=1e-4, rtol=0)
    wanted = parted.told(factors)[0]
    fold_in(network, torch.ones(network.heads.readout), torch.zeros(network.heads.readout), factors)
    folded = functional.cross_entropy(scores(), target, reduction="none").detach()
    assert float((wanted - folded).abs().max()) < 0.02 < 0.1 < float((wanted - loss).abs().max())


def test_slopes_of_factors_of_items_are_those_of_the_loss(made: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    rows, h = some_items(made, network)
    monkeypatch.setattr(item_calibration, "_BLOCK", 7 * len(made.items))  # blocks of 7 rows
    parted = item_parts(network.on_grid(), made, rows, h)
    at, near = torch.tensor([0.6, 1.3, 0.7, 1.2, -0.4], dtype=torch.float64), 1e-2
    slopes, curves = parted.slopes(at)
    for k in range(len(NONE)):
        step = near * torch.eye(len(NONE), dtype=torch.float64)[k]
        more, less = parted.told(at + step)[0], parted.told(at - step)[0]
        torch.testing.assert_close(slopes[:, k], (more - less) / (2 * near), atol=2e-3, rtol=1e-2)
        turned = (parted.slopes(at + step)[0] - parted.slopes(at - step)[0]) / (2 * near)
        torch.testing.assert_close(curves[:, k], turned, atol=2e-3, rtol=1e-2)


def test_factors_of_items_are_those_that_the_rows_were_drawn_by(made: Parts) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    row, h = some_items(made, network)
    row, h = row.repeat(50), h.repeat(50, 1)
    factors = torch.tensor([0.5, 1.5, 0.4, 0.7, 1.0], dtype=torch.float64)
    told = network.on_grid()
    fold_in(network, torch.ones(network.heads.readout), torch.zeros(network.heads.readout), factors)
    with torch.no_grad():
        odds = torch.softmax(item_scores(network.on_grid(), made.followers.tables, h, *made.held(row)), 1)
    drawn_by = torch.multinomial(odds, 1, generator=torch.Generator().manual_seed(4))[:, 0]
    fold = torch.arange(len(row)) % FOLDS
    found, without = fit_items(parted_by(made, told, row, h, drawn_by), fold, FOLDS)
    assert float((found - factors).abs().max()) < 0.15
    kept = torch.nonzero(fold)[:, 0]
    alone, _ = fit_items(parted_by(made, told, row[kept], h[kept], drawn_by[kept]), fold[kept], FOLDS)
    assert float((without[0] - alone).abs().max()) < 0.005 < float((found - alone).abs().max())


def parted_by(made: Parts, weights: dict[str, Tensor], row: Tensor, h: Tensor, target: Tensor) -> ItemParts:
    """The parts of 50 times the same rows after which chosen items came."""
    came = made.validation.next_item.clone()
    parted = []
    for some in torch.split(torch.arange(len(row)), len(row) // 50):
        came[row[some]] = target[some] + 1
        parted.append(
            item_parts(weights, made._replace(validation=made.validation._replace(next_item=came)), row[some], h[some])
        )
    return parted[0]._replace(
        query=torch.cat([part.query for part in parted]), raised=[one for part in parted for one in part.raised]
    )


def test_a_network_that_shouts_is_brought_down(made: Parts) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    validation = Validation(made, network.cell)
    with torch.no_grad():
        for name in ("readout", "window", "query"):
            weight = network.get_parameter(name)
            weight.add_((8 if name == "query" else 1) * drawn(len(name), *weight.shape))
    before = validation.losses(network.on_grid())
    told, curve = calibrate(network, made, validation)
    assert curve == tuple(told["likeliest_item"].get("curve", AS_SAID))
    after = validation.losses(network.on_grid())
    assert set(told) == {"next_action", "next_item", "likeliest_item", "time_to_any", "time_to_purchase"}
    assert (after < before - 0.1).all()
    for k, name in enumerate(("next_action", "next_item", "time_to_any", "time_to_purchase")):
        assert told[name]["log_loss"]["after"] < told[name]["log_loss"]["before"], name
        assert told[name]["ece"]["after"] < told[name]["ece"]["before"], name
        if name != "next_item":  # its loss counts unknown items with 0
            assert told[name]["log_loss"]["before"] == pytest.approx(float(before[k]), rel=1e-3)
            assert float(after[k]) < told[name]["log_loss"]["after"] + 0.02  # on the rows it was fitted on


def test_the_likeliest_item_of_a_network_that_always_errs_is_hardly_believed(made: Parts) -> None:
    """Items that the model has never learned count too: of the rows before them, the likeliest did not come."""
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    unknown = made.validation._replace(next_item=torch.zeros_like(made.validation.next_item))
    told, curve = calibrate(network, made._replace(validation=unknown), Validation(made, network.cell))
    assert told["next_item"] == {}
    assert told["likeliest_item"]["ece"]["after"] < 0.01 < told["likeliest_item"]["ece"]["before"]
    assert bent(curve, np.array([0.2]))[0] < 0.1


def test_the_likeliest_item_is_held_against_what_came(made: Parts) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    validation = Validation(made, network.cell)
    told, _ = calibrate(network, made, validation)
    weights, rows = network.on_grid(), validation.rows
    some = made.validation.has_next[rows]
    scores = item_scores(weights, made.followers.tables, validation.states(weights)[some], *made.held(rows[some]))
    odds = torch.softmax(scores.double(), 1)
    wanted, at = made.validation.next_item[rows[some]], torch.arange(len(odds))
    came = torch.where(wanted > 0, odds[at, wanted - 1] == odds.max(1).values, False)
    loss = functional.binary_cross_entropy(odds.max(1).values, came.double())
    assert 0 < int(came.sum()) < len(came)
    assert told["likeliest_item"]["log_loss"]["before"] == pytest.approx(float(loss), rel=1e-4)


def test_hazards_that_are_too_sure_are_put_right() -> None:
    truth = drawn(11, ROWS, TIME_BINS) - 1
    events = torch.rand(truth.shape, generator=torch.Generator().manual_seed(12)) < torch.sigmoid(truth)
    came = events.any(1)
    bin_ = torch.where(came, events.int().argmax(1), TIME_BINS - 1)
    share = torch.where(came, 0.0, 1.0)
    none = torch.zeros(ROWS)
    aims = aims_of(bin_, share, came, none)
    found, told = calibration._put_right(
        calibration._of_hazards("time", 0, 2.5 * truth, aims, 0, torch.arange(ROWS) % FOLDS)
    )
    assert found.slope == pytest.approx(1 / 2.5, abs=0.03)
    assert told["ece"]["after"] < 0.02 < told["ece"]["before"]


def aims_of(bin_: Tensor, share: Tensor, came: Tensor, none: Tensor) -> Aims:
    return Aims(came, came, none, none, none.long(), none, bin_[:, None], share[:, None], came[:, None])


def test_a_few_sequences_say_nothing(made: Parts) -> None:
    network = Network(len(made.items), torch.Generator().manual_seed(1))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    validation = Validation(made, network.cell)
    validation.rows = validation.rows[:5]
    assert calibrate(network, made, validation) == ({}, AS_SAID)
    assert all(torch.equal(before[name], weight) for name, weight in network.state_dict().items())


def test_the_card_tells_what_was_fitted_and_returns_are_shares_of_those_who_left() -> None:
    events = simulate(Shop(users=60, items=40), 1_750_000_000_000, events=6_000)
    model = train(log(events), Card(name="m"), Options(epochs=2))
    told = model.card.metrics["calibration"]
    assert told["next_action"]["log_loss"]["after"] > 0
    assert model.card.likeliest_item == tuple(told["likeliest_item"].get("curve", AS_SAID))
    assert len(model.card.returns) == 3
    assert 0 < sum(model.card.returns) <= 1
    for name, weight in model.weights.items():
        steps = weight.astype(np.float64) * (2**10 if name in ("item_embedding", "follower_lift") else 2**12)
        assert (steps == np.rint(steps)).all()
    read = log(events)
    rows = np.setdiff1d(np.arange(len(read.item)), read.first)[-200:]
    said = Learned(model).action_probabilities(read, rows)
    without = Learned(Model(Card(name="m"), model.items, model.weights)).action_probabilities(read, rows)
    assert np.abs(said - without).max() > 0.01
    leaving = Learned(Model(Card(name="m", returns=(0.0, 0.0, 0.0)), model.items, model.weights))
    np.testing.assert_allclose(leaving.action_probabilities(read, rows), without)
