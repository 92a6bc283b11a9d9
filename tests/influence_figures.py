"""What influence is worth: beside the true one of simulated shoppers, and by what the strongest events move."""

from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from typing import NamedTuple

import numpy as np

from models.churn import as_of_ms
from models.features import context_code
from models.history import Events, apply
from models.influence import CHURN, Influence, influence, predicted
from models.item_index import item_hashes
from models.left_out import without
from models.model_directory import DAY_MS, OUTCOMES
from models.predictor import Predictor
from models.simulator import Shop, State, event, next_action_probabilities, states
from models.simulator.shopper import CLICK, LEAVE, NOTHING, PURCHASE, VIEW, weights
from models.simulator.truth import _away, _gap_exceeds
from models.state import RING, Floats, Rows, empty_rows

TARGETS = (*OUTCOMES, CHURN)
STRONGEST = 3
_DRAWS = 10

_NODES = np.linspace(-2.8, 2.8, 15)  # of a standard normal
_GRID = np.stack(np.meshgrid(_NODES, _NODES), -1).reshape(-1, 2)
_LOG_PRIOR = -(_GRID**2).sum(1) / 2
_SHIFTS = np.exp(np.concatenate([np.zeros((len(_GRID), 2)), _GRID * (0.8, 0.4)], 1))
"""What the leaning to purchase and to leave multiply weights of outcomes with, as the shop draws them."""


class Shoppers(NamedTuple):
    """Shoppers at a moment each."""

    histories: list[list[State]]  # up to the moment
    rows: Rows


def lives(shop: Shop, start_ms: int, end_ms: int) -> list[State]:
    """Return all that happens in a shop that opens at a time."""
    return list(takewhile(lambda state: state.ts_ms < end_ms, states(shop, start_ms)))


def shoppers(shop: Shop, past: list[State], after_ms: int, model: Predictor, *, least: int, seed: int) -> Shoppers:
    """Return each shopper after a random one of the events that come after a time, if there were some before it."""
    draw = np.random.default_rng(seed)
    by_shopper: dict[int, list[State]] = {}
    for state in past:
        by_shopper.setdefault(state.shopper.number, []).append(state)
    histories = []
    for life in by_shopper.values():
        ends = [k for k, state in enumerate(life, 1) if state.ts_ms > after_ms and k >= least]
        if ends:
            histories.append(life[: int(draw.choice(ends))])
    rows = empty_rows(len(histories))
    apply(rows, _events(shop, histories), model)
    return Shoppers(histories, rows)


def _events(shop: Shop, histories: list[list[State]]) -> Events:
    columns: list[tuple[int, ...]] = []
    for row, life in enumerate(histories):
        for number, state in enumerate(life):
            seen = event(shop, state)
            item, id_ = item_hashes([seen["item_id"], seen["event_id"]]).tolist()
            context = context_code(seen["device"], seen["price"])
            columns.append((row, state.action, number, state.ts_ms, item, id_, context))
    return Events(*np.array(columns, np.int64).T)


def replayed(events: list[State]) -> list[State]:
    """Return the state that the simulator would be in after each event had just these come."""
    wish, steps, bought, session, found = NOTHING, 0, False, -1, []
    for each in events:
        if each.started_ms != session:
            session, steps, bought = each.started_ms, 0, False
        steps += 1
        bought |= each.action == PURCHASE
        wish = each.item if each.action == CLICK else NOTHING if each.action == PURCHASE else wish
        found.append(each._replace(wish=wish, steps=steps, bought=bought))
    return found


def knowing(shop: Shop, life: list[State], moment_ms: int, horizon_ms: int) -> Floats:
    """Return what is true of TARGETS for who knows the shopper: earlier events matter by the state they led to."""
    chance = next_action_probabilities(shop, life[-1])
    return np.append(chance, _silence(life[-1], chance, moment_ms, horizon_ms))


