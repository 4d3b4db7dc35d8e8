"""The participant is offline when its compensation comes, and its queue has gone with it.

``payment`` hears of cancellations on a queue of its connection's own, as examples of publish and subscribe show it. The
correct one has a durable queue, which waits for it.
"""

import asyncio
import json
import os
import sqlite3
import sys
import urllib.request
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


async def charge(exchange, order):
    with db:
        db.execute("insert or ignore into charges (order_id, status) values (?, 'charged')", [order])
    await publish(exchange, "payment.taken", order)


async def refund(exchange, order):
    with db:
        db.execute("update charges set status = 'refunded' where order_id = ?", [order])
    await publish(exchange, "payment.refunded", order)


def shelf_is_empty(order):
    with urllib.request.urlopen(f"{os.environ['WAREHOUSE_URL']}/shelves/{order}", timeout=5) as answer:
        return json.load(answer)["left"] == 0


async def check_stock(exchange, order):
    if await asyncio.to_thread(shelf_is_empty, order):
        await publish(exchange, "order.cancelled", order)
    else:
        await publish(exchange, "order.confirmed", order)


async def declare(channel, exchange, event):
    own = VARIANT == "buggy" and event == "order.cancelled"
    queue = await channel.declare_queue(None if own else f"{ROLE}.{event}", durable=not own, exclusive=own)
    await queue.bind(exchange, event)
    return queue


ROLES = {
    "payment": {"order.placed": charge, "order.cancelled": refund},
    "stock": {"payment.taken": check_stock},
}


async def main():
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(10)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)

    async def on_message(message):
        await ROLES[ROLE][message.routing_key](exchange, json.loads(message.body)["order"])
        await message.ack()

    for queue in [await declare(channel, exchange, event) for event in ROLES[ROLE]]:
        await queue.consume(on_message)
    await asyncio.Future()


asyncio.run(main())
