"""An event is published while nobody has a queue for it, and the broker drops it without a word.

``shipping`` is being deployed, and its queue exists only while it runs. The buggy outbox takes the broker's confirm for
success. The correct one publishes as mandatory, and keeps what comes back for its next round.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika
from pika.exceptions import UnroutableError

ROLE, VARIANT = sys.argv[1:]
EVERY = 0.2

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, order, mandatory=False):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties, mandatory=mandatory)


def flush_outbox(channel):
    for (order,) in db.execute("select order_id from orders where sent = 0").fetchall():
        try:
            publish(channel, "order.placed", order, mandatory=VARIANT == "correct")
        except UnroutableError:
            print("nobody takes", order, "yet", flush=True)
            channel.connection.call_later(EVERY, lambda: flush_outbox(channel))
            return
        with db:
            db.execute("update orders set sent = 1 where order_id = ?", [order])


def on_request(channel, method, properties, body):
    with db:
        db.execute("insert or ignore into orders (order_id) values (?)", [json.loads(body)["order"]])
    channel.basic_ack(method.delivery_tag)
    flush_outbox(channel)


def on_placed(channel, method, properties, body):
    order = json.loads(body)["order"]
    with db:
        db.execute("insert or ignore into parcels (order_id) values (?)", [order])
    publish(channel, "order.shipped", order)
    channel.basic_ack(method.delivery_tag)


ROLES = {"orders": ("order.requested", on_request), "shipping": ("order.placed", on_placed)}


def main():
    event, handler = ROLES[ROLE]
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=ROLE == "orders", auto_delete=ROLE == "shipping")
    channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=1)
    if ROLE == "orders":
        flush_outbox(channel)
    channel.basic_consume(ROLE, handler)
    channel.start_consuming()


main()
