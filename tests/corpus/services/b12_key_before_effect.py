"""The inbox remembers a message before its work is done; a crash in between turns the redelivery into a duplicate.

The correct service commits the inbox row in the transaction of the work, and answers a known message with the same
event.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def is_new(order):
    return db.execute("insert or ignore into inbox (order_id) values (?)", [order]).rowcount == 1


def reserve_after_key(channel, order):
    with db:
        new = is_new(order)
    if new:
        with db:
            db.execute("insert into reservations (order_id) values (?)", [order])
        publish(channel, "stock.reserved", order)


def reserve_with_key(channel, order):
    with db:
        if is_new(order):
            db.execute("insert into reservations (order_id) values (?)", [order])
    publish(channel, "stock.reserved", order)


def on_order(channel, method, properties, body):
    order = json.loads(body)["order"]
    if VARIANT == "buggy":
        reserve_after_key(channel, order)
    else:
        reserve_with_key(channel, order)
    channel.basic_ack(method.delivery_tag)


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare("stock", durable=True)
    channel.queue_bind("stock", "shop", "order.placed")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("stock", on_order)
    channel.start_consuming()


main()
