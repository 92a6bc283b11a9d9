"""Create the topics, and check that those on the broker are as the pipeline needs them."""

import time
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, KafkaTimeoutError, for_code

from schemas.topics import INPUTS, ITEMS, MODELS, Topic, topics
from streams.clients import admin
from streams.errors import BrokerRefused, BrokerSilent, PartitionsDiffer, TopicsMissing
from streams.rights import DESCRIBE, WORKER, check_group_rights, check_rights
from streams.settings import Settings

TABLE = "users"
"""Name of the workers' table."""

FOR_EVER = "-1"
CREATE = "nextact topics create"
CREATE_FOR_REPLAY = "nextact topics create --for-replay"
_MORE = "More partitions in docs/operations.md"
_UNKNOWN, _EXISTS = 3, 36
_PATIENCE_S = 10.0
_NAP_S = 0.2
_BROKER_PATIENCE_S = 30.0


class TopicStatus(NamedTuple):
    """What `create_topics` did with a topic."""

    name: str
    partitions: int
    status: Literal["created", "kept"]


def create_topics(settings: Settings, *, for_replay: bool = False) -> list[TopicStatus]:
    """Create what is missing, keep what is there.

    A replayed log keeps its own times, and a broker deletes records by their time: `for_replay` keeps records however
    old they are, in topics that exist already too.

    Raises:
        BrokerUnavailable: nothing that speaks Kafka answers.
        BrokerRefused: a topic may not or cannot be created.
        PartitionsDiffer: a topic exists with another number of partitions.
    """
    wanted = _wanted(settings)
    with admin(settings) as client:
        there = set(client.list_topics())
        kept = [topic for topic in wanted if topic.name in there]
        _check_partitions(settings, kept, _partitions(client, kept))
        missing = [topic for topic in wanted if topic.name not in there]
        if missing:
            _create(client, settings, missing, for_replay=for_replay)
        if for_replay and kept:
            _keep_for_ever(client, [topic.name for topic in kept if "retention.ms" in topic.config])
    return [TopicStatus(t.name, t.partitions, "kept" if t.name in there else "created") for t in wanted]


def check_topics(
    settings: Settings, needs: Mapping[str, Collection[str]] = WORKER, *, group: str | None = None
) -> None:
    """Make sure that topics are there, with the number of partitions that the settings say, and that we may use them.

    Args:
        settings: broker, prefix and number of partitions.
        needs: what will be done with each topic, as in `streams.rights`, by its name without prefix.
        group: the consumer group that will be joined.

    Raises:
        BrokerUnavailable: nothing that speaks Kafka answers.
        BrokerRefused: this user has no right to do it.
        TopicsMissing: some are not there.
        PartitionsDiffer: one has another number of partitions.
    """
    deadline_s = time.monotonic() + _BROKER_PATIENCE_S
    while True:  # of several brokers one may be paused, or on its way out: the next try may ask another
        try:
            return _check_topics(settings, needs, group)
        except BrokerSilent:
            if len(settings.servers) < 2 or time.monotonic() > deadline_s:
                raise
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline_s:
                raise
        time.sleep(_NAP_S)


def _check_topics(settings: Settings, needs: Mapping[str, Collection[str]], group: str | None) -> None:
    wanted = [topic for topic in _wanted(settings) if topic.logical in needs]
    with admin(settings) as client:
        described = client.describe_topics([topic.name for topic in wanted])
        check_rights(client, {topic.name: needs[topic.logical] for topic in wanted}, described=described)
        missing = [topic["name"] for topic in described if topic["error_code"] == _UNKNOWN]
        if missing:
            raise TopicsMissing(f"missing topics: {', '.join(missing)}. Create them with `{CREATE}`")
        _check_partitions(settings, wanted, {topic["name"]: len(topic["partitions"]) for topic in described})
        if group is not None:
            check_group_rights(client, group)


def retention_ms(settings: Settings, logical: tuple[str, ...] = INPUTS) -> dict[str, int]:
    """Return for how long each topic keeps its records, by name; -1: for ever. Empty if the broker does not say."""
    with admin(settings) as client:
        return _retention_ms(client, [topic.name for topic in _wanted(settings) if topic.logical in logical])


