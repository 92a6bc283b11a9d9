"""What this user may do on the broker, asked before it is tried: one line that names what is missing."""

from collections.abc import Collection, Mapping
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import GroupAuthorizationFailedError, KafkaError

from schemas.topics import DEAD_LETTERS, INPUTS, ITEMS, MODELS, OUTPUTS
from streams.errors import BrokerRefused

READ, WRITE, DESCRIBE = "READ", "WRITE", "DESCRIBE"

WORKER: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(INPUTS, (READ,)),
    **dict.fromkeys((*OUTPUTS, DEAD_LETTERS), (WRITE,)),
    **dict.fromkeys((ITEMS, MODELS), (DESCRIBE,)),
    "users-changelog": (READ, WRITE),
}
"""What a worker does with each topic."""

SENDER: Mapping[str, tuple[str, ...]] = dict.fromkeys(INPUTS, (WRITE,))
"""What sends events does with each topic."""

_REFUSED = 29


def check_rights(
    client: KafkaAdminClient, needs: Mapping[str, Collection[str]], *, described: list[Any] | None = None
) -> None:
    """Make sure that this user may do with topics what is needed, as far as the broker tells.

    Args:
        client: asks.
        needs: operations by name of the topic on the broker. A topic that is not there is left out.
        described: what the broker says of these topics, if that is known already.

    Raises:
        BrokerRefused: some rights are missing.
    """
    found = {
        topic["name"]: topic for topic in (client.describe_topics(list(needs)) if described is None else described)
    }
    lacking: dict[str, list[str]] = {}
    for name, operations in needs.items():
        topic = found.get(name, {})
        allowed = [] if topic.get("error_code") == _REFUSED else topic.get("authorized_operations")
        for operation in operations if allowed is not None else ():
            if operation not in allowed:
                lacking.setdefault(operation, []).append(name)
    _refuse(lacking)


def check_group_rights(client: KafkaAdminClient, group: str) -> None:
    """Make sure that this user may join a consumer group, as far as the broker tells.

    Raises:
        BrokerRefused: it may not.
    """
    try:
        allowed = client.describe_groups([group])[group].get("authorized_operations")
    except GroupAuthorizationFailedError:
        allowed = []
    except KafkaError:  # such as a cluster that never had a group
        return
    if allowed is not None and READ not in allowed:
        _refuse({READ: [f"group {group}"]})


def _refuse(lacking: Mapping[str, Collection[str]]) -> None:
    if lacking:
        each = "; ".join(f"{operation} on {', '.join(names)}" for operation, names in lacking.items())
        raise BrokerRefused(f"this user lacks rights: {each}. Add ACLs for it: docs/operations.md has the list")
