"""TLS, passwords, client certificates and ACLs of a real Apache Kafka: what works, and the line when it does not."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from builders import event_json, random_model
from certificates import Authority
from deployment import DEPLOY
from kafka.admin import ACLOperation, ResourceType
from secured import PASSWORD, Right, Secured, secured
from typed import shell
from workers import Worker, wait_until_committed

from models.model_directory import save
from schemas.topics import INPUTS
from streams.clients import admin, producer
from streams.metrics.group_lag import group_lag
from streams.rights import WORKER
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import Samples

pytestmark = [pytest.mark.broker, pytest.mark.long]

TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
READ, WRITE, CREATE, DESCRIBE = ACLOperation.READ, ACLOperation.WRITE, ACLOperation.CREATE, ACLOperation.DESCRIBE


@pytest.fixture(scope="module")
def broker(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured(kafka_home, tmp_path_factory.mktemp("secured")) as running:
        yield running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(random_model(items=50), folder)
    return folder


@pytest.fixture
def settings(broker: Secured, model: Path) -> Settings:
    """Topics of its own for each test."""
    made = {"topic_prefix": f"s{time.time_ns()}.", "partitions": 2, "model": model}
    settings = broker.back_door.model_copy(update=made)
    create_topics(settings, for_replay=True)
    return settings


def nextact(
    settings: Settings, way_in: Mapping[str, str], *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "NEXTACT_"))}
    ours = {
        "NEXTACT_TOPIC_PREFIX": settings.topic_prefix,
        "NEXTACT_PARTITIONS": str(settings.partitions),
        "NEXTACT_MODEL": str(settings.model),
        "NEXTACT_METRICS_PORT": "0",
    }
    command = [sys.executable, "-m", "streams", *arguments]
    environment = kept | ours | dict(way_in) | more
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert PASSWORD not in done.stdout + done.stderr
    return done


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def worker_rights(prefix: str) -> list[Right]:
    rights = [(TOPIC, prefix + name.replace("users", "nextact-users"), ACLOperation[each])
              for name, operations in WORKER.items() for each in operations]  # fmt: skip
    return [*rights, (GROUP, f"{prefix}nextact", READ)]


def test_every_command_works_with_a_password_over_tls_and_no_more_rights_than_the_page_lists(
    broker: Secured, model: Path, tmp_path: Path
) -> None:
    prefix = f"all{time.time_ns()}."
    settings = broker.back_door.model_copy(update={"topic_prefix": prefix, "partitions": 2, "model": model})
    inputs = [prefix + name for name in INPUTS]
    maker = broker.user("maker", [(TOPIC, prefix, CREATE), (TOPIC, prefix, DESCRIBE)])
    shop = broker.user("shop", [(TOPIC, name, WRITE) for name in inputs])
    worker = broker.user("worker", worker_rights(prefix))
    reader = broker.user("reader", [(TOPIC, prefix, READ)])
    dead = f"{prefix}dead-letters"
    checker = broker.user("checker", [(TOPIC, inputs[0], READ)])
    asker = broker.user("asker", [(TOPIC, f"{prefix}nextact-users-changelog", READ)])
    operator = broker.user("operator", [(TOPIC, name, each) for name in (*inputs, dead) for each in (READ, WRITE)])

    made = nextact(settings, maker, "topics", "create")
    assert (made.returncode, made.stderr) == (0, ""), made
    now_ms = time.time_ns() // 1_000_000
    log = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "action": ["view"], "ts_ms": [now_ms]})
    log.write_parquet(tmp_path / "log.parquet")
    with producer(settings) as back_door:
        back_door.send(inputs[0], b"{", b"u").get(10)

    settings_of_worker = settings.model_copy(
        update={"bootstrap_servers": broker.scram, "security_protocol": "SASL_SSL"}
    )
    as_by_default = {"NEXTACT_METRICS_HOST": ""}
    with Worker(
        settings_of_worker, tmp_path / "log", worker | as_by_default | {"NEXTACT_LOG_LEVEL": "debug"}
    ) as running:
        replayed = nextact(settings, shop, "replay", str(tmp_path / "log.parquet"), "--json")
        assert json.loads(replayed.stdout)["events"] == 1, replayed
        simulated = nextact(settings, shop, "simulate", "--events", "50", "--rate", "1000", "--json")
        assert json.loads(simulated.stdout)["events"] == 50, simulated
        running.wait_until_handled(52)
        assert _listens_on(running.pid) == {"127.0.0.1"}

        shown = nextact(settings, reader, "tail", "next-actions", "--from-beginning", "--until-now")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "purchase within" in shown.stdout
        letters = nextact(settings, reader, "dead-letters", "list", "--json")
        assert json.loads(letters.stdout)["reason"] == "not_json"
        sent = nextact(settings, operator, "dead-letters", "replay", "--all", "--even-if-refused", "--json")
        assert json.loads(sent.stdout)["sent"] == 1, sent
        running.wait_until_handled(53)

        checked = nextact(settings, checker, "contract", "check", "--topic", "views", "--json")
        assert json.loads(checked.stdout)["rejected"] == {"not_json": 2}, checked
        for what in ("show", "explain"):
            told = nextact(settings, asker, "user", what, "u", "--kafka", "--json")
            assert (told.returncode, told.stderr) == (0, ""), told
    assert running.code == 0
    assert PASSWORD not in (tmp_path / "log").read_text()


def test_lag_of_the_group_is_asked_with_the_rights_and_the_way_in_of_a_worker(
    broker: Secured, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = settings.topic_prefix
    way_in = broker.user(f"asks-{time.time_ns()}", worker_rights(prefix))
    for name, value in way_in.items():
        monkeypatch.setenv(name, value)
    locked = read_settings(topic_prefix=prefix, partitions=settings.partitions, model=settings.model)

    def send(count: int) -> None:
        with producer(settings) as back_door:
            for number in range(count):
                back_door.send(f"{prefix}clicks", event_json(f"u{number}", ts_ms=time.time_ns() // 1_000_000)).get(10)

    send(7)
    with Worker(locked, tmp_path / "log", way_in | {"NEXTACT_GROUP_LAG_INTERVAL_S": "0.5"}) as worker:
        worker.wait_until_handled(7)
        wait_until_committed(settings)
        worker.wait_until(lambda samples: _lags(samples) == [0, 0, 0], 30)
    send(5)
    with admin(locked) as client:
        lag = group_lag(client, f"{prefix}nextact", {name: prefix + name for name in INPUTS})
    assert lag == {("views",): 0, ("clicks",): 5, ("purchases",): 0}


def test_kafkas_own_tools_come_in_with_the_file_that_the_runbooks_show(
    broker: Secured, settings: Settings, kafka_home: Path, tmp_path: Path
) -> None:
    page = (DEPLOY / "runbooks/README.md").read_text()
    [shown] = re.findall(r"^```properties\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    ours = {"...": PASSWORD, "/etc/kafka/authority.pem": str(broker.authority.files.certificate)}
    for theirs, mine in ours.items():
        assert theirs in shown
        shown = shown.replace(theirs, mine)
    (tmp_path / "file").write_text(shown)
    terminal = shell(
        kafka_home, tmp_path / "terminal", broker.user("operator", [(TOPIC, settings.topic_prefix, DESCRIBE)])
    )
    list_all = 'kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --list --command-config'
    assert f"{settings.topic_prefix}views" in terminal.type(f"{list_all} {tmp_path / 'file'}")


def _lags(samples: Samples) -> list[float]:
    return [samples["nextact_group_lag_records", topic] for topic in INPUTS]


def _listens_on(pid: int) -> set[str]:
    """Return the addresses on which a process accepts connections, as the kernel has them."""
    mine = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            address, state, inode = cells[1].partition(":")[0], cells[3], cells[9]
            if state == "0A" and f"socket:[{inode}]" in mine:
                octets = bytes.fromhex(address)[::-1]
                found.add(".".join(map(str, octets)) if table == "tcp" else address)
    return found


WRONG = {
    "password": ({"KAFKA_SASL_PASSWORD": "not it"}, ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")),
    "user": ({"KAFKA_SASL_USERNAME": "nobody"}, ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD")),
    "mechanism": ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, ("KAFKA_SASL_MECHANISM=SCRAM-SHA-256",)),
    "authority": ({"KAFKA_SSL_CAFILE": "OTHER"}, ("nobody trusted here", "KAFKA_SSL_CAFILE")),
    "no authority": ({"KAFKA_SSL_CAFILE": ""}, ("nobody trusted here", "KAFKA_SSL_CAFILE")),
    "expired": ({"KAFKA_BOOTSTRAP_SERVERS": "EXPIRED"}, ("expired", "renew it on the broker")),
    "other name": ({"KAFKA_BOOTSTRAP_SERVERS": "BY NUMBER"}, ("another name", "KAFKA_BOOTSTRAP_SERVERS")),
    "no TLS": ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, ("KAFKA_SECURITY_PROTOCOL",)),
    "no SASL": ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, ("KAFKA_SECURITY_PROTOCOL",)),
    "nothing": ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, ("KAFKA_SECURITY_PROTOCOL",)),
}


@pytest.mark.parametrize("what", WRONG)
def test_way_in_that_is_wrong_is_one_line_that_says_what_to_correct(
    what: str, broker: Secured, settings: Settings, tmp_path: Path
) -> None:
    changes, words = WRONG[what]
    stands_for = {
        "OTHER": str(Authority(tmp_path, "other").files.certificate),
        "EXPIRED": broker.expired,
        "BY NUMBER": broker.scram.replace("localhost", "127.0.0.1"),
    }
    wrong = {name: stands_for.get(value, value) for name, value in changes.items()}
    way_in = broker.user("right", []) | wrong
    done = nextact(settings, way_in, *(("worker",) if what in ("password", "expired") else ("topics", "create")))
    assert_one_line(done, *words)
    assert wrong.get("KAFKA_SASL_PASSWORD", PASSWORD) not in done.stderr


def test_certificate_of_the_client_lets_in_and_without_it_one_line_asks_for_it(
    broker: Secured, settings: Settings, tmp_path: Path
) -> None:
    mine = broker.authority.sign("shopkeeper", password=b"key's own password")
    broker.grant("User:CN=shopkeeper", [(TOPIC, settings.topic_prefix, READ)])
    way_in = {
        "KAFKA_BOOTSTRAP_SERVERS": broker.mutual,
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CAFILE": str(broker.authority.files.certificate),
        "KAFKA_SSL_CERTFILE": str(mine.certificate),
        "KAFKA_SSL_KEYFILE": str(mine.key),
        "KAFKA_SSL_PASSWORD": "key's own password",
    }
    wrong_password = {"KAFKA_SSL_PASSWORD": "not it"}
    shown = nextact(settings, way_in, "tail", "views", "--until-now")
    assert (shown.returncode, shown.stderr) == (0, "")
    locked = nextact(settings, way_in | wrong_password, "tail", "views")
    assert_one_line(locked, "KAFKA_SSL_")
    assert "not it" not in locked.stderr
    stranger = Authority(tmp_path, "other").sign("stranger")
    for certificate, key in (("", ""), (str(stranger.certificate), str(stranger.key))):
        refused = nextact(settings, way_in, "tail", "views", KAFKA_SSL_CERTFILE=certificate, KAFKA_SSL_KEYFILE=key)
        assert_one_line(refused, "KAFKA_SSL_CERTFILE")


@pytest.mark.parametrize(
    ("command", "lacks", "words"),
    [
        (("worker",), "next-actions", ("WRITE on {}next-actions",)),
        (("worker",), "nextact-users-changelog", ("WRITE on {}nextact-users-changelog",)),
        (("worker",), "group", ("READ on group {}nextact",)),
        (("tail", "views"), "views", ("READ on {}views",)),
        (("contract", "check", "--topic", "clicks"), "clicks", ("READ on {}clicks",)),
        (("user", "show", "u", "--kafka"), "nextact-users-changelog", ("READ on {}nextact-users-changelog",)),
        (("simulate", "--events", "9"), "clicks", ("WRITE on {}clicks",)),
        (("dead-letters", "list"), "dead-letters", ("READ on {}dead-letters",)),
        (("dead-letters", "replay", "--all"), "dead-letters", ("WRITE on {0}dead-letters", "READ on {0}dead-letters")),
        (("topics", "create"), "create", ("does not create topic {}new.", "rights")),
    ],
)
def test_right_that_is_missing_is_one_line_that_names_it(
    command: tuple[str, ...], lacks: str, words: tuple[str, ...], broker: Secured, settings: Settings
) -> None:
    prefix = settings.topic_prefix
    everything = [(TOPIC, prefix + name, each) for each in (READ, WRITE) for name in _NAMES if name != lacks]
    group = [(GROUP, prefix, READ)] if lacks != "group" else []
    way_in = broker.user(f"without-{time.time_ns()}", [*everything, *group])
    more = {"NEXTACT_TOPIC_PREFIX": f"{prefix}new."} if lacks == "create" else {}
    assert_one_line(nextact(settings, way_in, *command, **more), *(word.format(prefix) for word in words))


_NAMES = [*(name for name in WORKER if name != "users-changelog"), "nextact-users-changelog"]
