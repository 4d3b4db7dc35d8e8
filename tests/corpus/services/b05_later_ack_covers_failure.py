"""A handler fails and leaves its message unacknowledged; a later ack with ``multiple`` covers it, and it is lost.

``books`` cannot book a payment before it knows the account. The buggy service leaves the payment open, "it will come
again", and acknowledges everything so far in one frame after the next success. The correct one answers for each
message alone, and sends a failed one round a waiting queue.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])
db.execute("pragma foreign_keys = on")


def publish(channel, event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def book(channel, event, order):
    if event == "order.accepted":
        with db:
            db.execute("insert or ignore into accounts (order_id) values (?)", [order])
        publish(channel, "account.opened", order)
    else:
        with db:
            db.execute("insert or ignore into payments (order_id) values (?)", [order])
        publish(channel, "payment.booked", order)


def on_sale(channel, method, properties, body):
    order = json.loads(body)["order"]
    publish(channel, "order.accepted", order)
    publish(channel, "payment.due", order)
    channel.basic_ack(method.delivery_tag)


def on_booking(channel, method, properties, body):
    try:
        book(channel, method.routing_key, json.loads(body)["order"])
    except sqlite3.IntegrityError as error:
        print("cannot book yet:", error, flush=True)
        if VARIANT == "correct":
            channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_ack(method.delivery_tag, multiple=VARIANT == "buggy")


def declare_books(channel):
    """Rejected messages wait a little in ``books.wait`` and then come again under their own routing key."""
    for name, goes_to in (("books.failed", "books.wait"), ("books.again", "books")):
        channel.exchange_declare(name, "fanout", durable=True)
        back = {"x-dead-letter-exchange": "books.failed" if goes_to == "books" else "books.again"}
        if goes_to == "books.wait":
            back["x-message-ttl"] = 150
        channel.queue_declare(goes_to, durable=True, arguments=back)
        channel.queue_bind(goes_to, name)
    channel.queue_bind("books", "shop", "order.accepted")
    channel.queue_bind("books", "shop", "payment.due")


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    if ROLE == "sales":
        channel.queue_declare("sales", durable=True)
        channel.queue_bind("sales", "shop", "order.placed")
    else:
        declare_books(channel)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(ROLE, on_sale if ROLE == "sales" else on_booking)
    channel.start_consuming()


main()
