"""Two small services in one file, for faults to befall: ``relay.py payment`` and ``relay.py shipping``.

``payment`` turns order.placed into payment.taken and receipt.sent; ``shipping`` turns payment.taken into order.shipped.
Both connect again whenever they are cut off, put back what they cannot read, and acknowledge last. Where there is a
gateway, ``payment`` charges it each time it is given an order, which is a bug.
"""

import json
import os
import sys
import time
import urllib.request

import pika

ROLE = sys.argv[1]
TAKES = {"payment": ("order.placed",), "shipping": ("payment.taken", "receipt.sent")}[ROLE]
GIVES = {"order.placed": ("payment.taken", "receipt.sent"), "payment.taken": ("order.shipped",)}


def handle(channel, method, properties, body):
    try:
        order = json.loads(body)["order"]
    except ValueError:
        channel.basic_nack(method.delivery_tag, requeue=True)
        return
    if method.routing_key == "order.placed" and "GATEWAY_URL" in os.environ:
        kind = {"Content-Type": "application/json"}
        charge = urllib.request.Request(os.environ["GATEWAY_URL"] + "/charges", body, kind, method="POST")
        urllib.request.urlopen(charge).close()
    for event in GIVES.get(method.routing_key, ()):
        sent = pika.BasicProperties(correlation_id=order, delivery_mode=2)
        channel.basic_publish("shop", event, json.dumps({"order": order}), sent)
    channel.basic_ack(method.delivery_tag)


def serve():
    with pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("shop", "topic", durable=True)
        channel.queue_declare(ROLE, durable=True)
        for event in TAKES:
            channel.queue_bind(ROLE, "shop", event)
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume(ROLE, handle)
        channel.start_consuming()


while True:
    try:
        serve()
    except (pika.exceptions.AMQPError, OSError):
        time.sleep(0.05)
