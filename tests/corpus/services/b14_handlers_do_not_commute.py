"""The last message wins, whichever it is: two changes of an address that swap places leave the older one standing.

The correct service compares revisions, and leaves a newer address alone.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]
UPSERT = """
    insert into addresses (customer, address, revision) values (:customer, :address, :revision)
    on conflict (customer) do update set address = excluded.address, revision = excluded.revision
"""
UNLESS_NEWER = " where excluded.revision > addresses.revision"

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, data):
    properties = pika.BasicProperties(correlation_id=data["customer"], message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("crm", event, json.dumps(data), properties)


def on_registered(channel, method, properties, body):
    data = json.loads(body)
    for revision, address in enumerate((data["typed"], data["verified"]), 1):
        publish(channel, "address.changed", {"customer": data["customer"], "address": address, "revision": revision})
    channel.basic_ack(method.delivery_tag)


def on_changed(channel, method, properties, body):
    data = json.loads(body)
    with db:
        db.execute(UPSERT if VARIANT == "buggy" else UPSERT + UNLESS_NEWER, data)
    publish(channel, "address.stored", {"customer": data["customer"], "revision": data["revision"]})
    channel.basic_ack(method.delivery_tag)


ROLES = {"crm": ("customer.registered", on_registered), "mailing": ("address.changed", on_changed)}


def main():
    event, handler = ROLES[ROLE]
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("crm", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    channel.queue_bind(ROLE, "crm", event)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(ROLE, handler)
    channel.start_consuming()


main()