def watching(shop: Shop, life: list[State], moment_ms: int, horizon_ms: int) -> Floats:
    """Return what is true of TARGETS for who knows all of a shopper but the leaning to purchase and to leave.

    These two are inferred from which outcome followed each event: the posterior is summed up on a grid.
    """
    neutral = [state._replace(shopper=state.shopper._replace(lean=0.0, haste=0.0)) for state in life]
    raw = np.array([weights(shop, state) for state in neutral])  # [events, outcomes]
    follows = [b.action if a.started_ms == b.started_ms else LEAVE for a, b in pairwise(life)]
    each = raw[None] * _SHIFTS[:, None]  # [grid, events, outcomes]
    each /= each.sum(2, keepdims=True)
    came = each[:, np.arange(len(follows)), follows]
    came = np.where(came == 0, 1, came)  # a purchase whose click was left out cannot be: it tells nothing
    log_posterior = _LOG_PRIOR + np.log(came).sum(1)
    posterior = np.exp(log_posterior - log_posterior.max())
    chance = posterior @ each[:, -1] / posterior.sum()
    return np.append(chance, _silence(life[-1], chance, moment_ms, horizon_ms))


def _silence(state: State, chance: Floats, moment_ms: int, horizon_ms: int) -> float:
    """Return what `models.simulator.silence` does, of any chances of what comes next."""
    t_ms = np.array([moment_ms - state.ts_ms, moment_ms - state.ts_ms + horizon_ms])
    stays = sum(chance[action] * _gap_exceeds(action, t_ms) for action in (VIEW, CLICK, PURCHASE))
    now, later = stays + chance[LEAVE] * _away(state, t_ms)
    return float(later / now)


Truth = Callable[[Shop, list[State], int, int], Floats]


def true_influence(truth: Truth, shop: Shop, histories: list[list[State]], horizon_ms: int) -> Floats:
    """Return by how much each event of the ring, oldest first, raised the true probability [users, RING, TARGETS]."""
    found = np.zeros((len(histories), RING, len(TARGETS)))
    for user, life in enumerate(histories):
        first, moment_ms = max(len(life) - RING, 0), life[-1].ts_ms
        whole = truth(shop, replayed(life), moment_ms, horizon_ms)
        for place in range(len(life) - first):
            rest = life[: first + place] + life[first + place + 1 :]
            found[user, place] = whole - truth(shop, replayed(rest), moment_ms, horizon_ms)
    return found


class Agreement(NamedTuple):
    """How near influence comes to the true one."""

    correlation: float  # of all events
    of_earlier: float  # of all but the newest of each ring
    rank_correlation: float  # Spearman's, of the events of a ring; mean over users
    rank_of_size: float  # the same of the sizes, whatever the sign
    same_strongest: float  # share of users in whom the event with the largest influence is the truth's


def agreement(found: Influence, true: Floats) -> Iterator[tuple[str, Agreement]]:
    """Yield how near influence comes to the true one, for each target."""
    for number, target in enumerate(TARGETS):
        ours, theirs = found.change(target), true[:, :, number].round(12)
        ranks, sizes, strongest = [], [], []
        for held, a, b in zip(found.held, ours, theirs, strict=True):
            ranks.append(_rank_correlation(a[held], b[held]))
            sizes.append(_rank_correlation(np.abs(a[held]), np.abs(b[held])))
            strongest.append(np.abs(a[held]).argmax() == np.abs(b[held]).argmax())
        earlier = found.held & np.roll(found.held, -1, 1)
        earlier[:, -1] = False
        whole, rest = (float(np.corrcoef(ours[some], theirs[some])[0, 1]) for some in (found.held, earlier))
        means = (float(np.nanmean(figure)) for figure in (ranks, sizes, strongest))
        yield target, Agreement(whole, rest, *means)


def _rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's rank correlation, not a number where one does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: Floats) -> Floats:
    """Return ranks, those of equal values their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])


def faithfulness(rows: Rows, model: Predictor, *, seed: int) -> Iterator[tuple[str, float, float]]:
    """Yield for each target by how much it moves without the strongest events, and without as many random ones."""
    draw = np.random.default_rng(seed)
    found, moment_ms = influence(rows, model), as_of_ms(rows)
    assert found.held.all()
    random = []
    for _ in range(_DRAWS):
        chance = draw.random(found.held.shape).argsort(1) < STRONGEST
        random.append(predicted(without(rows, chance, model), model, moment_ms))
    for target in TARGETS:
        strongest = np.abs(found.change(target)).argsort(1).argsort(1) >= RING - STRONGEST
        most = predicted(without(rows, strongest, model), model, moment_ms).of(target)
        whole = found.whole.of(target)
        moved = [np.abs(whole - each.of(target)).mean() for each in random]
        yield target, float(np.abs(whole - most).mean()), float(np.mean(moved))


WEEK_MS = 7 * DAY_MS
