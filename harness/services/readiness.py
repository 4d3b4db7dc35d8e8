"""When a service is ready: each condition that its declaration sets, asked until it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from misstep.harness.services.logs import LogWatch

POLL_SECONDS = 0.01
ATTEMPT_SECONDS = 2.0


class Condition(Protocol):
    """One thing that must hold before a service is ready."""

    @property
    def awaited(self) -> str:
        """What is waited for, to follow "it was waited for"."""

    @property
    def seen(self) -> str:
        """What there is instead, as far as it is known."""

    async def holds(self) -> bool:
        """Look once."""


@dataclass(slots=True)
class Consumers:
    """A number of consumers on the broker link, which the wire counts."""

    wanted: int
    ask: Callable[[], int]

    @property
    def awaited(self) -> str:
        """So many consumers on its link."""
        return f"{self.wanted} consumer{'s' * (self.wanted != 1)} on its broker link"

    @property
    def seen(self) -> str:
        """How many there are."""
        return f"{self.ask()} there"

    async def holds(self) -> bool:
        """Count."""
        return self.ask() >= self.wanted


@dataclass(slots=True)
class Port:
    """A TCP port that accepts connections."""

    host: str
    port: int
    seen: str = "not tried"

    @property
    def awaited(self) -> str:
        """The port."""
        return f"TCP port {self.host}:{self.port} to accept connections"

    async def holds(self) -> bool:
        """Connect once."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError as error:
            self.seen = error.strerror or str(error) or type(error).__name__
            return False
        writer.close()
        return True


@dataclass(slots=True)
class Http:
    """A path that answers with a status below 400."""

    host: str
    port: int
    path: str
    seen: str = "not tried"

    @property
    def awaited(self) -> str:
        """The URL."""
        return f"http://{self.host}:{self.port}{self.path} to answer with a status below 400"

    async def holds(self) -> bool:
        """Ask once."""
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                status = await self._status()
        except (OSError, ValueError) as error:
            self.seen = str(error) or type(error).__name__
            return False
        self.seen = f"status {status}"
        return status < 400

    async def _status(self) -> int:
        """Return the status of one GET; a whole HTTP client would cost more to load than all questions take."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            head = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            line = await reader.readline()
        finally:
            writer.close()
        fields = line.split(maxsplit=2)
        if len(fields) < 2 or not fields[0].startswith(b"HTTP/"):
            raise ValueError(f"answered {line[:60]!r}, which is not HTTP")
        return int(fields[1])


@dataclass(slots=True)
class Line:
    """A line of output that matches a regular expression."""

    watches: Sequence[LogWatch]
    seen: str = "no such line"

    @property
    def awaited(self) -> str:
        """The pattern."""
        return f"a line of output that matches {self.watches[0].pattern.pattern!r}"

    async def holds(self) -> bool:
        """Read on."""
        return any(watch.found() for watch in self.watches)


async def wait_for_all(conditions: list[Condition]) -> None:
    """Return when each condition has held once; those still in the list have not.

    Conditions are taken out of the list as they hold, so that who gives up at a deadline can name the rest.
    """
    while True:
        for condition in list(conditions):
            if await condition.holds():
                conditions.remove(condition)
        if not conditions:
            return
        await asyncio.sleep(POLL_SECONDS)
