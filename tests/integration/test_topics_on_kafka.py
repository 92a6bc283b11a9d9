"""Topics on Apache Kafka: what only a real cluster refuses, keeps and forgets."""

import time
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.topics import topics
from streams.broker import KafkaHome
from streams.clients import admin, check_broker, consumer, producer
from streams.errors import BrokerRefused, BrokerUnavailable
from streams.local_broker import free_ports
from streams.settings import Settings, read_settings
from streams.topics import check_topics, create_topics, retention_ms

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(kafka: str) -> Settings:
    return read_settings(bootstrap_servers=kafka, topic_prefix=f"t{time.time_ns()}.", partitions=3)


def test_topics_stand_on_the_broker_as_the_contract_says(settings: Settings) -> None:
    assert {topic.status for topic in create_topics(settings)} == {"created"}
    assert {topic.status for topic in create_topics(settings)} == {"kept"}
    check_topics(settings)
    wanted = topics(settings.topic_prefix, 3)
    with admin(settings) as client:
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in wanted.values()]
        found = client.describe_configs(resources)["topic"]
    for topic in wanted.values():
        assert {name: found[topic.name][name]["value"] for name in topic.config} == topic.config, topic.logical


def test_replica_that_no_broker_can_hold_is_refused_with_the_setting_to_change(settings: Settings) -> None:
    with pytest.raises(BrokerRefused, match="NEXTACT_REPLICATION_FACTOR"):
        create_topics(settings.model_copy(update={"replication_factor": 3}))


def test_topics_for_replay_keep_records_for_ever_also_when_they_exist_already(settings: Settings) -> None:
    create_topics(settings)
    assert set(retention_ms(settings).values()) == {7 * 86_400_000}
    create_topics(settings, for_replay=True)
    assert set(retention_ms(settings).values()) == {-1}


def test_killed_kafka_still_has_what_it_acknowledged(kafka_home: Path, tmp_path: Path) -> None:
    with KafkaHome(kafka_home, tmp_path) as broker:
        settings = read_settings(bootstrap_servers=broker.bootstrap_servers, partitions=1)
        create_topics(settings)
        with producer(settings) as client:
            sent = client.send("views", b"value", b"key").get(10)
        broker.kill()
        with pytest.raises(BrokerUnavailable):
            check_broker(settings)
        broker.start()
        with consumer(settings) as client:
            assert client.end_offsets([TopicPartition("views", 0)]) == {sent.topic_partition: 1}


def test_right_password_is_let_in_and_a_wrong_one_gives_the_variables_to_check(
    kafka_home: Path, tmp_path: Path
) -> None:
    port, guarded, controller = free_ports(3)
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_app=right;"
    properties = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{guarded},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},SASL_PLAINTEXT://127.0.0.1:{guarded}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": plain,
    }

    def way_in(password: str) -> Settings:
        return read_settings(
            bootstrap_servers=f"127.0.0.1:{guarded}",
            security_protocol="SASL_PLAINTEXT",
            sasl_username="app",
            sasl_password=password,
        )

    with KafkaHome(kafka_home, tmp_path, port, properties):
        check_broker(way_in("right"))
        with pytest.raises(BrokerUnavailable, match="KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"):
            check_broker(way_in("wrong"))
