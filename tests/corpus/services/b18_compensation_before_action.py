"""The cancellation overtakes the order: there is nothing to refund yet, and then the late order is charged for ever.

The correct payment service writes down that the order is cancelled before it ever saw it, and does not charge it any
more.
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


async def sold_out(exchange, event, order):
    await publish(exchange, "order.cancelled", order)


async def charge(exchange, order):
    with db:
        charged = db.execute("insert or ignore into charges (order_id, status) values (?, 'charged')", [order]).rowcount
    if charged:
        await publish(exchange, "payment.taken", order)


async def refund(exchange, order):
    with db:
        refunded = db.execute(
            "update charges set status = 'refunded' where order_id = ? and status = 'charged'", [order]
        ).rowcount
        if not refunded and VARIANT == "correct":
            db.execute("insert or ignore into charges (order_id, status) values (?, 'never')", [order])
    if refunded:
        await publish(exchange, "payment.refunded", order)


async def pay(exchange, event, order):
    await (charge if event == "order.placed" else refund)(exchange, order)


ROLES = {
    "stock": (("order.placed",), sold_out),
    "payment": (("order.placed", "order.cancelled"), pay),
}


async def main():
    events, handle = ROLES[ROLE]
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(5)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await channel.declare_queue(ROLE, durable=True)
    for event in events:
        await queue.bind(exchange, event)
    in_turn = asyncio.Lock()

    async def on_message(message):
        async with in_turn:
            await handle(exchange, message.routing_key, json.loads(message.body)["order"])
            await message.ack()

    await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
