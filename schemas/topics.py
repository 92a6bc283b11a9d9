"""The topics: names, partitions, keys, retention, and the message that each one carries."""

import re

import msgspec

from schemas.announcements import ModelAnnouncement
from schemas.catalogue import Item
from schemas.dead_letters import DeadLetter
from schemas.events import Event
from schemas.outputs import ChurnRisk, NextAction, Recommendation

INPUTS = ("views", "clicks", "purchases")
"""Topics of events; the index in this tuple is the code of the action."""

ACTION_OF_TOPIC = {"views": "view", "clicks": "click", "purchases": "purchase"}
TOPIC_OF_ACTION = {action: topic for topic, action in ACTION_OF_TOPIC.items()}

NEXT_ACTIONS = "next-actions"
RECOMMENDATIONS = "recommendations"
CHURN_RISK = "churn-risk"
OUTPUTS = (NEXT_ACTIONS, RECOMMENDATIONS, CHURN_RISK)
DEAD_LETTERS = "dead-letters"
ITEMS = "items"
MODELS = "models"

DAY_MS = 86_400_000
MAX_NAME = 249
_LEGAL = re.compile(r"[A-Za-z0-9._-]*")
_KEPT_A_WEEK = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS)}
_KEPT_A_MONTH = {"cleanup.policy": "delete", "retention.ms": str(30 * DAY_MS)}
_COMPACTED = {"cleanup.policy": "compact"}


class Topic(msgspec.Struct, frozen=True):
    """One topic as it should stand on the broker."""

    name: str  # on the broker, prefix included
    logical: str  # as the contract calls it
    partitions: int
    key: str  # what the record's key is
    message: type[msgspec.Struct] | None  # what the record's value is; None: nothing for others
    config: dict[str, str]  # Kafka's topic settings; others stay the broker's defaults


def topics(prefix: str = "", partitions: int = 8) -> dict[str, Topic]:
    """Return every topic by its logical name.

    Args:
        prefix: stands before every name.
        partitions: of each topic keyed by user. They must be equal, so that one worker owns all that concerns a user.

    Raises:
        ValueError: Kafka does not allow a name with this prefix, or the number of partitions is below 1.

    >>> [t.name for t in topics("shop.", 3).values() if t.key == "user_id"]
    ['shop.views', 'shop.clicks', 'shop.purchases', 'shop.next-actions', 'shop.recommendations', 'shop.churn-risk']
    """
    if partitions < 1:
        raise ValueError(f"a topic needs at least 1 partition, not {partitions}")
    messages: dict[str, type[msgspec.Struct]] = {
        NEXT_ACTIONS: NextAction,
        RECOMMENDATIONS: Recommendation,
        CHURN_RISK: ChurnRisk,
    }
    of_users = [
        *(Topic(physical_name(t, prefix), t, partitions, "user_id", Event, _KEPT_A_WEEK) for t in INPUTS),
        *(Topic(physical_name(t, prefix), t, partitions, "user_id", messages[t], _KEPT_A_WEEK) for t in OUTPUTS),
    ]
    others = [
        Topic(physical_name(DEAD_LETTERS, prefix), DEAD_LETTERS, partitions, "original key", DeadLetter, _KEPT_A_MONTH),
        # one partition: every worker reads the whole of these
        Topic(physical_name(ITEMS, prefix), ITEMS, 1, "item_id", Item, _COMPACTED),
        Topic(physical_name(MODELS, prefix), MODELS, 1, "role", ModelAnnouncement, _COMPACTED),
    ]
    return {topic.logical: topic for topic in of_users + others}


def physical_name(logical: str, prefix: str) -> str:
    """Return a topic's name on the broker.

    Raises:
        ValueError: Kafka does not allow it.

    >>> physical_name("views", "shop.")
    'shop.views'
    """
    name = prefix + logical
    if not _LEGAL.fullmatch(name):
        raise ValueError(f"topic name {name!r}: Kafka allows only letters, digits, '.', '_' and '-'")
    if len(name) > MAX_NAME:
        raise ValueError(f"topic name of {len(name)} characters: Kafka allows {MAX_NAME}")
    return name


def logical_name(name: str, prefix: str) -> str:
    """Return what the contract calls a topic of the broker.

    Raises:
        ValueError: the name does not start with the prefix.

    >>> logical_name("shop.views", "shop.")
    'views'
    """
    if not name.startswith(prefix):
        raise ValueError(f"topic {name!r} does not start with {prefix!r}")
    return name[len(prefix) :]
