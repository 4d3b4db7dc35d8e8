"""A raw AMQP client that shows exactly what a broker answers.

Every answer is a short tuple of plain values, so that a scenario can return it and be compared: the method's name and
what in it is the same on every broker. Names a broker made up are shown as ``<generated>``, virtual hosts as ``V``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pamqp import base, body, commands, frame, header
from pamqp.commands import Basic, Channel, Connection, Exchange, Queue

from .shown import Answer, Content, short, show

PREAMBLE = b"AMQP\x00\x00\x09\x01"
WITHIN = 20.0
"""Seconds that any answer may take; far more than it should, since machines are busy."""

CAPABILITIES: dict[str, Any] = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "authentication_failure_close": True,
    "basic.nack": True,
}


@dataclass(slots=True)
class RawChannel:
    """One channel, and what arrived on it: answers, and what the broker sends of its own accord."""

    client: RawClient
    number: int
    answers: deque[Content] = field(default_factory=deque)
    events: deque[Content] = field(default_factory=deque)
    returned: deque[Content] = field(default_factory=deque)
    confirms: deque[Content] = field(default_factory=deque)
    cancels: deque[Content] = field(default_factory=deque)

    def send(self, *methods: base.Frame) -> None:
        """Send methods and wait for nothing."""
        for method in methods:
            self.client.write(frame.marshal(method, self.number))

    async def call(self, method: base.Frame) -> Answer:
        """Send a method and return what it is answered with, a close of the channel or connection included."""
        self.send(method)
        return self.shown(await self.answer())

    async def answer(self) -> Content:
        """Wait for the next answer on this channel, or a close of the connection."""
        await self.client.until(lambda: bool(self.answers or self.client.closing))
        answer = self.answers.popleft() if self.answers else self.client.closing[0]
        if isinstance(answer.method, Channel.Close):
            self.send(Channel.CloseOk())
        return answer

    def shown(self, content: Content) -> Answer:
        """Show an answer as a tuple."""
        return show(content, self.client.vhost)

    async def closed(self) -> Answer:
        """Wait for the broker to close this channel or the connection."""
        while True:
            answer = await self.answer()
            if isinstance(answer.method, (Channel.Close, Connection.Close)):
                return self.shown(answer)

    def publish(
        self, exchange: str, key: str, data: bytes = b"m", *, mandatory: bool = False, **properties: Any
    ) -> None:
        """Publish one message."""
        self.send(Basic.Publish(exchange=exchange, routing_key=key, mandatory=mandatory))
        self.content(data, **properties)

    def content(self, data: bytes, **properties: Any) -> None:
        """Send a content header and its body, split as the frame size asks."""
        head = header.ContentHeader(body_size=len(data), properties=Basic.Properties(**properties))
        self.client.write(frame.marshal(head, self.number))
        room = self.client.frame_max - 8
        for start in range(0, len(data), room):
            self.client.write(frame.marshal(body.ContentBody(data[start : start + room]), self.number))

    async def confirmed(self, exchange: str, key: str, *bodies: bytes, **properties: Any) -> list[str]:
        """Publish, one after another, and wait for each message's confirm; returns ``ack`` or ``nack`` for each."""
        results = []
        for data in bodies:
            self.publish(exchange, key, data, **properties)
            results.append(await self.confirm())
        return results

    async def confirm(self) -> str:
        """Wait for the next confirm."""
        await self.client.until(lambda: bool(self.confirms or self.answers or self.client.closing))
        if not self.confirms:
            return "closed"
        return self.confirms.popleft().method.name.removeprefix("Basic.").lower()

    async def deliveries(self, count: int) -> list[Content]:
        """Wait for this many deliveries, make sure that no more come, and return them."""
        await self.client.until(lambda: len(self.events) >= count or bool(self.client.closing or self.answers))
        await self.settle()
        taken = list(self.events)
        self.events.clear()
        return taken

    async def settle(self) -> None:
        """Let whatever is under way to this channel arrive: two round trips."""
        for _ in range(2):
            if not self.client.closing and not self.answers:
                await self.exchange("amq.direct", passive=True)

    async def bodies(self, count: int) -> list[str]:
        """Return the bodies of :meth:`deliveries`, those that come again with a trailing ``*``."""
        return [short(one) for one in await self.deliveries(count)]

    async def get(self, queue: str, *, no_ack: bool = True) -> str | None:
        """Fetch one message and return its body as :meth:`bodies` shows it; None when the queue is empty."""
        self.send(Basic.Get(queue=queue, no_ack=no_ack))
        answer = await self.answer()
        return None if isinstance(answer.method, Basic.GetEmpty) else short(answer)

    async def get_all(self, queue: str) -> list[str]:
        """Fetch everything that is ready."""
        found = []
        while (one := await self.get(queue)) is not None:
            found.append(one)
        return found

    async def fetch(self, queue: str, *, no_ack: bool = True) -> Content:
        """Wait until the queue has a message, and fetch it whole."""
        await self.count(queue, 1)
        self.send(Basic.Get(queue=queue, no_ack=no_ack))
        return await self.answer()

    async def count(self, queue: str, ready: int | None = None, consumers: int | None = None) -> tuple[int, int]:
        """Return how many messages are ready and how many consumers there are, waiting for the given figures."""
        seen = (-1, -1)
        deadline = self.client.loop.time() + WITHIN
        while self.client.loop.time() < deadline:
            self.send(Queue.Declare(queue=queue, passive=True))
            answer = await self.answer()
            if not isinstance(answer.method, Queue.DeclareOk):
                raise AssertionError(f"queue {queue!r} cannot be counted: {self.shown(answer)}")
            seen = (answer.method.message_count or 0, answer.method.consumer_count or 0)
            if ready in (None, seen[0]) and consumers in (None, seen[1]):
                return seen
            await self.client.pause()
        raise AssertionError(f"queue {queue!r} has {seen} (ready, consumers), and never had {(ready, consumers)}")

    async def queue(self, name: str, **settings: Any) -> Answer:
        """Declare a queue; the arguments are those of the method."""
        return await self.call(Queue.Declare(queue=name, **settings))

    async def exchange(self, name: str, kind: str = "direct", **settings: Any) -> Answer:
        """Declare an exchange; the arguments are those of the method."""
        return await self.call(Exchange.Declare(exchange=name, exchange_type=kind, **settings))

    async def bind(self, queue: str, exchange: str, key: str = "", **settings: Any) -> Answer:
        """Bind a queue."""
        return await self.call(Queue.Bind(queue=queue, exchange=exchange, routing_key=key, **settings))

    async def consume(self, queue: str, tag: str = "c", **settings: Any) -> Answer:
        """Start a consumer."""
        return await self.call(Basic.Consume(queue=queue, consumer_tag=tag, **settings))

    async def prefetch(self, count: int, *, shared: bool = False) -> Answer:
        """Set the prefetch count."""
        return await self.call(Basic.Qos(prefetch_count=count, global_=shared))

    async def with_confirms(self) -> RawChannel:
        """Turn confirms on."""
        await self.call(commands.Confirm.Select())
        return self


