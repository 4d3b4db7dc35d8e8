"""An order is given up when no payment comes in time; the payment comes later, and the order rises from the dead.

The buggy service confirms whatever is paid. The correct one knows what it has cancelled, and gives the money back.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]
PATIENCE = 1.0

db = sqlite3.connect(os.environ["DB"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
channel = connection.channel()
channel.confirm_delivery()


def publish(event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def move(order, to, *come_from):
    """Change the status of an order that has one of these, and return whether it had."""
    marks = ", ".join("?" * len(come_from))
    with db:
        changed = db.execute(
            f"update orders set status = ? where order_id = ? and status in ({marks})", [to, order, *come_from]
        )
    return changed.rowcount == 1


def placed(order):
    with db:
        db.execute("insert or ignore into orders (order_id, status) values (?, 'pending')", [order])
    connection.call_later(PATIENCE, lambda: give_up(order))


def give_up(order):
    if move(order, "cancelled", "pending"):
        publish("order.cancelled", order)


def paid(order):
    if VARIANT == "buggy":
        move(order, "confirmed", "pending", "cancelled")
        publish("order.confirmed", order)
    elif move(order, "confirmed", "pending"):
        publish("order.confirmed", order)
    else:
        publish("refund.requested", order)


HANDLERS = {
    "orders": {"order.placed": placed, "payment.taken": paid},
    "payment": {
        "order.placed": lambda order: publish("payment.taken", order),
        "refund.requested": lambda order: publish("payment.refunded", order),
    },
}


def main():
    handlers = HANDLERS[ROLE]

    def on_message(channel, method, properties, body):
        handlers[method.routing_key](json.loads(body)["order"])
        channel.basic_ack(method.delivery_tag)

    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    for event in handlers:
        channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=10)
    channel.basic_consume(ROLE, on_message)
    channel.start_consuming()


main()
