"""The two TCP connections of one connection through a proxy: read, written, paused, closed and reset.

Flow control is mutual: while one end's write buffer is full, the other end is not read. Reading is never paused from
within ``connection_made``, where uvloop ignores it: what comes before the upstream is there is buffered.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, cast

from misstep.harness.brokers.port import Endpoint
from misstep.harness.wire.session import Side

Upstream: TypeAlias = Endpoint | Callable[[], Endpoint]
"""Where a proxy dials; a function is asked for each connection, since a broker may come back on another port."""

HIGH_WATER: Final = 1 << 18
_RESET = struct.pack("ii", 1, 0)


class Owner(Protocol):
    """Who is told what happens on a path."""

    def begun(self, path: Path) -> None:
        """The service has connected."""

    def received(self, path: Path, side: Side, data: bytes) -> None:
        """Bytes came from ``side``."""

    def ended(self, path: Path, side: Side, error: Exception | None) -> None:
        """The socket of ``side`` came to its end."""


class End(asyncio.Protocol):
    """One of the two connections of a path."""

    def __init__(self, path: Path, side: Side, owner: Owner) -> None:
        self._path = path
        self._side: Side = side
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._early = bytearray()
        self._finish: Callable[[], None] | None = None
        self._full = False
        self._stopped = False
        self._aborted = False
        self.peer: End
        self.over = False

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the transport, and do what was asked for before it was there."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        transport.set_write_buffer_limits(HIGH_WATER)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._early:
            transport.write(bytes(self._early))
            self._early.clear()
            self.peer.hold_back(full=False)
        if self._finish is not None:
            self._finish()
        elif self._side == "service":
            self._owner.begun(self._path)

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the owner."""
        if not self.over:
            self._owner.received(self._path, self._side, data)

    def pause_writing(self) -> None:
        """Stop reading the other end, since this one does not keep up."""
        self.peer.hold_back(full=True)

    def resume_writing(self) -> None:
        """Read the other end again."""
        self.peer.hold_back(full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        if not self.over:
            self.over = True
            self._owner.ended(self._path, self._side, exc)

    # What the owner calls

    @property
    def buffered(self) -> int:
        """Bytes that were written here and have not left."""
        return len(self._early) + (self._transport.get_write_buffer_size() if self._transport else 0)

    def write(self, data: bytes) -> None:
        """Send bytes, at once or as soon as this end is connected; what comes after its end is dropped."""
        if self.over or not data:
            return
        if self._transport is not None:
            self._transport.write(data)
            return
        self._early += data
        if len(self._early) > HIGH_WATER:
            self.peer.hold_back(full=True)

    def hold_back(self, *, full: bool | None = None, stopped: bool | None = None) -> None:
        """Read this end only while neither the other end's buffer is full nor it is stopped on purpose."""
        self._full = self._full if full is None else full
        self._stopped = self._stopped if stopped is None else stopped
        if self._transport is None or self._transport.is_closing():
            return
        if self._full or self._stopped:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def close(self) -> None:
        """Send what is buffered, then end the connection; the owner is not told."""
        self.over = True
        self._finish = self._close
        if self._transport is not None:
            self._close()

    def reset(self) -> None:
        """End the connection at once with a TCP reset; the owner is not told."""
        self.over = True
        self._finish = self._reset
        if self._transport is not None:
            self._reset()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        if self._transport is None or self._aborted:
            return
        self._aborted = True
        number = os.dup(self._transport.get_extra_info("socket").fileno())
        with socket.socket(
            fileno=number
        ) as own:  # the option belongs to the connection; uvloop's own socket cannot set it
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


class Path:
    """One connection through a proxy: the service's end and the broker's (or store's) end.

    Attributes:
        service: The connection that the service opened.
        broker: The connection to the upstream.
    """

    __slots__ = ("__dict__", "broker", "service")

    def __init__(self, owner: Owner) -> None:
        self.service = End(self, "service", owner)
        self.broker = End(self, "broker", owner)
        self.service.peer, self.broker.peer = self.broker, self.service

    async def dial(self, upstream: Upstream) -> None:
        """Connect the broker's end.

        Raises:
            OSError: Nobody answers there, or TLS failed.
        """
        endpoint = upstream if isinstance(upstream, Endpoint) else upstream()
        loop = asyncio.get_running_loop()
        name = endpoint.host if endpoint.tls else None
        await loop.create_connection(
            lambda: self.broker, endpoint.host, endpoint.port, ssl=endpoint.tls, server_hostname=name
        )

    def reset(self) -> None:
        """Reset both ends."""
        self.service.reset()
        self.broker.reset()

    @property
    def buffered(self) -> int:
        """Bytes that have not left, in both directions."""
        return self.service.buffered + self.broker.buffered
