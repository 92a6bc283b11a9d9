import pytest

from schemas.outputs import ChurnRisk, NextAction, Recommendation
from schemas.topics import (
    ACTION_OF_TOPIC,
    DEAD_LETTERS,
    INPUTS,
    ITEMS,
    MODELS,
    OUTPUTS,
    logical_name,
    physical_name,
    topics,
)


def test_inputs_are_in_the_order_of_the_actions() -> None:
    assert [ACTION_OF_TOPIC[topic] for topic in INPUTS] == ["view", "click", "purchase"]


def test_all_topics_are_there_once() -> None:
    assert list(topics()) == [*INPUTS, *OUTPUTS, DEAD_LETTERS, ITEMS, MODELS]


@pytest.mark.parametrize("partitions", [1, 3, 64])
def test_topics_keyed_by_user_have_equal_partitions(partitions: int) -> None:
    of_users = [topic for topic in topics(partitions=partitions).values() if topic.key == "user_id"]
    assert {topic.logical for topic in of_users} == {*INPUTS, *OUTPUTS}
    assert {topic.partitions for topic in of_users} == {partitions}


def test_catalogue_and_models_are_compacted_and_nothing_else() -> None:
    compacted = {t.logical for t in topics().values() if t.config["cleanup.policy"] == "compact"}
    assert compacted == {ITEMS, MODELS}


def test_each_output_carries_its_own_message() -> None:
    assert [topics()[name].message for name in OUTPUTS] == [NextAction, Recommendation, ChurnRisk]


@pytest.mark.parametrize("prefix", ["", "shop.", "eu-1_"])
def test_prefix_stands_before_every_name_and_comes_off_again(prefix: str) -> None:
    for logical, topic in topics(prefix).items():
        assert topic.logical == logical
        assert topic.name == prefix + logical
        assert logical_name(topic.name, prefix) == logical


@pytest.mark.parametrize("prefix", ["a b", "shop/", "ü", "a\n", "a\0", "x" * 245])
def test_prefix_that_kafka_does_not_allow_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="Kafka allows"):
        topics(prefix)


def test_name_of_249_characters_is_the_longest() -> None:
    assert len(physical_name("views", "x" * 244)) == 249
    with pytest.raises(ValueError, match="250"):
        physical_name("views", "x" * 245)


def test_foreign_topic_has_no_logical_name() -> None:
    with pytest.raises(ValueError, match="shop"):
        logical_name("views", "shop.")


@pytest.mark.parametrize("partitions", [0, -1])
def test_no_partitions_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        topics(partitions=partitions)
