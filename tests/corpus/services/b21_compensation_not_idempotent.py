"""The cancellation is delivered twice, and so is the refund.

The bank takes an idempotency key, but the buggy service makes up a new one for each request. The correct service
refunds a charge under the charge's own key.
"""

import json
import os
import sqlite3
import sys
import urllib.request
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def ask_bank(path, order, key):
    headers = {"content-type": "application/json", "idempotency-key": key}
    body = json.dumps({"order": order}).encode()
    with urllib.request.urlopen(urllib.request.Request(os.environ["BANK_URL"] + path, body, headers), timeout=5):
        pass


def charge(channel, order):
    with db:
        new = db.execute("insert or ignore into charges (order_id) values (?)", [order]).rowcount
    if new:
        ask_bank("/charges", order, f"charge-{order}")
    publish(channel, "payment.taken", order)


def refund(channel, order):
    if not db.execute("select 1 from charges where order_id = ?", [order]).fetchone():
        return
    key = str(uuid.uuid4()) if VARIANT == "buggy" else f"refund-{order}"
    ask_bank("/refunds", order, key)
    publish(channel, "payment.refunded", order)


def sold_out(channel, order):
    publish(channel, "order.cancelled", order)


HANDLERS = {
    "payment": {"order.placed": charge, "order.cancelled": refund},
    "stock": {"payment.taken": sold_out},
}


def main():
    handlers = HANDLERS[ROLE]

    def on_message(channel, method, properties, body):
        handlers[method.routing_key](channel, json.loads(body)["order"])
        channel.basic_ack(method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    for event in handlers:
        channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(ROLE, on_message)
    channel.start_consuming()


main()
