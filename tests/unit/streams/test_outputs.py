"""Outputs of many users are those of each alone, whatever users and items are called."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from builders import random_model

from models.predictor import Predictor
from models.survival import Curves
from schemas.outputs import ChurnRisk, NextAction, Recommendation
from schemas.topics import CHURN_RISK, NEXT_ACTIONS, OUTPUTS, RECOMMENDATIONS
from streams.benchmark.known_users import known_users
from streams.options import Options
from streams.outputs import Output, Outputs, Users, churn_outputs, outputs
from streams.publishing import encoded

ODD = '"\\\x01é' * 60
USERS = 60
STRUCTS = {NEXT_ACTIONS: NextAction, RECOMMENDATIONS: Recommendation, CHURN_RISK: ChurnRisk}


def predictor(items: int = 40) -> Predictor:
    model = random_model(items)
    for k in (1, 5, 30):
        model.items[k] = ODD + str(k)
    return Predictor(model)


def users_of(model: Predictor, odd: bool) -> Users:
    keys, rows = known_users(0, USERS, model)
    rows["band"] = 1 + np.arange(USERS) % 3
    for k in (0, 7, USERS - 1) if odd else ():
        keys[k] = (ODD + str(k)).encode()
    return Users(rows, keys, np.sort(np.arange(USERS) % 3))


def made(model: Predictor, users: Users, slate_size: int) -> list[Outputs]:
    actions, hazards = model.predict(users.rows)
    return outputs(users, actions, Curves(hazards), model, Options(slate_size=slate_size))


def by_user(parts: list[Outputs]) -> dict[tuple[str, bytes | None], Output]:
    found = {(output.topic, output.key): output for part in parts for output in part}
    assert len(found) == sum(map(len, parts))  # a user appears once a topic
    return found


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("slate_size", [0, 1, 10, 40])
def test_outputs_of_many_are_those_of_each_alone(slate_size: int, odd: bool) -> None:
    model = predictor()
    users = users_of(model, odd)
    together = made(model, users, slate_size)
    assert [part.topic for part in together] == [topic for topic in OUTPUTS if slate_size or topic != RECOMMENDATIONS]
    alone = [part for k in range(USERS) for part in made(model, users.at(np.array([k])), slate_size)]
    assert by_user(together) == by_user(alone)


@pytest.mark.parametrize("odd", [False, True])
def test_outputs_are_the_json_of_their_structs(odd: bool) -> None:
    model = predictor()
    users = users_of(model, odd)
    for part in made(model, users, 10):
        for output, key in zip(part, users.ids, strict=True):
            message = msgspec.json.decode(output.value, type=STRUCTS[part.topic])
            assert (message.user_id.encode(), output.key) == (key, key)
            assert output.headers[1] == ("ce_id", message.id.encode())
            if isinstance(message, Recommendation):
                assert {item.item_id for item in message.slate} <= set(model.items)
        counts = {number: sum(batch.records for batch in its) for number, its in encoded(part).items()}
        assert counts == Counter(users.partition.tolist())


def test_churn_risk_of_silence_names_the_band_before() -> None:
    model = predictor()
    users = users_of(model, True)
    _, hazards = model.predict(users.rows)
    told = churn_outputs(users, Curves(hazards), model, np.arange(USERS) % 4)
    found = [msgspec.json.decode(output.value, type=ChurnRisk) for output in told]
    assert [one.previous_band for one in found[:4]] == [None, "low", "medium", "high"]
    assert {one.trigger for one in found} == {"silence"}
