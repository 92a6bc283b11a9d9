"""Sends events, one JSON object a line on stdin, with confluent-kafka, as with any client built on librdkafka.

Their default puts keys on other partitions than Java's clients do: `partitioner` must be set.

Run as:  python docs/clients/confluent_client.py localhost:9092 views < events.jsonl
"""

import json
import sys

from confluent_kafka import KafkaError, Message, Producer

PARTITIONER = {"partitioner": "murmur2_random"}


def main(servers: str, topic: str) -> None:
    """Send what stands on stdin, and wait until all of it is acknowledged."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, **PARTITIONER})
    failed: list[KafkaError] = []

    def acknowledged(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for line in filter(None, map(bytes.strip, sys.stdin.buffer)):
        event = json.loads(line)
        headers = {
            "ce_specversion": "1.0",
            "ce_id": event["event_id"],
            "ce_source": "/shop/web",
            "ce_type": "com.example.shop.event",
        }
        producer.produce(topic, line, event["user_id"].encode(), headers=headers, on_delivery=acknowledged)
        producer.poll(0)
    producer.flush(30)
    if failed or len(producer):
        sys.exit(f"{len(failed) + len(producer)} events were not acknowledged: {failed[:1]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