class RawClient:
    """One connection.

    Attributes:
        vhost: The virtual host, shown as ``V``.
        closing: The broker's close of the connection, once it came.
        ended: Whether the transport is gone.
    """

    def __init__(self, vhost: str) -> None:
        self.vhost = vhost
        self.loop = asyncio.get_running_loop()
        self.channels: dict[int, RawChannel] = {}
        self.closing: list[Content] = []
        self.own: deque[Content] = deque()
        self.ended = False
        self.heartbeats = 0
        self.frame_max = 131072
        self.tune = Connection.Tune()
        self._open: dict[int, Content] = {}
        self._buffer = bytearray()
        self._changed = asyncio.Event()

    # Bytes

    async def dial(self, port: int) -> None:
        """Open the transport."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._task = asyncio.create_task(self._read(reader))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65536):
                self._buffer += data
                self._take_frames()
                self._changed.set()
        except ConnectionError:
            self._buffer.clear()
        self.ended = True
        self._changed.set()

    def _take_frames(self) -> None:
        while len(self._buffer) >= 8:
            if self._buffer[:4] == b"AMQP":
                self.own.append(Content(header.ProtocolHeader()))  # type: ignore[arg-type]
                del self._buffer[:8]
                continue
            size = int.from_bytes(self._buffer[3:7]) + 8
            if len(self._buffer) < size:
                return
            _, number, one = frame.unmarshal(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._take(number, one)

    def _take(self, number: int, one: Any) -> None:
        if isinstance(one, base.Frame):
            content = Content(one)
            if isinstance(one, (Basic.Deliver, Basic.GetOk, Basic.Return)):
                self._open[number] = content
            else:
                self._file(number, content)
        elif isinstance(one, header.ContentHeader):
            content = self._open[number]
            content.properties, content.size = one.properties, one.body_size
            self._finish(number, content)
        elif isinstance(one, body.ContentBody):
            content = self._open[number]
            content.body += one.value
            content.frames += 1
            self._finish(number, content)
        else:
            self.heartbeats += 1

    def _finish(self, number: int, content: Content) -> None:
        if len(content.body) == content.size:
            del self._open[number]
            self._file(number, content)

    def _file(self, number: int, content: Content) -> None:
        method = content.method
        if number == 0:
            self.own.append(content)
            if isinstance(method, Connection.Close):
                self.closing.append(content)
                self.write(frame.marshal(Connection.CloseOk(), 0))
            return
        channel = self.channels[number]
        if isinstance(method, Basic.Deliver):
            channel.events.append(content)
        elif isinstance(method, Basic.Return):
            channel.returned.append(content)
        elif isinstance(method, (Basic.Ack, Basic.Nack)):
            channel.confirms.append(content)
        elif isinstance(method, Basic.Cancel):
            channel.cancels.append(content)
        else:
            channel.answers.append(content)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fails when the connection ends before, or it takes too long."""
        async with asyncio.timeout(WITHIN):
            while not condition():
                if self.ended:
                    raise ConnectionResetError("the broker ended the transport")
                self._changed.clear()
                if not condition():
                    await self._changed.wait()

    async def pause(self) -> None:
        """Let the broker work for a moment before it is asked again."""
        waiter = self.loop.create_future()
        self.loop.call_later(0.004, waiter.set_result, None)
        await waiter

    # The connection's own methods

    async def call(self, method: base.Frame, *, answered_by: type[base.Frame] | None = None) -> Answer:
        """Send a method of the connection's own and return the next answer."""
        self.write(frame.marshal(method, 0))
        return await self.next()

    async def next(self) -> Answer:
        """Return the next method of the connection's own."""
        await self.until(lambda: bool(self.own))
        content = self.own.popleft()
        if isinstance(content.method, header.ProtocolHeader):
            return ("ProtocolHeader",)
        if isinstance(content.method, Connection.Tune):
            self.tune = content.method
        return show(content, self.vhost)

    async def channel(self, number: int | None = None) -> RawChannel:
        """Open a channel."""
        channel = self.raw_channel(number or len(self.channels) + 1)
        answer = await channel.call(Channel.Open())
        assert answer == ("Channel.OpenOk",), answer
        return channel

    def raw_channel(self, number: int) -> RawChannel:
        """Return a channel that was not opened."""
        channel = self.channels[number] = RawChannel(self, number)
        return channel

    async def wait_ended(self) -> None:
        """Wait until the transport is gone."""
        async with asyncio.timeout(WITHIN):
            await self._task

    async def close(self) -> None:
        """Close in the protocol's way, whatever state it is in."""
        if not self.ended and not self.closing:
            self.write(frame.marshal(Connection.Close(200, "bye", 0, 0), 0))
            await self.until(lambda: any(isinstance(one.method, Connection.CloseOk) for one in self.own))
        await self.cut()

    async def cut(self) -> None:
        """End the transport without a word."""
        self._writer.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def login(
    client: RawClient,
    *,
    user: str = "guest",
    password: str = "guest",
    vhost: str | None = None,
    frame_max: int = 131072,
    channel_max: int = 2047,
    heartbeat: int = 0,
    capabilities: dict[str, Any] | None = None,
) -> Answer:
    """Go through the handshake, and return its last answer."""
    client.write(PREAMBLE)
    answer = await client.next()
    assert answer == ("Connection.Start",), answer
    properties: Any = {"capabilities": CAPABILITIES if capabilities is None else capabilities}
    answer = await client.call(Connection.StartOk(properties, "PLAIN", f"\0{user}\0{password}"))
    if answer[0] != "Connection.Tune":
        return answer
    client.frame_max = frame_max or 131072
    client.write(frame.marshal(Connection.TuneOk(channel_max, frame_max, heartbeat), 0))
    return await client.call(Connection.Open(client.vhost if vhost is None else vhost))
