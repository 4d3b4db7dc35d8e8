"""The message is acknowledged before it is worked on, so a crash in the handler loses it.

"Else the broker may deliver it again while we are busy": the buggy handler acknowledges first. The correct one
acknowledges last, and can therefore be asked twice, which its unique key survives.
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


def bill(channel, order, amount):
    with db:
        db.execute("insert or ignore into bills (order_id, amount) values (?, ?)", [order, amount])
    publish(channel, "order.billed", order)


def on_order_ack_first(channel, method, properties, body):
    channel.basic_ack(method.delivery_tag)
    data = json.loads(body)
    bill(channel, data["order"], data["amount"])


def on_order_ack_last(channel, method, properties, body):
    data = json.loads(body)
    bill(channel, data["order"], data["amount"])
    channel.basic_ack(method.delivery_tag)


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    channel.queue_bind(ROLE, "shop", "order.placed")
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(ROLE, on_order_ack_first if VARIANT == "buggy" else on_order_ack_last)
    channel.start_consuming()


main()
