"""Two services of a shop: ``shop.py payment|shipping correct|naive``.

Payment charges an order once, or, where it is naive, each time that it is told of it. Shipping sends a parcel.
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
    once = "where not exists (select 1 from charges where order_id = :order)" if VARIANT == "correct" else ""
    with db:
        db.execute(
            f"insert into charges (order_id, amount) select :order, :amount {once}", {"order": order, "amount": amount}
        )


def pack(order, amount):
    with db:
        db.execute("insert into parcels (order_id) values (?) on conflict do nothing", [order])


WORK = {"payment": ("order.placed", charge, "order.paid"), "shipping": ("order.paid", pack, "order.shipped")}
takes, work, gives = WORK[ROLE]


def handle(channel, method, properties, body):
    order = json.loads(body)
    work(order["order"], order["amount"])
    keep = pika.BasicProperties(correlation_id=order["order"], message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", gives, json.dumps(order), keep)
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
channel = connection.channel()
channel.confirm_delivery()
channel.exchange_declare("shop", "topic", durable=True)
for queue, event in (("payment", "order.placed"), ("shipping", "order.paid")):
    channel.queue_declare(queue, durable=True)
    channel.queue_bind(queue, "shop", event)
channel.basic_qos(prefetch_count=1)
channel.basic_consume(ROLE, handle)
channel.start_consuming()
