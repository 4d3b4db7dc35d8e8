"""Duplicates are told by the message's id, but a producer that sends an order again gives it a new one.

``orders`` has an outbox and does what an outbox may do: after a crash it sends again what it cannot know to have
arrived. The buggy ``payment`` remembers message ids, the correct one orders.
"""

import asyncio
import json
import os
import sqlite3
import sys
import uuid

import aio_pika

ROLE, VARIANT = sys.argv[1:]

db = sqlite3.connect(os.environ["DB"])


async def publish(exchange, event, order):
    message = aio_pika.Message(
        json.dumps({"order": order}).encode(),
        correlation_id=order,
        message_id=str(uuid.uuid4()),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await exchange.publish(message, event)


async def flush_outbox(exchange):
    for (order,) in db.execute("select order_id from orders where sent = 0").fetchall():
        await publish(exchange, "order.placed", order)
        with db:
            db.execute("update orders set sent = 1 where order_id = ?", [order])


async def place(exchange, message):
    with db:
        db.execute("insert or ignore into orders (order_id) values (?)", [message.correlation_id])
    await flush_outbox(exchange)


async def charge(exchange, message):
    order = message.correlation_id
    key = message.message_id if VARIANT == "buggy" else order
    with db:
        if db.execute("insert or ignore into inbox (key) values (?)", [key]).rowcount:
            db.execute("insert into charges (order_id) values (?)", [order])
    await publish(exchange, "order.paid", order)


ROLES = {"orders": ("order.requested", place), "payment": ("order.placed", charge)}


async def main():
    event, handle = ROLES[ROLE]
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(1)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await channel.declare_queue(ROLE, durable=True)
    await queue.bind(exchange, event)
    if ROLE == "orders":
        await flush_outbox(exchange)

    async def on_message(message):
        await handle(exchange, message)
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
