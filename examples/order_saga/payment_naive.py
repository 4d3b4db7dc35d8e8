"""Payment, as it is often written: it waits for confirms, acknowledges after the work, and logs what it does."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from saga import topology
from saga.gateway import Gateway
from saga.store import Store, open_store

SCHEMA = """
create table if not exists charges (charge_id text primary key, order_id text not null, amount integer not null);
create table if not exists refunds (refund_id text primary key, order_id text not null, amount integer not null);
"""

log = logging.getLogger("payment")


class Payment:
    """Moves money."""

    def __init__(self, store: Store, gateway: Gateway, exchange: AbstractExchange) -> None:
        self.store = store
        self.gateway = gateway
        self.exchange = exchange

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        """Handle a message; it is acknowledged when all is done, and given back to the queue when something fails."""
        async with message.process(requeue=True):
            order = json.loads(message.body)
            log.info("received %s for order %s", message.type, order["order_id"])
            if message.type == "order.placed":
                await self.charge(order, message)
            else:
                await self.refund(order, message)

    async def charge(self, order: dict[str, Any], message: AbstractIncomingMessage) -> None:
        """Charge the order and say how it went."""
        charge_id = await self.gateway.charge(order["order_id"], order["amount"], key=str(uuid4()))
        if charge_id is None:
            log.info("order %s: card declined", order["order_id"])
            await self.publish("payment.refused", order, message)
            return
        async with self.store.transaction() as tx:
            await tx.execute("insert into charges values (?, ?, ?)", charge_id, order["order_id"], order["amount"])
        log.info("order %s: charged %d", order["order_id"], order["amount"])
        await self.publish("payment.taken", order, message)

    async def refund(self, order: dict[str, Any], message: AbstractIncomingMessage) -> None:
        """Give the money back."""
        async with self.store.transaction() as tx:
            charges = await tx.execute("select charge_id, amount from charges where order_id = ?", order["order_id"])
        charge_id, amount = charges[0]
        await self.gateway.refund(order["order_id"], charge_id, key=str(uuid4()))
        async with self.store.transaction() as tx:
            await tx.execute("insert into refunds values (?, ?, ?)", str(uuid4()), order["order_id"], amount)
        log.info("order %s: refunded %d", order["order_id"], amount)
        await self.publish("payment.refunded", order, message)

    async def publish(self, event: str, order: dict[str, Any], cause: AbstractIncomingMessage) -> None:
        """Publish an event and wait until the broker has it."""
        message = aio_pika.Message(
            json.dumps(order).encode(),
            message_id=str(uuid4()),
            correlation_id=order["order_id"],
            type=event,
            content_type="application/json",
            headers={"causation_id": cause.message_id},
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            app_id="payment",
        )
        await self.exchange.publish(message, event, mandatory=True)


async def connect() -> tuple[aio_pika.RobustConnection, AbstractChannel]:
    """Connect, and declare the topology."""
    connection = await aio_pika.connect_robust(
        os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1/"), reconnect_interval=0.2
    )
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    await channel.set_qos(prefetch_count=16)
    await topology.declare(channel)
    return connection, channel


async def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = await open_store(os.environ.get("DATABASE_URL", "payment.db"), SCHEMA)
    connection, channel = await connect()
    exchange = await channel.get_exchange(topology.EXCHANGE, ensure=False)
    payment = Payment(store, Gateway(os.environ["GATEWAY_URL"]), exchange)
    queue = await topology.declare_queue(channel, "payment")
    consumer = await queue.consume(payment.on_message)
    log.info("ready")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
    await queue.cancel(consumer)
    await connection.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
