"""A publish returns as soon as the bytes are in the socket; the connection breaks, and the outbox says "sent".

The correct service asks for confirms, so a publish that never arrived raises, and the row is sent again after a
reconnect.
"""

import json
import os
import sqlite3
import sys
import time
import uuid

import pika
from pika.exceptions import AMQPError

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def flush_outbox(channel):
    for (order,) in db.execute("select order_id from orders where sent = 0").fetchall():
        publish(channel, "order.placed", order)
        with db:
            db.execute("update orders set sent = 1 where order_id = ?", [order])


def on_request(channel, method, properties, body):
    with db:
        db.execute("insert or ignore into orders (order_id) values (?)", [json.loads(body)["order"]])
    flush_outbox(channel)
    channel.basic_ack(method.delivery_tag)


def on_placed(channel, method, properties, body):
    order = json.loads(body)["order"]
    with db:
        db.execute("insert or ignore into parcels (order_id) values (?)", [order])
    publish(channel, "order.shipped", order)
    channel.basic_ack(method.delivery_tag)


ROLES = {"orders": ("order.requested", on_request), "shipping": ("order.placed", on_placed)}


def serve():
    event, handler = ROLES[ROLE]
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    if VARIANT == "correct":
        channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=1)
    if ROLE == "orders":
        flush_outbox(channel)
    channel.basic_consume(ROLE, handler)
    channel.start_consuming()


def main():
    while True:
        try:
            serve()
        except AMQPError as error:
            print("reconnecting after", repr(error), flush=True)
            time.sleep(0.1)


main()
