"""The peers' job on our chunk path: their state, weights and step; our fetch, alignment, table and batches.

`peers_driver.py` runs it as one more peer: an output for every event, at least once, a commit each second. Like the
other peers it skips what it has applied already.
"""

import os
import sys
import tempfile
import time
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import faust
import msgspec
import numpy as np

from models.state import LAYOUT, Ints, Rows
from streams.chunk.app import ChunkApp
from streams.chunk.overlap import Overlap, Polled, Step
from streams.chunk.records import Batch, record_batches
from streams.chunk.table import ChunkTable
from streams.clients import admin, aiokafka_arguments, servers
from streams.logs import configure_logging
from streams.pipeline import UserTable, parts_of
from streams.settings import Settings, read_settings
from streams.templates import Template, slot
from streams.texts import texts
from streams.topics import TABLE, changelog

PARTITIONS = 8
ALIGN_WAIT_S = 0.2
"""Other peers wait as long for a topic that is read to its end, or less; ten times as long for one with more."""

_P = b",".join([slot("fixed", "p")] * 4)
_OUTPUT = Template(b'{"user_id":%b,"event_id":%b,"p":[%b]}' % (slot("text", "user"), slot("text", "event"), _P))


class _Event(msgspec.Struct, gc=False):
    event_id: msgspec.Raw
    user_id: msgspec.Raw
    item_id: str
    ts_ms: int


_decode = msgspec.json.Decoder(_Event).decode


class Change(NamedTuple):
    """New rows of users of one partition."""

    partition: int
    keys: list[bytes]
    rows: Rows


class Answer(NamedTuple):
    """What a chunk leads to."""

    changes: list[Change]
    outputs: dict[int, list[Batch]]  # by partition


class Job:
    """The job itself, a chunk at a time.

    Args:
        theirs: the peers' module `job`.
    """

    def __init__(self, theirs: Any) -> None:  # noqa: ANN401
        self.theirs = theirs
        self._batcher = theirs.Batcher()

    def empty(self) -> Rows:
        """Return the row of a user of whom nothing is known [1]: their state, with the fields that our table needs."""
        state = self.theirs.STATE
        fields = {name: state.fields[name] for name in state.names}
        fields |= {"applied": state.fields["off"], "layout": (np.dtype("u1"), state.itemsize)}
        row = np.dtype(
            {
                "names": list(fields),
                "formats": [field[0] for field in fields.values()],
                "offsets": [field[1] for field in fields.values()],
                "itemsize": state.itemsize + 8,
            }
        )
        return np.frombuffer(self.theirs.EMPTY + bytes([LAYOUT]).ljust(8, b"\0"), row)

    def step(self, polled: Polled, users: UserTable) -> Answer:
        """Return the new rows of a chunk's users, and an output for each of its events."""
        parts = sorted(polled.items(), key=lambda part: part[0].partition)
        user_keys = list(chain.from_iterable(part.key_list() for _, part in parts))
        sizes = [len(part) for _, part in parts]
        partition = np.repeat([tp.partition for tp, _ in parts], sizes)
        events = list(map(_decode, chain.from_iterable(part.value_list() for _, part in parts)))
        places: dict[bytes, int] = {}
        row = np.array([places.setdefault(key, len(places)) for key in user_keys])
        keys, owner = list(places), np.empty(len(places), np.int64)
        owner[row] = partition
        rows, changes = self._rows(users, keys, owner)
        ts_ms = np.array([event.ts_ms for event in events])
        order = np.lexsort((ts_ms, partition))
        self._batcher.s = rows
        p, applied, _ = self._batcher(
            row[order],
            np.repeat([self.theirs.KIND[tp.topic] for tp, _ in parts], sizes)[order],
            np.concatenate([part.offsets for _, part in parts])[order],
            np.array([self.theirs.item_index(event.item_id) for event in events])[order],
            ts_ms[order],
        )
        answered = order[applied].tolist()
        columns = {
            "user": texts([bytes(events[k].user_id) for k in answered]),
            "event": texts([bytes(events[k].event_id) for k in answered]),
            "p": p[applied],
        }
        batches = record_batches(
            partition[answered],
            texts([user_keys[k] for k in answered]),
            _OUTPUT.fill(columns),
            None,
        )
        return Answer(changes, batches)

    @staticmethod
    def _rows(users: UserTable, keys: list[bytes], owner: Ints) -> tuple[Rows, list[Change]]:
        """Return the rows of users, those of one partition together, and views of them by partition."""
        parts = list(parts_of(owner))
        read = [users.read(number, keys[part]) for number, part in parts]
        # as plain bytes: numpy makes a layout of its own where it joins rows with fields
        rows = np.concatenate([each.view(f"V{each.itemsize}") for each in read]).view(read[0].dtype)
        return rows, [Change(number, keys[part], rows[part]) for number, part in parts]


class Agent:
    """Hands chunks to the job, and writes what it returns.

    Args:
        app: the Faust app.
        table: the rows of users.
        job: the job.
    """

    def __init__(self, app: ChunkApp, table: ChunkTable, job: Job) -> None:
        self._app, self._table, self._job = app, table, job
        self._told = False
        self.consume = Overlap(app, table, self._compute, lambda *_: None).consume

    def _compute(self, polled: Polled) -> Step[None]:
        if not self._told:
            os.write(1, b"FIRST %f\n" % time.time())  # the run's clock starts
            self._told = True
        changes, outputs = self._job.step(polled, self._table)
        topic = self._job.theirs.OUT
        return Step(None, changes, lambda: [(topic, number, made) for number, made in outputs.items()])


def make_app(settings: Settings, job: Job, folder: Path) -> ChunkApp:
    """Return the app, with the settings of Faust that the worker has."""
    app = ChunkApp(
        settings.group,
        kafka_arguments=aiokafka_arguments(settings),
        align_wait_s=ALIGN_WAIT_S,
        compression=False,  # as their job says
        broker=[f"kafka://{server}" for server in servers(settings)],
        store="memory://",
        datadir=folder,
        table_standby_replicas=0,
        web_enabled=False,
        topic_partitions=PARTITIONS,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_buffer_maxsize=2,
        stream_wait_empty=True,
        broker_max_poll_records=settings.max_poll_records,
        consumer_max_fetch_size=1 << 20,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=30.0,
    )
    table = app.Table(TABLE, partitions=PARTITIONS, key_type=bytes, value_type=bytes)
    table.empty, table.input_topics = job.empty(), job.theirs.TOPICS
    topic = app.topic(*job.theirs.TOPICS, key_serializer="raw", value_serializer="raw")
    app.agent(topic, name="users")(Agent(app, table, job).consume)
    return app


def main(folder: str, bootstrap: str, group: str) -> None:
    """Do the job until SIGTERM.

    Args:
        folder: of the peers' job.
        bootstrap: address of the broker.
        group: of this run.
    """
    sys.path.insert(0, folder)
    job = Job(import_module("job"))
    settings = read_settings(bootstrap_servers=bootstrap, group=group)
    configure_logging(settings.log_level, settings.log_format)
    topic = changelog(settings)
    with admin(settings) as client:
        if topic.name not in client.list_topics():
            wanted = {"num_partitions": PARTITIONS, "replication_factor": -1, "configs": topic.config}
            client.create_topics({topic.name: wanted})
            client.wait_for_topics([topic.name])
    with tempfile.TemporaryDirectory(prefix="nextact-") as data:
        app = make_app(settings, job, Path(data))
        worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True)
        worker.spinner = None  # it writes escapes to the log
        worker.execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
