"""A handler fails while a neighbour is down; the message is rejected, and nothing is there to take what is rejected.

``message.process()`` rejects without requeue when the block raises, which reads as safe. The buggy queue has no dead-
letter exchange, so the rejection is a silent acknowledgement. The correct queue sends rejected messages round a
waiting queue.
"""

import asyncio
import http.server
import json
import os
import sqlite3
import sys
import urllib.request
import uuid

import aio_pika

ROLE, VARIANT = sys.argv[1:]


def ask_price(sku):
    with urllib.request.urlopen(f"http://{os.environ['PRICES']}/prices/{sku}", timeout=5) as answer:
        return json.load(answer)["price"]


async def quote(db, exchange, order, sku):
    price = await asyncio.to_thread(ask_price, sku)
    with db:
        db.execute("insert or ignore into quotes (order_id, price) values (?, ?)", [order, price])
    body = json.dumps({"order": order, "price": price}).encode()
    message = aio_pika.Message(body, correlation_id=order, message_id=str(uuid.uuid4()), delivery_mode=2)
    await exchange.publish(message, "order.quoted")


async def declare_orders(channel, exchange):
    arguments = {}
    if VARIANT == "correct":
        failed = await channel.declare_exchange("orders.failed", "fanout", durable=True)
        again = await channel.declare_exchange("orders.again", "fanout", durable=True)
        waiting = {"x-message-ttl": 250, "x-dead-letter-exchange": again.name}
        await (await channel.declare_queue("orders.wait", durable=True, arguments=waiting)).bind(failed)
        arguments = {"x-dead-letter-exchange": failed.name}
    queue = await channel.declare_queue("orders", durable=True, arguments=arguments)
    await queue.bind(exchange, "order.placed")
    if VARIANT == "correct":
        await queue.bind(again)
    return queue


async def orders():
    db = sqlite3.connect(os.environ["DB"])
    connection = await aio_pika.connect(os.environ["BROKER_URL"])
    channel = await connection.channel()
    await channel.set_qos(10)
    exchange = await channel.declare_exchange("shop", "topic", durable=True)
    queue = await declare_orders(channel, exchange)

    async def on_message(message):
        async with message.process():
            data = json.loads(message.body)
            await quote(db, exchange, data["order"], data["sku"])

    await queue.consume(on_message)
    await asyncio.Future()


class Prices(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"price": 1200}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if ROLE == "orders":
    asyncio.run(orders())
else:
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Prices).serve_forever()
