"""An order is committed and then announced; a crash in between leaves an order that nobody ever hears of.

Once redelivered, the request is known already, so the buggy service acknowledges it and leaves it at that. The cure
is an outbox: the announcement is committed together with the order, and sent until the broker has it.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])
connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
channel = connection.channel()
channel.confirm_delivery()


def publish(event, order):
    properties = pika.BasicProperties(correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps({"order": order}), properties)


def requested(order):
    with db:
        fresh = db.execute("insert or ignore into orders (id) values (?)", [order]).rowcount
    if fresh:
        publish("order.placed", order)


def requested_with_outbox(order):
    with db:
        if db.execute("insert or ignore into orders (id) values (?)", [order]).rowcount:
            db.execute("insert into outbox (event, order_id) values ('order.placed', ?)", [order])
    flush_outbox()


def flush_outbox():
    for row, event, order in db.execute("select id, event, order_id from outbox where sent = 0 order by id").fetchall():
        publish(event, order)
        with db:
            db.execute("update outbox set sent = 1 where id = ?", [row])


def placed(order):
    with db:
        db.execute("insert or ignore into parcels (order_id) values (?)", [order])
    publish("order.shipped", order)


HANDLERS = {
    ("orders", "buggy"): ("order.requested", requested),
    ("orders", "correct"): ("order.requested", requested_with_outbox),
    ("shipping", "buggy"): ("order.placed", placed),
    ("shipping", "correct"): ("order.placed", placed),
}


def main():
    event, handle = HANDLERS[ROLE, VARIANT]

    def on_message(channel, method, properties, body):
        handle(json.loads(body)["order"])
        channel.basic_ack(method.delivery_tag)

    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=1)
    if (ROLE, VARIANT) == ("orders", "correct"):
        flush_outbox()
    channel.basic_consume(ROLE, on_message)
    channel.start_consuming()


main()
