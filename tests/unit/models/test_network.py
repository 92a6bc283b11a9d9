"""The network that trains is the network that serves."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor

from models import survival
from models.cells import gru
from models.features import GAP_EDGES_MS, TIME_BINS, Steps
from models.latest import COLUMNS, ordered
from models.log import log as sequences
from models.model_directory import COUNTED, SERVED, TARGETS, Card, Model, save, shapes
from models.network import Network, readout, time_loss
from models.network import inputs as read_in
from models.predictor import Predictor
from models.sequences import inputs
from models.simulator import Shop
from models.simulator import log as simulate
from models.state import HIDDEN

ITEMS = [f"i{number:05}" for number in range(30)]
LEARNT = shapes(len(ITEMS))
COUNTS = {name: np.zeros(LEARNT.pop(name), np.float32) for name in COUNTED}


def begun(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return waits that are observed from their beginning."""
    return torch.zeros(count, dtype=torch.int64), torch.zeros(count)


@pytest.fixture
def network() -> Network:
    made = Network(len(ITEMS), torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():  # also those that start at 0
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.2)
    return made


def test_export_is_a_whole_model_on_the_grid(network: Network, tmp_path: Path) -> None:
    weights = network.export()
    assert {name: weight.shape for name, weight in weights.items()} == LEARNT
    for name, weight in weights.items():
        steps = weight.astype(np.float64) * (2**10 if name == "item_embedding" else 2**12)
        assert (steps == np.rint(steps)).all(), name
    used = network.on_grid()
    assert all(np.allclose(used[name].detach().numpy(), weights[name], atol=1e-6) for name in weights)
    assert len(save(Model(Card(name="m"), ITEMS, weights | COUNTS), tmp_path).card.version) == 12


def test_states_and_heads_of_training_equal_those_of_serving(network: Network, tmp_path: Path) -> None:
    log = sequences(simulate(Shop(users=10, items=40), 1_750_000_000_000, events=300))
    predictor = Predictor(save(Model(Card(name="m", utc_offset_h=5), ITEMS, network.export() | COUNTS), tmp_path))
    made = inputs(log, SERVED, ITEMS, 5)
    lengths = np.diff(log.first, append=len(log.item))
    before_ms = np.roll(log.ts_ms, 1)
    before_ms[log.first] = -1
    hashes = np.array([crc32(name.encode()) for name in log.items])[log.item]
    steps = Steps(hashes, log.action, log.ts_ms, before_ms, made.context.astype(np.uint8))
    served = predictor.advance(np.zeros((len(lengths), HIDDEN), np.int8), steps, lengths)
    ends = log.first + lengths - 1
    served_heads = predictor.heads(served, made.window_bins[ends], made.latest[ends])

    weights = network.on_grid()
    with torch.no_grad():
        columns = (made.item, made.action_gap, made.hour, made.context, ~made.begins)
        item, action_gap, hour, context, keep = (torch.from_numpy(column)[:, None] for column in columns)
        x = read_in(weights, item, action_gap, hour, context)
        after, _ = network.cell.run(weights, x, keep, torch.zeros(1, HIDDEN))
        trained = after[ends, 0]
        beside = (torch.from_numpy(column[ends]) for column in (made.window_bins, made.latest))
        logits, hazards = readout(weights, SERVED, trained, *beside)
    assert (made.item > 0).any()
    apart = np.abs(trained.numpy() * 2**7 - served)  # where a sum in another order falls on the other side of a half
    assert apart.max() <= 8
    assert apart.mean() < 0.5
    np.testing.assert_allclose(torch.softmax(logits, 1), served_heads[0], atol=0.03)
    np.testing.assert_allclose(torch.sigmoid(hazards), served_heads[1], atol=0.03)


