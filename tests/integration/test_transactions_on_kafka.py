"""What a transaction a chunk would cost: the time from a chunk's batches to their acknowledgement, both ways."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from schemas.topics import CHURN_RISK, INPUTS, NEXT_ACTIONS, RECOMMENDATIONS
from streams.clients import aiokafka_arguments
from streams.settings import Settings, read_settings
from streams.topics import create_topics

pytestmark = [pytest.mark.broker, pytest.mark.measure]

CHUNKS, WARM_UP = 300, 50
VIEWS = INPUTS[0]
TOPICS = (NEXT_ACTIONS, RECOMMENDATIONS, CHURN_RISK, VIEWS)  # the last one stands for the changelog


async def send(kafka: AIOKafkaProducer, settings: Settings) -> None:
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
    group, place = f"{settings.topic_prefix}group", TopicPartition(f"{settings.topic_prefix}{VIEWS}", 0)
    async with plain, fenced:

        async def in_transaction(number: int) -> None:
            async with fenced.transaction():
                await send(fenced, settings)
                await fenced.send_offsets_to_transaction({place: number}, group)

        return await median_ms(lambda _: send(plain, settings)), await median_ms(in_transaction)


def test_transaction_costs_more_than_the_answer(kafka: str) -> None:
    settings = read_settings(bootstrap_servers=kafka, topic_prefix=f"transactions{time.time_ns()}.", partitions=1)
    create_topics(settings)
    plain_ms, fenced_ms = asyncio.run(measure(settings))
    print(f"{CHUNKS} chunks of 4 batches: {plain_ms:.1f} ms each without, {fenced_ms:.1f} ms with a transaction")
    assert fenced_ms > plain_ms
