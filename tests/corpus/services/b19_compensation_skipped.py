"""A crash rolls the room's row back, though ``room.held`` is out; the compensation finds no row, and skips the room.

Both variants give up on a booking that killed them once. The buggy one says what it did before it commits, so a crash
takes away all that the compensation would go by. The correct one commits its hold first.
"""

import json
import os
import sqlite3
import sys
import uuid

import pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


def publish(channel, event, booking):
    properties = pika.BasicProperties(correlation_id=booking, message_id=str(uuid.uuid4()), delivery_mode=2)
    channel.basic_publish("travel", event, json.dumps({"booking": booking}), properties)


def hold_then_commit(channel, booking):
    with db:
        db.execute("insert or ignore into rooms (booking) values (?)", [booking])
        publish(channel, "room.held", booking)
        publish(channel, "room.priced", booking)


def commit_then_tell(channel, booking):
    with db:
        db.execute("insert or ignore into rooms (booking) values (?)", [booking])
    publish(channel, "room.held", booking)
    publish(channel, "room.priced", booking)


def requested(channel, booking, redelivered):
    if redelivered:
        publish(channel, "room.failed", booking)
    elif VARIANT == "buggy":
        hold_then_commit(channel, booking)
    else:
        commit_then_tell(channel, booking)


def cancelled(channel, booking, redelivered):
    with db:
        held = db.execute("delete from rooms where booking = ?", [booking]).rowcount
    if held:
        publish(channel, "room.released", booking)
    else:
        print("nothing was held for", booking, flush=True)


def priced(channel, booking, redelivered):
    publish(channel, "booking.confirmed", booking)


def failed(channel, booking, redelivered):
    publish(channel, "booking.cancelled", booking)


HANDLERS = {
    "rooms": {"booking.requested": requested, "booking.cancelled": cancelled},
    "desk": {"room.priced": priced, "room.failed": failed},
}


def main():
    handlers = HANDLERS[ROLE]

    def on_message(channel, method, properties, body):
        handlers[method.routing_key](channel, json.loads(body)["booking"], method.redelivered)
        channel.basic_ack(method.delivery_tag)

    connection = pika.BlockingConnection(pika.URLParameters(os.environ["BROKER_URL"]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.exchange_declare("travel", "topic", durable=True)
    channel.queue_declare(ROLE, durable=True)
    for event in handlers:
        channel.queue_bind(ROLE, "travel", event)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(ROLE, on_message)
    channel.start_consuming()


main()