def changelog(settings: Settings) -> Topic:
    """Return the topic in which the workers of a group keep the rows of their users; nobody else reads or writes it."""
    return Topic(
        name=f"{settings.topic_prefix}{settings.group}-{TABLE}-changelog",
        logical=f"{TABLE}-changelog",
        partitions=settings.partitions,
        key="user_id",
        message=None,
        # for an hour a zombie's record cannot be compacted over a newer one
        config={"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"},
    )


def _wanted(settings: Settings) -> list[Topic]:
    return [*topics(settings.topic_prefix, settings.partitions).values(), changelog(settings)]


def _create(client: KafkaAdminClient, settings: Settings, missing: list[Topic], *, for_replay: bool) -> None:
    request = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": settings.replication_factor or -1,
            "configs": _config(topic, for_replay=for_replay),
        }
        for topic in missing
    }
    answer = client.create_topics(request, raise_errors=False)
    for topic in answer["topics"]:
        if topic["error_code"] not in (0, _EXISTS):  # another process may have been faster
            reason = topic.get("error_message") or for_code(topic["error_code"]).__name__
            advice = "check this user's rights, NEXTACT_PARTITIONS and NEXTACT_REPLICATION_FACTOR"
            raise BrokerRefused(f"the broker does not create topic {topic['name']} ({reason.rstrip('.')}): {advice}")
    try:
        client.wait_for_topics(list(request))
    except KafkaTimeoutError as error:
        check_rights(client, dict.fromkeys(request, (DESCRIBE,)))
        raise BrokerRefused(f"the topics do not come up ({error}): look after the broker") from None


def _config(topic: Topic, *, for_replay: bool) -> dict[str, str]:
    # CreateTime: the event's own time orders the three input topics
    config = topic.config | {"message.timestamp.type": "CreateTime"}
    return config | {"retention.ms": FOR_EVER} if for_replay and "retention.ms" in config else config


def _keep_for_ever(client: KafkaAdminClient, names: list[str]) -> None:
    kept = {"retention.ms": FOR_EVER}
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, kept) for name in names])
    deadline_s = time.monotonic() + _PATIENCE_S
    while set(_retention_ms(client, names).values()) - {int(FOR_EVER)}:  # brokers learn of it one after the other
        if time.monotonic() > deadline_s:
            raise BrokerRefused(f"the broker does not set retention.ms={FOR_EVER}: check its policies")
        time.sleep(0.1)


def _retention_ms(client: KafkaAdminClient, names: list[str]) -> dict[str, int]:
    try:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        found = client.describe_configs(resources, config_filter="all").get("topic", {})
    except KafkaError:
        return {}
    kept = {}
    for name, config in found.items():
        deletes = "delete" in config.get("cleanup.policy", {}).get("value", "delete")
        if "retention.ms" in config:
            kept[name] = int(config["retention.ms"]["value"]) if deletes else int(FOR_EVER)
    return kept


def _partitions(client: KafkaAdminClient, wanted: list[Topic]) -> dict[str, int]:
    if not wanted:
        return {}
    described = client.describe_topics([topic.name for topic in wanted])
    return {topic["name"]: len(topic["partitions"]) for topic in described}


def _check_partitions(settings: Settings, wanted: list[Topic], found: dict[str, int]) -> None:
    # items and models are read whole by every worker, whatever their partitions
    of_users = [topic for topic in wanted if topic.logical not in (ITEMS, MODELS)]
    wrong = {topic.name: found[topic.name] for topic in of_users if found[topic.name] != settings.partitions}
    if not wrong:
        return
    wanted_count, counts = settings.partitions, set(wrong.values())
    if len(counts) == 1 and len(wrong) == len(of_users):
        advice = f"set NEXTACT_PARTITIONS={counts.pop()}, but not if they were added to topics in use: see {_MORE}"
    else:
        advice = f"all topics of users need as many: delete those that hold nothing and run `{CREATE}`, or see {_MORE}"
    each = ", ".join(f"{name} {count}" for name, count in wrong.items())
    raise PartitionsDiffer(f"partitions are not {wanted_count}, as the settings say ({each}): {advice}")
