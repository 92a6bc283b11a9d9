"""Every line of the runbooks typed into a shell, beside a Kafka, a worker and a Prometheus."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from builders import event_json, random_model
from deployment import DEPLOY
from drilled import ITEMS, Shop, now_ms, shoppers, small_shop
from typed import blocks, lines
from workers import PATIENCE_S, Worker, wait_until_committed

from models.features import TIME_BINS
from models.model_directory import Model
from models.reference import Reference
from streams.clients import producer
from streams.local_broker import free_ports
from streams.processes import Process

pytestmark = [pytest.mark.broker, pytest.mark.long, pytest.mark.timeout(600)]

RUNBOOKS = sorted((DEPLOY / "runbooks").glob("Nextact*.md"))
LEFT_OUT = {"journalctl --unit nextact --since -2h --grep exit_code": "wants systemd"}
KAFKA = '--bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS"'
EMPTY = {
    "promtool query instant \"$PROMETHEUS\" 'up == 0'",
    f"kafka-topics.sh {KAFKA} --describe --unavailable-partitions",
    f"kafka-configs.sh {KAFKA} --describe --entity-type clients",
}
"""Lines that have nothing to say while all is well."""


@pytest.fixture(scope="module")
def model() -> Model:
    made = random_model(items=ITEMS)
    reference = Reference(
        action=(600, 300, 100), gap=(40,) * TIME_BINS, hour=(9,) * 24, known_item=(1, 999), next_action=(6, 3, 1)
    )
    card = msgspec.structs.replace(made.card, reference=reference, trained_at_ms=1_750_000_000_000)
    return msgspec.structs.replace(made, card=card)


@pytest.fixture(scope="module")
def shop(kafka_home: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with small_shop(kafka_home, tmp_path_factory.mktemp("shop"), model) as made:
        yield made


@pytest.fixture(scope="module")
def worker(shop: Shop) -> Iterator[Worker]:
    """A worker that events keep coming to, from a producer that makes mistakes."""
    over = threading.Event()

    def send() -> None:
        number = 0
        while not over.wait(0.5):
            shop.send(shoppers(number, 1, now_ms(), 30_000))
            with producer(shop.settings) as sender:
                sender.send("views", event_json("u1", "never heard of", now_ms()), b"u1")
                sender.flush()
            number += 1000

    traffic = threading.Thread(target=send)
    with shop.worker(NEXTACT_GROUP_LAG_INTERVAL_S="0.5", NEXTACT_RESCORE_INTERVAL_S="0.2") as made:
        made.wait_until_handled(0)
        traffic.start()
        yield made
        over.set()
        traffic.join()


@pytest.fixture(scope="module")
def prometheus(worker: Worker, shop: Shop) -> Iterator[None]:
    """A Prometheus with the rules that are shipped, named in the terminal."""
    program = shutil.which("prometheus")
    if program is None or shutil.which("promtool") is None:
        pytest.skip("prometheus is not here: apt-get install --no-install-recommends prometheus")
    address, worker_address = f"127.0.0.1:{free_ports(1)[0]}", f"127.0.0.1:{worker.port}"
    config = {
        "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
        "rule_files": [str(path) for path in sorted((DEPLOY / "prometheus/rules").glob("*.yaml"))],
        "scrape_configs": [{"job_name": "nextact", "static_configs": [{"targets": [worker_address]}]}],
    }
    (shop.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    options = f"--config.file={shop.folder / 'prometheus.yml'}", f"--storage.tsdb.path={shop.folder / 'data'}"
    shop.shell.environment |= {"PROMETHEUS": f"http://{address}", "WORKER": f"http://{worker_address}"}
    with Process([program, *options, f"--web.listen-address={address}"], shop.folder / "prometheus.log"):
        deadline_s = time.monotonic() + PATIENCE_S
        slowest = "promtool query instant \"$PROMETHEUS\" 'nextact:ece:6h'"
        while not shop.shell.tried(slowest)[1].startswith("nextact"):
            assert time.monotonic() < deadline_s
            time.sleep(1)
        yield


@pytest.mark.parametrize("page", RUNBOOKS, ids=[page.stem for page in RUNBOOKS])
@pytest.mark.usefixtures("prometheus")
def test_lines_of_a_runbook(page: Path, shop: Shop) -> None:
    see, *do = blocks(page)
    for line in lines(see):
        if line in LEFT_OUT:
            continue
        code, said = shop.shell.tried(line)
        wrong = 1 if line.startswith("nextact contract check") else 0  # what is there is wrong, and it says so
        assert code == wrong, f"{line}\n{said}"
        assert bool(said.strip()) != (line in EMPTY), f"{line}\n{said}"
    if page.stem == "NextactNoAnswers":
        assert len(do) == 1
        a_transaction_that_is_left_open_is_ended(shop, do[0])
    else:
        assert do == []


def a_transaction_that_is_left_open_is_ended(shop: Shop, end: str) -> None:
    with producer(shop.settings, transactional_id="till-7") as till:
        till.init_transactions()
        till.begin_transaction()
        till.send("views", event_json("till", "i1", now_ms()), b"till").get(10)
        assert "Ongoing" in shop.shell.type(f"kafka-transactions.sh {KAFKA} list")
        assert "Ongoing" in shop.shell.type(end)
        assert "Ongoing" not in shop.shell.type(f"kafka-transactions.sh {KAFKA} list")
    wait_until_committed(shop.settings)
