"""A service for the tests of stages: it answers ``job`` with ``done``; its first argument says how it misbehaves."""

import os
import sys

import pika

how = sys.argv[1] if len(sys.argv) > 1 else ""
if how == "dies":
    sys.exit("no licence found")
url = os.environ["REAL_URL" if how == "bypasses" else "RABBITMQ_URL"]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
if how == "transacts":
    channel.tx_select()
else:
    channel.confirm_delivery()
channel.queue_declare("job", durable=True)
channel.queue_declare("done", durable=True)


def work(channel, method, properties, body):
    if how == "fragile" and method.redelivered:
        connection.sleep(2.0)
        sys.exit("seen before")
    keep = pika.BasicProperties(correlation_id=properties.correlation_id, delivery_mode=2)
    channel.basic_publish("", "done", body, keep, mandatory=True)
    channel.basic_ack(method.delivery_tag)


channel.basic_qos(prefetch_count=1)
if how != "deaf":
    channel.basic_consume("job", work)
print("working", flush=True)
channel.start_consuming()
if how == "deaf":
    sys.stdin.read()
    connection.sleep(600)
