"""The slate against a full sort of exact scores."""

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from builders import random_model

from models.grid import EMBEDDING_UNIT, WEIGHT_UNIT, on_grid
from models.model_directory import RECENT, VECTOR, Model
from models.older_items import keys, older_key
from models.predictor import Predictor
from models.slate import item_query, top_items
from models.state import ACTIONS, HIDDEN, OLDER, RING, Floats, Rows, empty_rows, high_bits, ring_action

VIEW, PURCHASE = 0, 2


def users_with_rings(model: Predictor, users: int, seed: int = 0, bought_share: float = 0.3) -> Rows:
    """Users of random states, each with 0 to RING events on items that the model mostly knows."""
    random = np.random.default_rng(seed)
    rows = empty_rows(users)
    rows["now"] = random.integers(-127, 128, (users, HIDDEN))
    rows["accepted"] = random.integers(0, 2 * RING, users)
    known = model.item_hashes[random.integers(0, len(model.items), (users, RING))]
    rows["ring_item"] = np.where(random.random((users, RING)) < 0.9, known, 12345)
    rows["ring_high"] = high_bits(np.array(0), np.where(random.random((users, RING)) < bought_share, PURCHASE, VIEW))
    for row in rows:
        of_model = random.permutation(model.item_hashes)[: OLDER // 2]
        older = random.permutation([*older_key(of_model), *range(12345, 12345 + OLDER - len(of_model))])
        row["older_low"], row["older_high"] = older % 2**16, older // 2**16
    return rows


def older_items(rows: Rows, user: int) -> list[int]:
    found: list[int] = keys(rows["older_low"], rows["older_high"])[user].tolist()
    return found


def full_sort(rows: Rows, model: Predictor, user: int, places: int) -> list[tuple[int, float, bool]]:
    """Item, score and seen of the slate by the formula, one item at a time."""
    held = min(int(rows["accepted"][user]), RING)
    ring = rows["ring_item"][user][:held].tolist()
    bought = rows["ring_item"][user][:held][ring_action(rows["ring_high"][user][:held]) == PURCHASE].tolist()
    older = set(older_key(model.item_hashes).tolist()) & set(older_items(rows, user))
    query = exact_query(rows, model)[user] * (bool(older) or any(item in model.item_hashes for item in ring))
    added = by_the_last_items(rows, model, user)
    scored = [
        (-float(query @ model.embedding[k + 1].astype(np.float64) + model.item_bias[k + 1] + added[k]), k, item in ring)
        for k, item in enumerate(model.item_hashes.tolist())
        if item not in bought
    ]
    return [(k, -score, seen) for score, k, seen in sorted(scored)[:places]]


def by_the_last_items(rows: Rows, model: Predictor, user: int) -> npt.NDArray[np.float64]:
    """What the equations of `model_directory.shapes` add to the score of each item."""
    number = {item: k for k, item in enumerate(model.item_hashes.tolist())}
    added, met = np.zeros(len(model.items)), set[int]()
    accepted, recent, first = int(rows["accepted"][user]), model.recent, RING * len(ACTIONS)
    gate = rows["now"][user].astype(np.float64) @ recent.gate / 2**7
    slots = [(accepted - 1 - back) % RING for back in range(min(accepted, RING))]
    items = [number.get(int(rows["ring_item"][user][slot])) for slot in slots]
    for back, (slot, k) in enumerate(zip(slots, items, strict=True)):
        if k is None or k in met:
            continue
        met.add(k)
        code = back * len(ACTIONS) + int(ring_action(rows["ring_high"][user])[slot])
        more = items.count(k) - 1
        again = recent.again[code] + recent.again[first + OLDER + more] + gate[1 if back == 0 else 2]
        added[k] += on_grid(again, WEIGHT_UNIT)
        if back < RECENT:
            weight = on_grid(recent.follow[code] * (1 + gate[0]), WEIGHT_UNIT)
            for follower, lift in zip(model.followers.item[k + 1], model.followers.lift[k + 1], strict=True):
                if follower:
                    added[follower - 1] += weight * lift
    of_key = {key: k for k, key in enumerate(older_key(model.item_hashes).tolist())}
    for rank, key in enumerate(older_items(rows, user)):
        if key in of_key and of_key[key] not in met:
            again = recent.again[first + rank] + recent.again[first + OLDER] + gate[3]
            added[of_key[key]] += on_grid(again, WEIGHT_UNIT)
    return added


def exact_query(rows: Rows, model: Predictor) -> npt.NDArray[np.float64]:
    query = rows["now"] / 2**7 @ model.query
    return np.clip(np.rint(query * 2**10) / 2**10, -512, 512)


@pytest.mark.parametrize(("items", "places"), [(300, 10), (300, 1), (30, 10), (20, 10), (3, 10), (1, 1)])
def test_slate_is_the_top_of_a_full_sort_without_what_was_bought(items: int, places: int) -> None:
    model = Predictor(random_model(items))
    rows = users_with_rings(model, 50)
    slates = top_items(rows, model, places)
    assert slates.item.shape == (50, min(places, items))
    for user in range(50):
        expected = full_sort(rows, model, user, places)
        shown = slates.item[user] >= 0
        got = zip(
            slates.item[user][shown].tolist(),
            slates.score[user][shown].tolist(),
            slates.seen[user][shown].tolist(),
            strict=True,
        )
        assert list(got) == expected


def test_queries_are_on_the_grid_that_keeps_scores_exact() -> None:
    model = Predictor(random_model(5))
    rows = users_with_rings(model, 100)
    query = item_query(rows["now"], model)
    assert (query == exact_query(rows, model)).all()
    assert (query / EMBEDDING_UNIT % 1 == 0).all()


def test_items_of_equal_score_stand_in_order_of_their_numbers() -> None:
    model = random_model(200)
    weights = dict(model.weights)
    weights["item_embedding"] = np.repeat(weights["item_embedding"][:1], 201, axis=0)
    weights["item_bias"] = np.zeros(201, np.float32)
    weights |= without_recent(weights)
    all_alike = remade(model, weights)
    slates = top_items(users_with_rings(all_alike, 5, bought_share=0), all_alike, 10)
    assert slates.item.tolist() == [list(range(10))] * 5
    weights["item_bias"] = np.random.default_rng(0).integers(0, 20, 201).astype(np.float32)
    few_scores = remade(model, weights)
    rows = users_with_rings(few_scores, 5)
    slates = top_items(rows, few_scores, 60)
    for user in range(5):
        assert slates.item[user].tolist() == [item for item, _, _ in full_sort(rows, few_scores, user, 60)]


def test_items_that_float32_cannot_tell_apart_are_ranked_exactly() -> None:
    """Scores of 14112 that differ by 2**-18: all the same number in float32."""
    model = random_model(200)
    weights = {name: np.zeros_like(w) for name, w in model.weights.items()}
    weights["query"] = np.eye(HIDDEN, VECTOR, dtype=np.float32) * 64
    weights["query"][0, 0] = 0.5
    weights["item_embedding"] += 7
    weights["item_embedding"][1:, 0] += np.random.default_rng(0).permutation(200) * np.float32(EMBEDDING_UNIT)
    close = remade(model, weights)
    rows = empty_rows(1)
    rows["now"] = 2**6
    rows["now"][0, 0] = 1
    rows["accepted"] = 1
    rows["ring_item"][0, 0] = close.item_hashes[0]
    slates = top_items(rows, close, 10)
    assert [(k, s) for k, s, _ in full_sort(rows, close, 0, 10)] == list(
        zip(slates.item[0].tolist(), slates.score[0].tolist(), strict=True)
    )


def test_whoever_bought_the_best_items_gets_the_next_best() -> None:
    model = of_state_alone(300)
    rows = empty_rows(1)
    best = full_sort(rows, model, 0, 40)
    rows["accepted"] = RING
    rows["ring_high"] = high_bits(np.array(0), np.array(PURCHASE))
    rows["ring_item"][0] = [model.item_hashes[item] for item, _, _ in best[:RING]]
    assert top_items(rows, model, 10).item[0].tolist() == [item for item, _, _ in best[RING : RING + 10]]


def test_what_was_only_viewed_is_shown_as_seen() -> None:
    model = of_state_alone(300)
    rows = empty_rows(1)
    best = top_items(rows, model, 2).item[0].tolist()
    rows["accepted"] = 2
    rows["ring_item"][0, :3] = [model.item_hashes[best[0]], 0, model.item_hashes[best[1]]]  # the third is no event yet
    slate = top_items(rows, model, 2)
    assert slate.item[0].tolist() == best
    assert slate.seen[0].tolist() == [True, False]


def test_slate_knows_whether_it_rests_on_any_known_item() -> None:
    model = Predictor(random_model(10))
    rows = empty_rows(4)
    rows["accepted"] = [0, 1, 2, 1]
    rows["ring_item"][:, 0] = 12345  # unknown
    rows["ring_item"][:, 1] = model.item_hashes[4]
    key = older_key(model.item_hashes)[7]
    rows["older_low"][3, 0], rows["older_high"][3, 0] = key % 2**16, key // 2**16
    assert top_items(rows, model, 3).known.tolist() == [False, False, True, True]


def test_whoever_has_no_item_that_the_model_knows_gets_the_most_popular_ones() -> None:
    model = Predictor(random_model(300))
    rows = users_with_rings(model, 20, bought_share=0)
    rows["ring_item"] = 12345
    rows["older_low"], rows["older_high"] = 12345, 0
    slates = top_items(rows, model, 10)
    popular = np.argsort(-model.item_bias[1:], kind="stable")[:10]
    assert slates.item.tolist() == [popular.tolist()] * 20
    assert slates.score[0].tolist() == model.item_bias[1:][popular].tolist()


def test_many_users_take_little_memory() -> None:
    model = Predictor(random_model(20))
    rows = users_with_rings(model, 20_000)
    tracemalloc.start()
    try:
        top_items(rows, model, 10)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_slate_of_no_places_is_empty() -> None:
    model = Predictor(random_model(30))
    assert top_items(users_with_rings(model, 3), model, 0).item.shape == (3, 0)


def test_nothing_is_left_to_show_to_whoever_bought_it_all() -> None:
    model = Predictor(random_model(2))
    rows = empty_rows(1)
    rows["accepted"] = 2
    rows["ring_high"] = high_bits(np.array(0), np.array(PURCHASE))
    rows["ring_item"][0, :2] = model.item_hashes
    assert top_items(rows, model, 10).item.tolist() == [[-1, -1]]


def test_model_without_items_gives_empty_slates() -> None:
    assert top_items(empty_rows(3), Predictor(random_model(0)), 10).item.shape == (3, 0)


def test_no_split_or_order_of_a_batch_changes_a_slate() -> None:
    model = Predictor(random_model(300))
    rows = users_with_rings(model, 120)
    whole = top_items(rows, model, 10)
    random = np.random.default_rng(1)
    for _ in range(30):
        cuts = np.sort(random.choice(120, random.integers(1, 12), replace=False))
        for part in np.split(random.permutation(120), cuts):
            slates = top_items(rows[part], model, 10)
            assert slates.item.tobytes() == whole.item[part].tobytes()
            assert slates.score.tobytes() == whole.score[part].tobytes()


def test_many_users_in_blocks_get_the_slates_of_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Predictor(random_model(100))
    rows = users_with_rings(model, 40)
    whole = top_items(rows, model, 10)
    monkeypatch.setattr("models.slate._BLOCK", 700)
    assert top_items(rows, model, 10).item.tobytes() == whole.item.tobytes()


def remade(model: Model, weights: dict[str, Floats]) -> Predictor:
    return Predictor(Model(model.card, model.items, weights))


def of_state_alone(items: int) -> Predictor:
    """A model whose scores do not change with the items of the ring."""
    model = random_model(items)
    return remade(model, model.weights | without_recent(model.weights))


def without_recent(weights: dict[str, Floats]) -> dict[str, Floats]:
    """The weights of the last items, nothing."""
    return {name: np.zeros_like(weights[name]) for name in ("follow_bias", "again_bias", "recent_gate")}
