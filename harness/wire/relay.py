"""A bare relay: a link whose bytes nobody decodes, such as one to a store. It can be cut, refused and paused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from misstep.harness.wire.link import Counts
from misstep.harness.wire.session import Side
from misstep.harness.wire.streams import Path, Upstream


class Relay:
    """One service's path to any TCP server; a :class:`~misstep.harness.wire.interceptor.Control` of itself.

    Attributes:
        service: The service whose link it is.
        host: Where it listens.
        port: The port it listens on, once it is open.
        incarnation: Which start of the service is running.
        counts: What it has seen.
        errors: What went wrong here.
        refusing: Whether new connections are reset at once.
        paused: Whether nothing is passed, as across a partition.
        last_activity: When bytes last passed, by the relay's clock.
    """

    def __init__(
        self,
        service: str,
        upstream: Upstream,
        *,
        clock: Callable[[], float] = time.monotonic,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = service
        self.host = host
        self.port = 0
        self.incarnation = 1
        self.counts = Counts()
        self.errors: list[Exception] = []
        self.refusing = False
        self.paused = False
        self._upstream = upstream
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._paths: dict[Path, int] = {}
        self._dialling: set[asyncio.Task[None]] = set()
        self.last_activity = clock()

    async def open(self) -> None:
        """Listen on a free port.

        Raises:
            OSError: There is none.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Path(self).service, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Reset all connections and listen no more."""
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._dialling, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def pause(self, paused: bool) -> None:
        """While paused, pass nothing in either direction, though connections stay open and new ones are taken."""
        self.paused = paused
        for path in self._paths:
            path.service.hold_back(stopped=paused)
            path.broker.hold_back(stopped=paused)

    def cut(self, connection: int | None = None) -> int:
        """Reset one connection, or all; return how many were open."""
        found = [path for path, ordinal in self._paths.items() if connection in (None, ordinal)]
        for path in found:
            del self._paths[path]
            path.reset()
        return len(found)

    def refuse(self, refused: bool) -> None:
        """While refused, new connections are accepted and reset at once, as from a host that is down."""
        self.refusing = refused

    def release(self, ticket: str) -> bool:
        """Return False: a relay decodes nothing, so it holds nothing."""
        return False

    def inject(self, delivery: int) -> bool:
        """Return False: a relay decodes nothing, so it has no deliveries."""
        return False

    def held(self) -> tuple[str, ...]:
        """Return nothing: see :meth:`release`."""
        return ()

    def pending(self) -> int:
        """Count the connections with bytes that were read and not yet written."""
        return sum(path.buffered > 0 for path in self._paths)

    # What the path tells

    def begun(self, path: Path) -> None:
        """Take a new connection of the service."""
        if self.refusing:
            self.counts.refused += 1
            path.reset()
            return
        self.counts.connections += 1
        self._paths[path] = self.counts.connections
        task = asyncio.get_running_loop().create_task(self._dial(path))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, path: Path) -> None:
        try:
            await path.dial(self._upstream)
        except OSError:
            if self._paths.pop(path, None) is not None:
                self.counts.unreachable += 1
                path.reset()
            return
        if self.paused:
            path.broker.hold_back(stopped=True)

    def received(self, path: Path, side: Side, data: bytes) -> None:
        """Pass bytes on."""
        self.last_activity = self._clock()
        if side == "service":
            self.counts.up += len(data)
            path.broker.write(data)
            if self.paused:
                path.service.hold_back(stopped=True)
        else:
            self.counts.down += len(data)
            path.service.write(data)

    def ended(self, path: Path, side: Side, error: Exception | None) -> None:
        """End the other side as this one ended: closed or reset."""
        self._paths.pop(path, None)
        other = path.broker if side == "service" else path.service
        if error is None:
            other.close()
        else:
            other.reset()
