"""What ends a command with one line. Each message says what is wrong and what to do about it.

NextactError
├── SettingsError         a variable of the environment or an option is wrong
├── BrokerError
│   ├── BrokerUnavailable     none was named, or nothing that speaks Kafka answers there
│   │   └── BrokerSilent      it takes connections and does not answer: it may be paused, or not be Kafka
│   ├── BrokerNotStarted      the broker that was to be started here did not come up
│   └── BrokerRefused         it answers and refuses: rights, policies
├── TopicsError
│   ├── TopicsMissing         a topic that is needed does not exist
│   ├── PartitionsDiffer      a topic has another number of partitions than the settings say
│   └── TopicsEmpty           there is nothing to read in the topics
├── ModelUnusable         no model, or one that cannot be run
├── NotDelivered          not all records were acknowledged
└── ProcessEnded          a process that was started here ended before its time
"""

# ruff: noqa: N818 - the names say what is the case, the base class says that it is an error


class NextactError(Exception):
    """Base of all errors that a user can do something about."""


class SettingsError(NextactError):
    """A variable of the environment or an option has a value that cannot be used."""


class BrokerError(NextactError):
    """Base of what can be wrong with a broker."""


class BrokerUnavailable(BrokerError):
    """No broker was named, or nothing that speaks Kafka answers there."""


class BrokerSilent(BrokerUnavailable):
    """A broker takes connections and does not answer in time: another one of its cluster may."""


class BrokerNotStarted(BrokerError):
    """A broker that was to be started here did not come up."""


class BrokerRefused(BrokerError):
    """The broker answers and refuses: no right to do it, or against its policies."""


class TopicsError(NextactError):
    """Base of what can be wrong with topics."""


class TopicsMissing(TopicsError):
    """A topic that is needed does not exist."""


class PartitionsDiffer(TopicsError):
    """A topic has another number of partitions than the settings say."""


class TopicsEmpty(TopicsError):
    """There is nothing to read in the topics, or not in the time that was asked for."""


class ModelUnusable(NextactError):
    """There is no model, or it cannot be run."""


class NotDelivered(NextactError):
    """Records were sent, and not all of them were acknowledged."""


class ProcessEnded(NextactError):
    """A process that was started here, a worker for example, ended before its time."""
