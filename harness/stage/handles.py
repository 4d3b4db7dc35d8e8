"""What a test holds: a stage and its sagas, for async tests and for tests that block.

The stage runs on an event loop of its own, in its own thread. Both faces forward to it, each in its own way, and read the
history directly, which is only ever added to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import DriverFailed
from misstep.harness.history import entries
from misstep.harness.history.ending import ending
from misstep.harness.history.history import History
from misstep.harness.history.timeline import timeline
from misstep.harness.plan import Drive
from misstep.harness.stage.loop import StageLoop
from misstep.harness.stage.performance import Performance


class _Saga:
    """What both kinds of saga can be asked at once."""

    def __init__(self, number: int, performance: Performance, loop: StageLoop) -> None:
        self.number = number
        self._performance = performance
        self._loop = loop

    def __repr__(self) -> str:
        return f"<saga {self.number} {self.correlation or '?'}: {self.ending or 'not ended'}>"

    @property
    def correlation(self) -> str:
        """The business key of the saga; empty while it is not known."""
        drove = [each for each in self._performance.history.of(entries.Drove) if each.saga == self.number]
        return drove[-1].correlation if drove else ""

    @property
    def ending(self) -> str:
        """How it ended: ``completed``, ``compensated``; empty while it has not, or was given up with steps not undone."""
        return ending(self._performance.choreography, self._performance.history, self.number) or ""

    @property
    def completed(self) -> bool:
        """Whether it completed everywhere."""
        return self.ending == "completed"

    @property
    def compensated(self) -> bool:
        """Whether it was given up, and every step that was done is undone."""
        return self.ending == "compensated"

    @property
    def events(self) -> tuple[str, ...]:
        """The types of the events that were published for it, in order."""
        published = self._performance.history.of(entries.Published)
        return tuple(each.event for each in published if each.saga == self.number)

    def timeline(self) -> str:
        """Return what happened to it, a line each."""
        return timeline(self._performance.history, self.number)


class Saga(_Saga):
    """One saga, for async tests."""

    async def settled(self, within: float | None = None) -> Saga:
        """Wait until nothing is left to happen on the stage.

        Args:
            within: Seconds; the choreography's own ``quiet.within`` where None.

        Raises:
            AssertionError: Something was still moving at the deadline; the message says what.
        """
        await self._loop.ask(_still(self._performance, within))
        return self


class BlockingSaga(_Saga):
    """One saga, for tests that block."""

    def settled(self, within: float | None = None) -> BlockingSaga:
        """Wait until nothing is left to happen on the stage; see :meth:`Saga.settled`."""
        self._loop.call(_still(self._performance, within))
        return self


@dataclass(frozen=True, slots=True)
class _Handle:
    """What both kinds of stage can be asked at once."""

    performance: Performance
    loop: StageLoop

    @property
    def choreography(self) -> Choreography:
        """What runs on the stage."""
        return self.performance.choreography

    @property
    def history(self) -> History:
        """What happened so far; it grows while the stage runs."""
        return self.performance.history

    @property
    def address(self) -> dict[str, str]:
        """``host:port`` of each service that listens, by its name."""
        services = self.performance.stage.scope["services"]
        assert isinstance(services, dict)
        return {name: parts["address"] for name, parts in services.items()}


class StageHandle(_Handle):
    """The stage, for async tests."""

    async def drive(self, driver: str, **data: Any) -> Saga:
        """Run a driver and return its saga.

        Args:
            driver: The driver's name.
            data: Top-level fields that replace the driver's own.

        Raises:
            DriverFailed: There is no such driver, or its stimulus was refused.
        """
        number = await self.loop.ask(_drive(self.performance, driver, data))
        return Saga(number, self.performance, self.loop)

    async def quiet(self, within: float | None = None) -> bool:
        """Wait until nothing is left to happen, or the deadline; return whether it fell silent."""
        return await self.loop.ask(self.performance.quiet(within))

    async def kill(self, service: str) -> None:
        """Kill a service's whole process tree (SIGKILL)."""
        await self.loop.ask(_kill(self.performance, service))

    async def stop(self, service: str) -> None:
        """Ask a service to end, and wait until it has."""
        await self.loop.ask(self.performance.stop(service))

    async def start(self, service: str) -> None:
        """Start a service that does not run, and wait until it is ready."""
        await self.loop.ask(self.performance.start(service))


class BlockingStage(_Handle):
    """The stage, for tests that block."""

    def drive(self, driver: str, **data: Any) -> BlockingSaga:
        """Run a driver and return its saga; see :meth:`StageHandle.drive`."""
        return BlockingSaga(self.loop.call(_drive(self.performance, driver, data)), self.performance, self.loop)

    def quiet(self, within: float | None = None) -> bool:
        """Wait until nothing is left to happen, or the deadline; return whether it fell silent."""
        return self.loop.call(self.performance.quiet(within))

    def kill(self, service: str) -> None:
        """Kill a service's whole process tree (SIGKILL)."""
        self.loop.call(_kill(self.performance, service))

    def stop(self, service: str) -> None:
        """Ask a service to end, and wait until it has."""
        self.loop.call(self.performance.stop(service))

    def start(self, service: str) -> None:
        """Start a service that does not run, and wait until it is ready."""
        self.loop.call(self.performance.start(service))


async def _drive(performance: Performance, driver: str, data: dict[str, Any]) -> int:
    driven = await performance.drive(Drive(driver=driver, data=data))
    if driven.outcome == "fail":
        raise DriverFailed(f"driver {driver!r} was refused: {driven.detail}")
    return driven.saga


async def _kill(performance: Performance, service: str) -> None:
    performance.kill(service)


async def _still(performance: Performance, within: float | None) -> None:
    if not await performance.quiet(within):
        seen = performance.history.of(entries.Quiet)[-1]
        rows = "\n".join(f"  {row}" for row in seen.moving)
        raise AssertionError(f"not settled {seen.at:.1f} s into the run; still moving:\n{rows}")
