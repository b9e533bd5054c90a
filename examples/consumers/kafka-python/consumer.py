#!/usr/bin/env python3
"""Reads hookbus's events from Kafka: in a group, each committed after the work, each id worked on once."""

import collections
import hashlib
import json
import os
import signal
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, KafkaException

TOPIC = os.environ.get("KAFKA_TOPIC", "vapi.events")
SETTINGS = {
    "bootstrap.servers": os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092"),
    "group.id": os.environ.get("KAFKA_GROUP", "python-consumer"),
    "auto.offset.reset": "earliest",
    # An offset is stored by us once the work is done; the client commits what is stored, every 5 s and at the end.
    "enable.auto.offset.store": False,
}


def work(event, body):
    """Your part. It may meet an event twice all the same: this process forgets its ids when it ends."""
    line = {
        "id": event.get_id(),
        "type": event.get_type(),
        "subject": event.get_subject(),
        "source": event.get_source(),
        "time": event.get_time().isoformat(),
        "datacontenttype": event.get_datacontenttype(),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    print(json.dumps(line), flush=True)


class Seen:
    """The newest ids."""

    def __init__(self, size=10_000):
        self.ids, self.order, self.size = set(), collections.deque(), size

    def __contains__(self, id):
        return id in self.ids

    def add(self, id):
        self.ids.add(id)
        self.order.append(id)
        if len(self.order) > self.size:
            self.ids.discard(self.order.popleft())


def handle(record, seen):
    try:
        message = KafkaMessage(headers=dict(record.headers() or []), key=record.key(), value=record.value())
        event = from_binary(message, JSONFormat())
    except Exception as error:
        # It will not be an event the next time either: say so, and go on.
        where = f"{record.topic()}/{record.partition()}/{record.offset()}"
        print(json.dumps({"record": where, "error": f"not an event: {error!r}"}), file=sys.stderr, flush=True)
        return
    if event.get_id() not in seen:
        work(event, record.value())
        seen.add(event.get_id())


def main():
    running = True

    def stop(*_):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer, seen = Consumer(SETTINGS), Seen()
    consumer.subscribe([TOPIC])
    print("ready", flush=True)
    try:
        while running:
            record = consumer.poll(0.2)
            if record is None:
                continue
            if record.error():
                # The client itself tries again; what is fatal ends this process, and its supervisor starts it anew.
                if record.error().fatal():
                    raise KafkaException(record.error())
                print(json.dumps({"kafka": str(record.error())}), file=sys.stderr, flush=True)
                continue
            # Where the work fails, this process ends with the offset not stored: the record comes again.
            handle(record, seen)
            consumer.store_offsets(record)
    finally:
        consumer.close()  # commits what is stored, and leaves the group at once


main()
