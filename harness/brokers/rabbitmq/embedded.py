"""The broker model on a TCP port: a thin asyncio shell that moves bytes and keeps time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import cast

from misstep.harness.brokers.rabbitmq.model.broker import Broker
from misstep.harness.brokers.rabbitmq.model.connection import Connection
from misstep.harness.errors import BrokerFailed


class EmbeddedServer:
    """Serves a :class:`~misstep.harness.brokers.rabbitmq.model.Broker` on a loopback port.

    Attributes:
        model: The broker that is served; ask it for queues, routes and refusals.
        defects: Exceptions out of the model itself, each of which cost a client its connection: whatever a run with any
            of them showed is unknown.
    """

    def __init__(self, model: Broker | None = None, *, clock: Callable[[], float] | None = None) -> None:
        """Take a model to serve.

        Args:
            model: The broker; a fresh one when left out.
            clock: Returns the time in seconds, on the scale of the loop's own clock; the loop's when left out.
        """
        self.model = model if model is not None else Broker()
        self.defects: list[Exception] = []
        self._given_clock = clock
        self._server: asyncio.Server | None = None
        self._listener: socket.socket | None = None
        self._links: dict[Connection, _Link] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._flushing = False
        self._down = False

    @property
    def port(self) -> int:
        """The TCP port it listens on; it stays the same over a crash.

        Raises:
            BrokerFailed: The server was not started.
        """
        if self._listener is None:
            raise BrokerFailed("the embedded broker has no port yet: await its start() first")
        return int(self._listener.getsockname()[1])

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._loop = asyncio.get_running_loop()
        self.clock = self._given_clock or self._loop.time
        self.model.clock.epoch = time.time() - self.clock()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._server = await self._loop.create_server(lambda: _Link(self), sock=self._listener, backlog=512)

    async def close(self) -> None:
        """Close every connection without a word, and the port."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        self._drop_links()
        if self._server is not None:
            await self._server.wait_closed()

    def add_vhost(self, name: str) -> None:
        """Make a virtual host; one that is there already stays as it is."""
        self.model.add_vhost(name)

    def remove_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it; its connections are closed with 320."""
        self.model.remove_vhost(name, self.clock())
        self.wake()

    def crash(self) -> None:
        """Die as by a power cut: connections are reset, new ones refused, and only what is durable is kept."""
        self._down = True
        self.model.crash(self.clock())
        self._drop_links()

    def resume(self) -> None:
        """Serve again after :meth:`crash`, with the durable state."""
        self._down = False

    @property
    def down(self) -> bool:
        """Whether it crashed and was not resumed."""
        return self._down

    def _drop_links(self) -> None:
        for link in list(self._links.values()):
            link.abort()
        self._links.clear()

    # What links call

    def joined(self, link: _Link) -> None:
        """Note a new connection."""
        assert link.connection is not None
        self._links[link.connection] = link

    def left(self, connection: Connection) -> None:
        """Note that a connection's transport is gone."""
        if self._links.pop(connection, None) is not None:
            connection.lost(self.clock())
            self.wake()

    def wake(self) -> None:
        """Send, once in this turn of the loop, whatever there is to send."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        for connection in self.model.talkative():
            link = self._links.get(connection)
            if link is not None:
                link.flush()
        self._set_timer()

    def _set_timer(self) -> None:
        due = self.model.next_deadline()
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due is not None and not self._down:
            self._timer = self._loop.call_later(max(0.0, due - self.clock()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            self.model.tick(self.clock())
        except Exception as error:
            self.defects.append(error)
            raise
        finally:
            self._flush()


class _Link(asyncio.Protocol):
    """One client's transport."""

    connection: Connection | None = None
    _transport: asyncio.Transport

    def __init__(self, server: EmbeddedServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection of the model; while the broker is down, end the transport instead."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type
        if self._server.down:
            self._transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self.connection = self._server.model.connect(f"{peer[0]}:{peer[1]}", self._server.clock())
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the model, unless it has ended this connection already."""
        if self.connection is None or self.connection.closed:
            return
        try:
            self.connection.receive(data, self._server.clock())
        except Exception as error:
            self._server.defects.append(error)
            raise
        finally:
            self._server.wake()

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the model that the transport is gone."""
        if self.connection is not None:
            self._server.left(self.connection)

    def flush(self) -> None:
        """Send what the model has for this client, and close when it says so."""
        assert self.connection is not None
        data = self.connection.outgoing()
        if data:
            self._transport.write(data)
        if self.connection.closed:
            self._transport.close()

    def abort(self) -> None:
        """End the transport without a word."""
        self._transport.abort()
