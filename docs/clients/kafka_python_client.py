"""Sends events, one JSON object a line on stdin, with kafka-python: its default partitioner is murmur2.

Run as:  python docs/clients/kafka_python_client.py localhost:9092 views < events.jsonl
"""

import json
import sys

from kafka import KafkaProducer


def main(servers: str, topic: str) -> None:
    """Send what stands on stdin, and wait until all of it is acknowledged."""
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    sent = []
    for line in filter(None, map(bytes.strip, sys.stdin.buffer)):
        event = json.loads(line)
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", event["event_id"].encode()),
            ("ce_source", b"/shop/web"),
            ("ce_type", b"com.example.shop.event"),
        ]
        sent.append(producer.send(topic, line, key=event["user_id"].encode(), headers=headers))
    for each in sent:
        each.get(timeout=30)  # raises what went wrong
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
