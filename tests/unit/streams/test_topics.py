"""Creating and checking the topics, on the embedded broker."""

import time

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from typer.testing import CliRunner

import streams.topics
from schemas.topics import INPUTS, topics
from streams.cli import app
from streams.clients import admin
from streams.errors import BrokerSilent, PartitionsDiffer, TopicsMissing
from streams.rights import SENDER
from streams.settings import Settings, read_settings
from streams.topics import check_topics, create_topics, retention_ms


@pytest.fixture
def settings(embedded_broker: str) -> Settings:
    return read_settings(bootstrap_servers=embedded_broker, topic_prefix=f"t{time.time_ns()}.", partitions=3)


def test_topics_are_created_once_and_then_kept(settings: Settings) -> None:
    first, second = create_topics(settings), create_topics(settings)
    assert {topic.status for topic in first} == {"created"}
    assert {topic.status for topic in second} == {"kept"}
    named = [t.name for t in topics(settings.topic_prefix, 3).values()]
    assert [t.name for t in first] == [*named, f"{settings.topic_prefix}nextact-users-changelog"]
    check_topics(settings)


def test_missing_topics_are_named_with_the_command_that_creates_them(settings: Settings) -> None:
    with pytest.raises(TopicsMissing, match=rf"{settings.topic_prefix}views.*nextact topics create"):
        check_topics(settings)


def test_check_asks_again_while_one_of_several_brokers_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(settings)
    errors = [
        KafkaConnectionError("111 ECONNREFUSED"),
        BrokerSilent("no answer"),
        None,
        TopicAuthorizationFailedError(),
    ]

    def flaky(asked: Settings) -> KafkaAdminClient:
        if error := errors.pop(0):
            raise error
        return admin(asked)

    monkeypatch.setattr(streams.topics, "admin", flaky)
    check_topics(settings.model_copy(update={"bootstrap_servers": f"{settings.bootstrap_servers},127.0.0.1:1"}))
    with pytest.raises(TopicAuthorizationFailedError):
        check_topics(settings)
    errors.append(BrokerSilent("no answer"))
    with pytest.raises(BrokerSilent):
        check_topics(settings)  # there is no other to ask


def test_only_the_topics_that_are_needed_must_be_there(settings: Settings) -> None:
    with admin(settings) as client:
        client.create_topics({settings.topic_prefix + name: {"num_partitions": 3} for name in INPUTS})
    check_topics(settings, SENDER)
    with pytest.raises(TopicsMissing, match="next-actions"):
        check_topics(settings)


def test_other_number_of_partitions_in_all_topics_gives_the_setting_to_make(settings: Settings) -> None:
    create_topics(settings)
    other = settings.model_copy(update={"partitions": 4})
    with pytest.raises(PartitionsDiffer, match="NEXTACT_PARTITIONS=3"):
        check_topics(other)
    with pytest.raises(PartitionsDiffer, match="NEXTACT_PARTITIONS=3"):
        create_topics(other)


def test_input_topics_that_are_cut_differently_are_refused(settings: Settings) -> None:
    with admin(settings) as client:
        for name, partitions in (("views", 3), ("clicks", 2)):
            client.create_topics({settings.topic_prefix + name: {"num_partitions": partitions}})
    with pytest.raises(PartitionsDiffer, match=r"clicks 2.*need as many"):
        create_topics(settings)


def test_nothing_is_created_beside_topics_with_other_partitions(settings: Settings) -> None:
    with admin(settings) as client:
        client.create_topics({f"{settings.topic_prefix}views": {"num_partitions": 2}})
        with pytest.raises(PartitionsDiffer, match="NEXTACT_PARTITIONS=2"):
            create_topics(settings)
        ours = [name for name in client.list_topics() if name.startswith(settings.topic_prefix)]
    assert ours == [f"{settings.topic_prefix}views"]


def test_topics_for_replay_keep_records_for_ever_also_when_they_exist_already(settings: Settings) -> None:
    create_topics(settings)
    assert set(retention_ms(settings).values()) == {7 * 86_400_000}
    create_topics(settings, for_replay=True)
    assert set(retention_ms(settings).values()) == {-1}


def test_command_makes_the_topics_that_a_worker_in_the_same_environment_wants(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", settings.servers[0])
    monkeypatch.setenv("NEXTACT_TOPIC_PREFIX", settings.topic_prefix)
    other = CliRunner().invoke(app, ["topics", "create", "--partitions", "3"])
    assert other.exit_code == 2, "an option that workers do not see makes topics that they refuse"
    monkeypatch.setenv("NEXTACT_PARTITIONS", "3")
    assert CliRunner().invoke(app, ["topics", "create"]).exit_code == 0
    check_topics(read_settings())