def test_gradient_by_hand_equals_the_recorded_one(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of states that are hardly rounded: the recorded gradient knows nothing of rounding."""
    monkeypatch.setattr(gru, "STATE_UNIT", 2.0**-20)
    monkeypatch.setattr(gru, "STATE_LIMIT", 1.0)
    generator = torch.Generator().manual_seed(5)
    steps, lanes = 7, 3
    item, action_gap, hour, context = (
        torch.randint(high, (steps, lanes), generator=generator) for high in (31, 78, 168, 256)
    )
    keep = (torch.rand(steps, lanes, generator=generator) > 0.3).float()
    start = torch.randn(lanes, HIDDEN, generator=generator).tanh()
    wanted = torch.randn(steps, lanes, HIDDEN, generator=generator)

    def by_hand(weights: dict[str, Tensor]) -> Tensor:
        return network.cell.run(weights, read_in(weights, item, action_gap, hour, context), keep, start)[0]

    def recorded(weights: dict[str, Tensor]) -> Tensor:
        x = weights["item_embedding"][item] @ weights["item_input"] + weights["action_gap"][action_gap]
        x = x + weights["hour_of_week"][hour] + weights["context"][context]
        h, after = start, []
        for t in range(steps):
            h = h * keep[t][:, None]
            product = h @ weights["hidden"]
            r, z = torch.sigmoid(x[t, :, : 2 * HIDDEN] + product[:, : 2 * HIDDEN]).chunk(2, 1)
            n = torch.tanh(x[t, :, 2 * HIDDEN :] + r * (product[:, 2 * HIDDEN :] + weights["hidden_bias"]))
            h = (1 - z) * n + z * h
            after.append(h)
        return torch.stack(after)

    found = []
    for forward in (by_hand, recorded):
        after = forward(network.on_grid())
        names = [name for name, _ in network.named_parameters()]
        loss = (after * wanted).sum()
        found.append([after.detach(), *torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)])
    assert sum(float(gradient.abs().max()) > 0.1 for gradient in found[0][1:]) == 8  # all but those of the heads
    for name, one, other in zip(["states", *names], *found, strict=True):
        torch.testing.assert_close(one, other, atol=0.02 if name in names else 1e-3, rtol=0.01, msg=name)


def test_loss_of_silence_is_minus_log_survival() -> None:
    logits = torch.randn(5, TIME_BINS, generator=torch.Generator().manual_seed(1))
    silent_ms = np.array([0, 1_500, 90_000, 10**9, 5 * int(GAP_EDGES_MS[-1])])
    bins = np.searchsorted(GAP_EDGES_MS, silent_ms, side="right")
    share = survival.widths_passed(bins, silent_ms)
    loss = time_loss(logits, torch.from_numpy(bins), torch.from_numpy(share), torch.zeros(5).bool(), *begun(5))
    curves = survival.Curves(torch.sigmoid(logits).numpy().astype(np.float64)[:, None])
    expected = -curves.log_silence(0, np.zeros_like(silent_ms), silent_ms)
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-6)


def test_losses_of_events_are_probabilities_that_sum_to_one_with_survival() -> None:
    logits = torch.randn(1, TIME_BINS, generator=torch.Generator().manual_seed(2)).expand(TIME_BINS + 1, -1)
    bins = torch.tensor([*range(TIME_BINS), TIME_BINS - 1])
    came = torch.tensor([True] * TIME_BINS + [False])
    loss = time_loss(logits, bins, torch.tensor([0.0] * TIME_BINS + [1.0]), came, *begun(TIME_BINS + 1))
    assert float(torch.exp(-loss).sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("bin_", "share"), [(0, 0.0), (3, 0.0), (3, 0.6), (TIME_BINS - 1, 1.7)])
def test_losses_of_waits_that_had_begun_are_probabilities_given_the_silence_before(bin_: int, share: float) -> None:
    """What may come from then on sums to one: in the rest of the bin, in each later one, or after all of them."""
    logits = torch.randn(1, TIME_BINS, generator=torch.Generator().manual_seed(2))
    later = [(k, 0.0) for k in range(bin_ + 1, TIME_BINS)]
    bins, shares = zip((bin_, float(int(share))), *later, (TIME_BINS - 1, float(int(share)) + 1), strict=True)
    came = torch.tensor([True] * (len(bins) - 1) + [False])
    since = (torch.full((len(bins),), bin_), torch.full((len(bins),), share))
    loss = time_loss(logits.expand(len(bins), -1), torch.tensor(bins), torch.tensor(shares), came, *since)
    assert float(torch.exp(-loss).sum()) == pytest.approx(1, abs=1e-5)
    silent_ms = survival.STARTS_MS[bin_] + int(share * survival.WIDTHS_MS[bin_])
    if bin_ == TIME_BINS - 1:
        silent_ms = int(survival.STARTS_MS[bin_] * 3.4)  # 1.7: its own width, and .7 of one twice as wide
    curve = survival.Curves(torch.sigmoid(logits).numpy().astype(np.float64)[:, None])
    last_ms = survival.STARTS_MS[-1] * 2 ** int(shares[-1])
    expected = curve.silence(0, np.array([silent_ms]), int(last_ms - silent_ms))
    assert float(torch.exp(-loss[-1])) == pytest.approx(float(expected[0]), rel=1e-4)


def test_there_is_a_hazard_for_each_target(network: Network) -> None:
    beside = torch.zeros(2, 9, dtype=torch.uint8), torch.zeros(2, COLUMNS, dtype=torch.int16)
    logits, hazards = readout(network.on_grid(), SERVED, torch.zeros(2, HIDDEN), *beside)
    assert logits.shape == (2, 4)
    assert hazards.shape == (2, len(TARGETS), TIME_BINS)


def test_a_rate_moves_all_hazards_of_its_target_as_far_as_its_code_is_trusted(network: Network) -> None:
    with torch.no_grad():
        network.trust.copy_(torch.linspace(0, 1, len(network.trust))[:, None])
        before = network.on_grid()["latest"]
        network.get_parameter("latest_rate")[:, 1] += 0.05
        moved = network.on_grid()["latest"] - before
    first, single = len(SERVED.outcomes) + TIME_BINS, slice(0, ordered(3)[0].start)
    assert not moved[:, :first].any()
    trust = network.trust.expand(-1, TIME_BINS)
    torch.testing.assert_close(moved[single, first:], 0.05 * trust[single], atol=2**-11, rtol=0)
    for part in ordered(3):
        torch.testing.assert_close(moved[part, first:], 0.05 * trust[part].cumsum(0), atol=2**-10, rtol=0)


def test_codes_count_by_the_training_rows_that_they_were_seen_in(network: Network) -> None:
    part = ordered(3)[1]  # the number of events: 30 users had one, 10 of them two, and nobody more
    network.trusts(torch.tensor([[0, part.start + 1]] * 20 + [[5, part.start + 2]] * 10))
    trust = network.trust[:, 0].tolist()
    assert trust[:6] == pytest.approx([0.5, 0, 0, 0, 0, 10 / 30])
    assert trust[part.start : part.start + 4] == pytest.approx([0, 0, 10 / 30, 0])
    table = network.on_grid()["latest"][part]
    assert (table[2] != table[1]).any()
    assert (table[2:] == table[2]).all()  # more events than were ever seen are as many as were


def test_settled_weights_are_what_they_were_and_stand_for_themselves(network: Network) -> None:
    with torch.no_grad():
        network.trust.copy_(torch.linspace(0, 1, len(network.trust))[:, None])
        before = network.on_grid()
        network.settle()
        after = network.on_grid()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, atol=2**-12, rtol=0, msg=name)
    for name in ("readout", "window", "latest"):
        torch.testing.assert_close(network.get_parameter(name), after[name], atol=2**-12, rtol=0)


def test_items_share_the_vector_of_their_category_and_the_unknown_item_has_none() -> None:
    category = np.array([0, 1, 1, 2, 0])
    network = Network(4, torch.Generator().manual_seed(3), category=category)
    own = network.export()["item_embedding"]
    with torch.no_grad():
        network.category_embedding[1:] = torch.tensor([[2.0], [3.0]])
    moved = network.export()["item_embedding"] - own
    assert moved[:, 0].tolist() == [0, 2, 2, 3, 0]
    assert (moved == moved[:, :1]).all()
    network.on_grid()["item_embedding"].sum().backward()  # type: ignore[no-untyped-call]
    assert network.category_embedding.grad is not None
    assert network.category_embedding.grad[:, 0].tolist() == [0, 2, 1]
