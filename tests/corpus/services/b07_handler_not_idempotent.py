"""The handler charges again when the same order is delivered again, as "at least once" allows.

The correct one charges only where the order has no charge yet, and answers as it did the first time.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def charge(order, amount):
    with db:
        db.execute("insert into charges (order_id, amount) values (?, ?)", [order, amount])


def charge_once(order, amount):
    with db:
        db.execute(
            "insert into charges (order_id, amount) select :order, :amount"
            " where not exists (select 1 from charges where order_id = :order)",
            {"order": order, "amount": amount},
        )


def on_order(channel, method, properties, body):
    data = json.loads(body)
    if VARIANT == "buggy":
        charge(data["order"], data["amount"])
    else:
        charge_once(data["order"], data["amount"])
    answer = pika.BasicProperties(correlation_id=data["order"], message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", "order.paid", json.dumps({"order": data["order"]}), answer)
    channel.basic_ack(method.delivery_tag)


def main():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare("payment", durable=True)
    channel.queue_bind("payment", "shop", "order.placed")
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("payment", on_order)
    channel.start_consuming()


main()
