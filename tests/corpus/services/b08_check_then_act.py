"""Duplicates are looked up before the work and remembered after it; two copies at once both find nothing.

The service works on several messages at a time, and the fraud check in the middle of the handler takes a moment. The
correct one lets the database decide, with a unique key, who comes first.
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


def looks_honest(order, amount):
    body = json.dumps({"order": order, "amount": amount}).encode()
    request = urllib.request.Request(f"{os.environ['FRAUD_URL']}/checks", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["honest"]


async def charge_if_unseen(order, amount):
    if db.execute("select 1 from seen where order_id = ?", [order]).fetchone():
        return
    if await asyncio.to_thread(looks_honest, order, amount):
        with db:
            db.execute("insert into charges (order_id, amount) values (?, ?)", [order, amount])
            db.execute("insert or ignore into seen (order_id) values (?)", [order])


async def charge_if_first(order, amount):
    if await asyncio.to_thread(looks_honest, order, amount):
        with db:
            if db.execute("insert or ignore into seen (order_id) values (?)", [order]).rowcount:
                db.execute("insert into charges (order_id, amount) values (?, ?)", [order, amount])


async def main():
    charge = charge_if_unseen if VARIANT == "buggy" else charge_if_first
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(10)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await channel.declare_queue("payment", durable=True)
    await queue.bind(exchange, "order.placed")

    async def on_order(message):
        data = json.loads(message.body)
        await charge(data["order"], data["amount"])
        answer = aio_pika.Message(
            json.dumps({"order": data["order"]}).encode(),
            correlation_id=data["order"],
            message_id=str(uuid.uuid4()),
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await exchange.publish(answer, "order.paid")
        await message.ack()

    await queue.consume(on_order)
    await asyncio.Future()


asyncio.run(main())
