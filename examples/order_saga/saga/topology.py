"""Exchange, queues and bindings. Every service declares them all before it does anything else.

So no start order matters: whoever publishes first finds every queue bound that its event has to reach.
"""

from __future__ import annotations

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue

EXCHANGE = "orders"
DEAD_LETTERS = "orders.dead"
QUEUES = {
    "order": ("payment.refused", "payment.refunded", "order.shipped"),
    "payment": ("order.placed", "stock.out", "stock.released"),
    "inventory": ("payment.taken", "shipping.failed"),
    "shipping": ("stock.reserved", "order.cancelled"),
}


async def declare(channel: AbstractChannel) -> None:
    """Declare the whole topology; what exists already stays as it is."""
    exchange = await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True)
    dead = await channel.declare_exchange(DEAD_LETTERS, ExchangeType.FANOUT, durable=True)
    await (await channel.declare_queue(DEAD_LETTERS, durable=True)).bind(dead)
    for name, events in QUEUES.items():
        queue = await declare_queue(channel, name)
        for event in events:
            await queue.bind(exchange, event)


async def declare_queue(channel: AbstractChannel, name: str) -> AbstractQueue:
    """Declare a service's queue; what a service cannot handle goes to the dead letters, not round and round."""
    return await channel.declare_queue(name, durable=True, arguments={"x-dead-letter-exchange": DEAD_LETTERS})
