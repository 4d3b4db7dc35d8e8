"""How a service takes part: it consumes its queue, handles each event, acknowledges after the commit, and relays."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    AbstractRobustConnection,
)
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError

from saga import inbox, outbox, topology
from saga.events import Event, MalformedEvent
from saga.gateway import GatewayUnavailable
from saga.store import Store, StoreUnavailable, open_store

Handler = Callable[[Event], Awaitable[None]]

PREFETCH = 16
RECONNECT = 0.2
CONFIRM_WITHIN = 5.0
STOP_WITHIN = 3.0
ATTEMPTS = 5
LONGEST_PAUSE = 1.0
PASSING = (GatewayUnavailable, StoreUnavailable)

log = logging.getLogger(__name__)


class Service:
    """One service of the choreography.

    Args:
        name: Its name, which is its queue's, too.
        store: Its database.
        handlers: What it does on which event. A handler may run several times for one event, also at the same moment.
    """

    def __init__(self, name: str, store: Store, handlers: Mapping[str, Handler]) -> None:
        self.name = name
        self.store = store
        self.relay = outbox.Relay(store, self._publish)
        self._handlers = handlers
        self._handling: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._connection: AbstractRobustConnection
        self._channels: list[AbstractChannel] = []
        self._exchange: AbstractExchange
        self._queue: AbstractQueue
        self._consumer = ""

    @property
    def healthy(self) -> bool:
        """Whether it is connected and consumes."""
        return bool(self._consumer) and self._connection.connected.is_set()

    def start(self) -> None:
        """Begin to take part as soon as there is a broker; returns at once."""
        self._tasks.append(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """Take no more events, finish those at hand, publish what they led to, and leave."""
        if self._consumer:
            with suppress(AMQPError, ChannelInvalidStateError, OSError, TimeoutError):
                await self._queue.cancel(self._consumer, timeout=1.0)
        if self._handling:
            await asyncio.wait(self._handling, timeout=STOP_WITHIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._consumer:
            try:
                async with asyncio.timeout(STOP_WITHIN):
                    await self.relay.flush()
            except Exception as error:
                log.warning("%s: left in the outbox: %r", self.name, error)
            await self._connection.close()
        await self.store.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._join()
                break
            except Exception as error:  # a service that ceased to try would look alive and hear nothing
                log.warning("%s: cannot join yet: %r", self.name, error)
                await asyncio.sleep(RECONNECT)
        log.info("%s: ready", self.name)
        await self.relay.run()

    async def _join(self) -> None:
        """Connect, declare the topology, and consume; aio-pika restores all of it after a lost connection."""
        self._connection = await aio_pika.connect_robust(
            os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1/"),
            reconnect_interval=RECONNECT,
            client_properties={"connection_name": self.name},
        )
        try:
            publishing = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            consuming = await self._connection.channel(publisher_confirms=False)
            self._channels = [publishing, consuming]  # aio-pika itself holds them only weakly
            await consuming.set_qos(prefetch_count=PREFETCH)
            async with self._connection.channel() as once:
                await topology.declare(once)
            self._exchange = await publishing.get_exchange(topology.EXCHANGE, ensure=False)
            self._queue = await topology.declare_queue(consuming, self.name)
            self._consumer = await self._queue.consume(self._on_message)
        except BaseException:
            await self._connection.close()
            raise

    async def _publish(self, event: Event) -> None:
        """Publish an event; return once the broker has it in at least one queue, on disk."""
        message = aio_pika.Message(
            event.encode(),
            message_id=event.id,
            correlation_id=event.order_id,
            type=event.type,
            content_type="application/json",
            headers={"causation_id": event.cause} if event.cause else {},
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            app_id=self.name,
        )
        await self._exchange.publish(message, event.type, mandatory=True, timeout=CONFIRM_WITHIN)

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handling.add(task)
        task.add_done_callback(self._handling.discard)
        try:
            if await self._handle(message):
                await message.ack()
            else:
                await message.reject(requeue=False)
        except (AMQPError, ChannelInvalidStateError, OSError):  # it comes again, and the inbox knows it
            log.warning("%s: connection lost before the ack of %s", self.name, message.message_id)

    async def _handle(self, message: AbstractIncomingMessage) -> bool:
        """Handle a message; False means that it is for the dead letters.

        What passes by itself is waited for, as long as it takes: a gateway that is down is no reason to give up an
        order. An error of ours is tried a few times only.
        """
        try:
            event = Event.decode(message.type or message.routing_key or "", message.body, message.message_id)
            handler = self._handlers[event.type]
        except (MalformedEvent, KeyError) as error:
            log.error("%s: not understood: %r", self.name, error)
            return False
        failures, pause = 0, 0.05
        while True:
            try:
                await handler(event)
            except PASSING as error:
                log.warning("%s: %s waits: %r", self.name, event.type, error)
            except Exception:
                failures += 1
                log.exception("%s: %s of order %s failed", self.name, event.type, event.order_id)
                if failures == ATTEMPTS:
                    return False
            else:
                self.relay.wake()
                return True
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def open_own_store(name: str, schema: str) -> Store:
    """Open a service's database, with inbox and outbox beside its own tables."""
    return await open_store(os.environ.get("DATABASE_URL", f"{name}.db"), inbox.SCHEMA + outbox.SCHEMA + schema)


async def serve(name: str, schema: str, handlers_on: Callable[[Store], Mapping[str, Handler]]) -> None:
    """Run a service that has no other face than its events, until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = await open_own_store(name, schema)
    service = Service(name, store, handlers_on(store))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    service.start()
    await stopped.wait()
    await service.stop()
