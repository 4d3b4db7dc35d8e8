"""A message that can never be handled is put back again and again.

The correct service uses a quorum queue with a delivery limit; what exceeds it is dead-lettered, and the order rejected.
"""

import json
import os
import sqlite3
import sys
import time
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def price(channel, data):
    per_piece = data["total"] // data["quantity"]
    with db:
        db.execute("insert or ignore into prices (order_id, per_piece) values (?, ?)", [data["order"], per_piece])
    publish(channel, "order.priced", data["order"])


def on_order(channel, method, properties, body):
    try:
        price(channel, json.loads(body))
    except Exception as error:
        print("will try again:", error, flush=True)
        time.sleep(0.02)
        channel.basic_nack(method.delivery_tag, requeue=True)
    else:
        channel.basic_ack(method.delivery_tag)


def on_dead_letter(channel, method, properties, body):
    publish(channel, "order.rejected", json.loads(body)["order"])
    channel.basic_ack(method.delivery_tag)


def declare(channel):
    channel.exchange_declare("shop", "topic", durable=True)
    arguments = {}
    if VARIANT == "correct":
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": "shop.dead"}
        channel.exchange_declare("shop.dead", "fanout", durable=True)
        channel.queue_declare("pricing.dead", durable=True)
        channel.queue_bind("pricing.dead", "shop.dead")
        channel.basic_consume("pricing.dead", on_dead_letter)
    channel.queue_declare("pricing", durable=True, arguments=arguments)
    channel.queue_bind("pricing", "shop", "order.placed")


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_qos(prefetch_count=1)
    declare(channel)
    channel.basic_consume("pricing", on_order)
    channel.start_consuming()


main()
