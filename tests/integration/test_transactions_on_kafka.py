"""Producers' transactions on real Kafka: what was aborted is never seen, and nobody waits behind the end of one.

And what one of ours for each chunk would cost: the time from a chunk's batches to their acknowledgement, both ways.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from builders import random_model
from kafka import KafkaProducer
from workers import Worker, final_rows, records, wait_until_committed

from models.model_directory import save
from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.clients import aiokafka_arguments, producer
from streams.settings import Settings, read_settings
from streams.topics import create_topics
from streams.worker_process import Samples

pytestmark = pytest.mark.broker

VIEWS = "nextact_lag_records", "views"
PATIENCE_S = 30
CHUNKS, WARM_UP = 300, 50
TOPICS = (NEXT_ACTIONS, RECOMMENDATIONS, CHURN_RISK, INPUTS[0])  # the last one stands for the changelog


@pytest.fixture
def settings(kafka: str, tmp_path: Path) -> Settings:
    save(random_model(items=50), tmp_path / "model")
    prefix = f"transactional{time.time_ns()}."
    made = read_settings(bootstrap_servers=kafka, topic_prefix=prefix, model=tmp_path / "model", partitions=1)
    create_topics(made)
    return made


def send(shop: KafkaProducer, settings: Settings, *numbers: int, user: str = "ann") -> None:
    """Send events, each in a batch of its own."""
    now_ms = time.time_ns() // 1_000_000
    for number in numbers:
        event = {"event_id": f"e{number}", "user_id": user, "item_id": "i1", "ts_ms": now_ms + number}
        shop.send(settings.topic_prefix + "views", msgspec.json.encode(event), user.encode()).get(10)


def lag_is(records: int, samples: Samples) -> bool:
    return samples.get(VIEWS) == records


def seen(settings: Settings) -> tuple[dict[bytes, int], list[int]]:
    """Return the number of views of each user in the state, and in each answer."""
    totals = {key: int(row["total"].sum()) for key, row in final_rows(settings).items()}
    answers = [msgspec.json.decode(value) for _, value in records(settings, settings.topic_prefix + "next-actions")]
    return totals, [answer["totals"]["view"] for answer in answers]


def test_aborted_events_are_neither_applied_nor_answered_and_nobody_waits_behind_the_end_of_a_transaction(
    settings: Settings, tmp_path: Path
) -> None:
    shop: Callable[[], KafkaProducer] = partial(producer, settings, transactional_id=f"{settings.topic_prefix}shop")
    with shop() as sender:
        sender.init_transactions()
        for numbers, keep in (((1, 2), True), ((3, 4), False), ((5,), True), ((6,), False)):
            sender.begin_transaction()
            send(sender, settings, *numbers)
            sender.commit_transaction() if keep else sender.abort_transaction()
    with Worker(settings, tmp_path / "first") as worker:
        worker.wait_until_handled(3)
        worker.wait_until(partial(lag_is, 0), PATIENCE_S)
        wait_until_committed(settings)  # to the very end, as Kafka's own tools measure it
        assert worker.stop() == 0
    assert seen(settings) == ({b"ann": 3}, [3])

    with Worker(settings, tmp_path / "second") as worker:
        worker.wait_until(partial(lag_is, 0), PATIENCE_S)
        with shop() as sender:
            sender.init_transactions()
            sender.begin_transaction()
            send(sender, settings, 7)
            worker.wait_until(partial(lag_is, 1), PATIENCE_S)
            time.sleep(0.5)
            assert seen(settings) == ({b"ann": 3}, [3]), "an event of a transaction that is still open"
            sender.commit_transaction()
        worker.wait_until(partial(lag_is, 0), PATIENCE_S)
        samples = worker.wait_until_handled(1)
        assert samples["nextact_events_total", "applied"] == 1
        assert samples["nextact_events_total", "redelivered"] == 0
        wait_until_committed(settings)
        assert worker.stop() == 0
    assert seen(settings) == ({b"ann": 4}, [3, 4])


async def send_chunk(kafka: AIOKafkaProducer, settings: Settings) -> None:
    sent = [await kafka.send(f"{settings.topic_prefix}{topic}", b"x" * 700, b"user", partition=0) for topic in TOPICS]
    await asyncio.gather(*sent)


async def median_ms(work: Callable[[int], Awaitable[None]]) -> float:
    took_ms = []
    for number in range(CHUNKS):
        began_s = time.perf_counter()
        await work(number)
        took_ms.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took_ms[WARM_UP:])


async def measure(settings: Settings) -> tuple[float, float]:
    arguments = aiokafka_arguments(settings)
    plain = AIOKafkaProducer(enable_idempotence=True, acks="all", **arguments)
    fenced = AIOKafkaProducer(transactional_id=f"{settings.topic_prefix}0", acks="all", **arguments)
    group, place = f"{settings.topic_prefix}group", TopicPartition(f"{settings.topic_prefix}{INPUTS[0]}", 0)
    async with plain, fenced:

        async def in_transaction(number: int) -> None:
            async with fenced.transaction():
                await send_chunk(fenced, settings)
                await fenced.send_offsets_to_transaction({place: number}, group)

        return await median_ms(lambda _: send_chunk(plain, settings)), await median_ms(in_transaction)


@pytest.mark.measure
def test_transaction_costs_more_than_the_answer(kafka: str) -> None:
    settings = read_settings(bootstrap_servers=kafka, topic_prefix=f"transactions{time.time_ns()}.", partitions=1)
    create_topics(settings)
    plain_ms, fenced_ms = asyncio.run(measure(settings))
    print(f"{CHUNKS} chunks of 4 batches: {plain_ms:.1f} ms each without, {fenced_ms:.1f} ms with a transaction")
    assert fenced_ms > plain_ms
