"""Two services answer each other's events for ever: the catalogue says what it lists, the pricing says what it should.

The correct pricing service speaks only when its price is another one than the catalogue's.
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


def publish(channel, event, data):
    properties = pika.BasicProperties(correlation_id=data["sku"], message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("shop", event, json.dumps(data), properties)


def list_price(channel, data):
    with db:
        db.execute("insert or replace into listed (sku, price) values (:sku, :price)", data)
    publish(channel, "catalogue.updated", data)


def round_up(channel, data):
    price = -(-data["price"] // 100) * 100
    if VARIANT == "buggy" or price != data["price"]:
        publish(channel, "price.changed", {"sku": data["sku"], "price": price})


ROLES = {
    "catalogue": ("price.changed", list_price),
    "pricing": ("catalogue.updated", round_up),
}


def main():
    event, handle = ROLES[ROLE]

    def on_message(channel, method, properties, body):
        time.sleep(0.01)
        handle(channel, json.loads(body))
        channel.basic_ack(method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("shop", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    channel.queue_bind(ROLE, "shop", event)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(ROLE, on_message)
    channel.start_consuming()


main()
