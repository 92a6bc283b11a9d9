"""The worker: one process that owns some partitions, keeps their users and answers their events."""

import gc
import tempfile
import time
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.types.auth import CredentialsT
from threadpoolctl import threadpool_limits

from models.model_directory import load
from models.predictor import Predictor
from streams.agents import UserEvents
from streams.chunk.app import ChunkApp
from streams.chunk.watchdog import Watchdog
from streams.clients import aiokafka_arguments, servers, ssl_context
from streams.errors import ModelUnusable
from streams.health import Health, serve
from streams.logs import silence_clients
from streams.metrics import Metrics
from streams.metrics.group_lag import GroupLag
from streams.options import Options
from streams.settings import Settings
from streams.topics import TABLE, check_topics
from streams.warm_up import warm_up

FETCH_BYTES = 1 << 20
CHUNK_PLACES = 2_000_000
"""Places in the slates of a chunk, at most: some 200 MB of JSON, held twice while it is packed."""

REBALANCE_TIMEOUT_S = 30.0
"""Longer than the longest chunk: a revocation waits for the chunk in work."""

_log = structlog.get_logger("nextact")


def options(settings: Settings) -> Options:
    """Return what the settings say to the pipeline."""
    return Options(
        prefix=settings.topic_prefix,
        limits=settings.limits,
        valid_for_ms=settings.valid_for_s * 1000,
        slate_size=settings.slate_size,
        reject_unknown_items=settings.unknown_items == "reject",
    )


def load_predictor(settings: Settings) -> Predictor:
    """Load the model that the settings name.

    Raises:
        ModelUnusable: none is named.
        ModelDirectoryError: it cannot be read.
    """
    if settings.model is None:
        raise ModelUnusable("no model is named: set NEXTACT_MODEL=DIR, or make one with `nextact train`")
    return Predictor(load(settings.model))


def make_app(settings: Settings, model: Predictor, metrics: Metrics, health: Health, folder: Path) -> ChunkApp:
    """Return the Faust app of a worker, ready to be started.

    Args:
        settings: all that the environment says.
        model: predicts.
        metrics: counts.
        health: is told whom to ask.
        folder: a private one, in which Faust makes folders of its own; nothing is kept there.
    """
    app = ChunkApp(
        settings.topic_prefix + settings.group,
        kafka_arguments=aiokafka_arguments(settings),
        align_wait_s=settings.align_wait_ms / 1000,
        compression=settings.compression == "lz4",
        broker=[f"kafka://{server}" for server in servers(settings)],
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=folder,
        table_standby_replicas=0,  # recovery is quick, and a standby costs as much memory as an owner
        web_enabled=False,
        topic_partitions=settings.partitions,
        topic_allow_declare=False,  # `nextact topics create` makes them all: a worker needs no right to
        topic_disable_leader=True,
        stream_buffer_maxsize=2,  # chunks
        stream_wait_empty=True,  # a revocation waits for the chunk in work
        broker_max_poll_records=min(settings.max_poll_records, CHUNK_PLACES // max(settings.slate_size, 1)),
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        broker_session_timeout=float(settings.session_timeout_s),
        broker_heartbeat_interval=settings.session_timeout_s / 10,
        broker_rebalance_timeout=REBALANCE_TIMEOUT_S,
        consumer_group_instance_id=settings.instance,
    )
    table = app.Table(TABLE, partitions=settings.partitions, key_type=bytes, value_type=bytes)
    events = UserEvents(app, table, model, options(settings), metrics, settings.clock == "stream")
    events.register(settings.rescore_interval_s)
    chunks = events.chunks
    app.watchdog = Watchdog(settings.watchdog_s, chunks.underway, lambda: chunks.acknowledged)
    health.live, health.ready = app.watchdog.trouble, events.waits_for
    metrics.model_loaded(model.card, time.time())
    return app


def run(settings: Settings) -> None:
    """Check what a worker needs, then run one until SIGTERM or Ctrl-C; does not return.

    Raises:
        NextactError: the broker, the topics or the model are not as they must be.
    """
    model = load_predictor(settings)
    check_topics(settings, group=settings.topic_prefix + settings.group)
    metrics, health = Metrics(), Health()
    # first: who asks while it starts is told so
    server, _ = serve(settings.metrics_host, settings.metrics_port, metrics.registry, health)
    # one core a worker: more BLAS threads only wait for each other
    with tempfile.TemporaryDirectory(prefix="nextact-") as folder, threadpool_limits(1):
        warm_up(model, options(settings))
        app = make_app(settings, model, metrics, health, Path(folder))
        silence_clients()  # what fails there is said once, in words of ours
        lag = GroupLag(settings)
        metrics.asked["nextact_group_lag_records"].ask = lag.values
        lag.start()
        _log.info("worker starts", model=model.card.version, metrics_port=server.server_port, group=app.conf.id)
        worker = faust.Worker(app, override_logging=False, redirect_stdouts=False, quiet=True)
        worker.spinner = None  # it writes escapes to the log
        _collect_seldom()
        try:
            worker.execute_from_commandline()
        finally:
            _log.info("worker stopped")


def _collect_seldom() -> None:
    """Look for cycles once in 50,000 new objects, not in 700: a fetch makes thousands of records, none in a cycle."""
    gc.freeze()  # what was imported stays
    gc.set_threshold(50_000, 20, 100)


def _credentials(settings: Settings) -> CredentialsT | None:
    context = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        password = settings.sasl_password.get_secret_value() if settings.sasl_password else None
        sasl: Any = faust.SASLCredentials(
            mechanism=settings.sasl_mechanism,
            username=settings.sasl_username,
            password=password,
            ssl_context=context,
        )
        return sasl
    return faust.SSLCredentials(context) if context else None
