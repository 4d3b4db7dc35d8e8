"""A paid cart leads to two events; a crash between them leaves the second one unsaid for ever.

Carts that are still to be announced are looked up again after a restart. The buggy loop marks the cart as announced
within the loop over its events, so after the first of them; the correct one when the broker has confirmed them all.
"""

import asyncio
import json
import os
import sqlite3
import sys
import uuid

import aio_pika

ROLE, VARIANT = sys.argv[1:]
FOLLOW_UPS = ("invoice.requested", "parcel.requested")

db = sqlite3.connect(os.environ["DB"])


async def publish(exchange, event, order):
    message = aio_pika.Message(
        json.dumps({"order": order}).encode(),
        correlation_id=order,
        message_id=str(uuid.uuid4()),
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await exchange.publish(message, event)


def mark_announced(order):
    with db:
        db.execute("update carts set announced = 1 where order_id = ?", [order])


async def announce(exchange):
    for (order,) in db.execute("select order_id from carts where announced = 0").fetchall():
        for event in FOLLOW_UPS:
            await publish(exchange, event, order)
            if VARIANT == "buggy":
                mark_announced(order)
        if VARIANT == "correct":
            mark_announced(order)


async def checkout(exchange, event, order):
    with db:
        db.execute("insert or ignore into carts (order_id) values (?)", [order])
    await announce(exchange)


async def office(exchange, event, order):
    kind = event.removesuffix(".requested")
    with db:
        db.execute("insert or ignore into papers (order_id, kind) values (?, ?)", [order, kind])
    await publish(exchange, f"{kind}.sent", order)


ROLES = {"checkout": (checkout, ("cart.paid",)), "office": (office, FOLLOW_UPS)}


async def main():
    handle, events = ROLES[ROLE]
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(1)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await channel.declare_queue(ROLE, durable=True)
    for event in events:
        await queue.bind(exchange, event)
    if ROLE == "checkout":
        await announce(exchange)

    async def on_message(message):
        await handle(exchange, message.routing_key, json.loads(message.body)["order"])
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
