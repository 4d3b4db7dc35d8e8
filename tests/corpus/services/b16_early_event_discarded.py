"""A payment overtakes its order; the service knows no such order, shrugs, and waits for what has been and gone.

The correct service keeps what came early, and ships when both are there, whichever came last.
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


async def pay(exchange, event, order):
    await publish(exchange, "payment.taken", order)


async def ship_on_payment(exchange, event, order):
    if event == "order.placed":
        with db:
            db.execute("insert or ignore into orders (order_id, placed) values (?, 1)", [order])
        return
    with db:
        known = db.execute("update orders set paid = 1 where order_id = ? and placed = 1", [order]).rowcount
    if known:
        await publish(exchange, "order.shipped", order)
    else:
        print("payment of an unknown order ignored:", order, flush=True)


async def ship_when_both(exchange, event, order):
    column = {"order.placed": "placed", "payment.taken": "paid"}[event]
    with db:
        db.execute("insert or ignore into orders (order_id) values (?)", [order])
        db.execute(f"update orders set {column} = 1 where order_id = ?", [order])
        both = db.execute("select 1 from orders where order_id = ? and placed and paid", [order]).fetchone()
    if both:
        await publish(exchange, "order.shipped", order)


ROLES = {
    "payment": (("order.placed",), pay),
    "shipping": (("order.placed", "payment.taken"), ship_on_payment if VARIANT == "buggy" else ship_when_both),
}


async def main():
    events, handle = ROLES[ROLE]
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(10)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await channel.declare_queue(ROLE, durable=True)
    for event in events:
        await queue.bind(exchange, event)

    async def on_message(message):
        await handle(exchange, message.routing_key, json.loads(message.body)["order"])
        await message.ack()

    await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
