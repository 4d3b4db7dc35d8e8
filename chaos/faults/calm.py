"""What kinds of fault are made from: a disturbance that disturbs nothing, and work that was begun and must end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from misstep.harness.disturbance import Ground
from misstep.harness.wire.interceptor import FORWARD, Action, Heard


class Calm:
    """A disturbance that leaves all as it is; a kind replaces the moments that it acts in."""

    async def arm(self) -> None:
        """Make ready."""

    def intercept(self, heard: Heard) -> Action:
        """Let everything go on."""
        return FORWARD

    async def quiet(self) -> None:
        """Let silence be."""

    async def heal(self) -> None:
        """Leave nothing behind."""


class Chores:
    """Work on a stage that a fault began while it had to answer at once; it is done before the fault counts as healed.

    Args:
        ground: Where the work is done.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._begun: set[asyncio.Future[None]] = set()

    def begin(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a piece of work now."""
        self._begun.add(asyncio.ensure_future(work()))

    def begin_later(self, delay: float, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a piece of work after so many seconds; the run is not quiet until then."""
        self._ground.later(delay, lambda: self.begin(work))

    async def done(self) -> None:
        """Wait until all that was begun has ended; raise what it raised."""
        while self._begun:
            begun, self._begun = self._begun, set()
            await asyncio.gather(*begun)
