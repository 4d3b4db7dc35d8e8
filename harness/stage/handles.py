"""What a test holds: a stage and its sagas, for async tests and for tests that block.

The stage runs on an event loop of its own, in its own thread. Both faces forward to it, each in its own way, and read
the history directly, which is only ever added to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import DriverFailed, MisstepError, PlanError
from misstep.harness.history import entries
from misstep.harness.history.ending import ending
from misstep.harness.history.history import History
from misstep.harness.history.timeline import timeline
from misstep.harness.plan import Drive
from misstep.harness.stage.loop import StageLoop
from misstep.harness.stage.performance import Performance

T = TypeVar("T")

NOT_ASYNCIO = """stage can be awaited on asyncio alone, and this test runs on another event loop.
    @pytest.fixture
    def anyio_backend():
        return "asyncio"            # right: choose the backend for the tests that ask for stage
    def test_it(blocking_stage): …  # right: a test that blocks needs no event loop"""


@dataclass(frozen=True, slots=True)
class Hands:
    """A run as a test's handles reach it.

    Attributes:
        performance: The run in progress.
        loop: Where it goes on.
        deeds: What the test did to the stage by its own hands, which no plan holds: ``killed payment``.
    """

    performance: Performance
    loop: StageLoop
    deeds: list[str] = field(default_factory=list)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the stage and block until it is done; an error is raised as if here."""
        __tracebackhide__ = True
        try:
            return self.loop.call(work)
        except (MisstepError, AssertionError) as error:
            raise error.with_traceback(None) from None

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work on the stage and await it; an error is raised as if here.

        Raises:
            MisstepError: The test does not run on asyncio.
        """
        __tracebackhide__ = True
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            work.close()
            raise MisstepError(NOT_ASYNCIO) from None
        try:
            return await self.loop.ask(work)
        except (MisstepError, AssertionError) as error:
            raise error.with_traceback(None) from None

    async def drive(self, driver: str, data: dict[str, Any]) -> int:
        """Run a driver and return its saga's number."""
        driven = await self.performance.drive(Drive(driver=driver, data=data))
        if driven.outcome == "fail":
            raise DriverFailed(f"driver {driver!r} was refused: {driven.detail}")
        return driven.saga

    async def kill(self, service: str) -> None:
        """Kill a service."""
        self._known(service)
        self.deeds.append(f"killed {service}")
        self.performance.kill(service)

    async def stop(self, service: str) -> None:
        """Stop a service."""
        self._known(service)
        self.deeds.append(f"stopped {service}")
        await self.performance.stop(service)

    async def start(self, service: str) -> None:
        """Start a service."""
        self._known(service)
        await self.performance.stage.start(service)

    async def query(self, store: str, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """Ask a store."""
        stores = self.performance.stage.means.stores
        if store not in stores:
            raise PlanError(f"there is no store {store!r}; stores: {', '.join(stores) or 'none is declared'}")
        return [tuple(row) for row in (await stores[store].query(sql, parameters)).rows]

    async def still(self, within: float | None) -> None:
        """Wait until nothing is left to happen.

        Raises:
            AssertionError: Something still moved at the deadline.
        """
        if not await self.performance.quiet(within):
            seen = self.performance.history.of(entries.Quiet)[-1]
            rows = "\n".join(f"  {row}" for row in seen.moving)
            raise AssertionError(f"not settled {seen.at:.1f} s into the run; still moving:\n{rows}")

    def _known(self, service: str) -> None:
        services = self.performance.stage.services
        if service not in services:
            raise PlanError(f"there is no service {service!r}; services: {', '.join(services)}")


class _Saga:
    """What both kinds of saga can be asked at once.

    Attributes:
        number: The saga's ordinal among those that the test drove, from 1.
    """

    def __init__(self, number: int, hands: Hands) -> None:
        self.number = number
        self._hands = hands

    def __repr__(self) -> str:
        return f"<saga {self.number} {self.correlation or '?'}: {self.ending or 'not ended'}>"

    @property
    def correlation(self) -> str:
        """The business key of the saga; empty while it is not known."""
        drove = [each for each in self._history.of(entries.Drove) if each.saga == self.number]
        return drove[-1].correlation if drove else ""

    @property
    def ending(self) -> str:
        """How it ended: ``completed``, ``compensated``; empty while it has not, or while steps of it are not undone."""
        return ending(self._hands.performance.choreography, self._history, self.number) or ""

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
        return tuple(each.event for each in self._history.of(entries.Published) if each.saga == self.number)

    def timeline(self) -> str:
        """Return what happened to it, a line each."""
        return timeline(self._history, self.number)

    @property
    def _history(self) -> History:
        return self._hands.performance.history


class Saga(_Saga):
    """One saga, for async tests."""

    async def settled(self, within: float | None = None) -> Saga:
        """Wait until nothing is left to happen on the stage, and return the saga itself.

        Args:
            within: Seconds; the choreography's own ``quiet.within`` where None.

        Raises:
            AssertionError: Something was still moving at the deadline; the message says what.
        """
        __tracebackhide__ = True
        await self._hands.ask(self._hands.still(within))
        return self


class BlockingSaga(_Saga):
    """One saga, for tests that block."""

    def settled(self, within: float | None = None) -> BlockingSaga:
        """Wait until nothing is left to happen on the stage; see :meth:`Saga.settled`."""
        __tracebackhide__ = True
        self._hands.call(self._hands.still(within))
        return self


class _Stage:
    """What both kinds of stage can be asked at once."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands

    def __repr__(self) -> str:
        stage = self._hands.performance.stage
        return f"<{stage.means.kind} stage of {self.choreography.name}: {', '.join(stage.services)}>"

    @property
    def choreography(self) -> Choreography:
        """What runs on the stage."""
        return self._hands.performance.choreography

    @property
    def history(self) -> History:
        """What happened so far; it grows while the stage runs."""
        return self._hands.performance.history

    @property
    def address(self) -> dict[str, str]:
        """``host:port`` of each service that listens, by its name."""
        services = self._hands.performance.stage.scope["services"]
        assert isinstance(services, dict)
        return {name: parts["address"] for name, parts in services.items()}


class StageHandle(_Stage):
    """The stage, for async tests."""

    async def drive(self, driver: str, /, **data: Any) -> Saga:
        """Run a driver and return its saga.

        Args:
            driver: The driver's name.
            data: Top-level fields that replace the driver's own.

        Raises:
            DriverFailed: There is no such driver, or its stimulus was refused.
        """
        __tracebackhide__ = True
        return Saga(await self._hands.ask(self._hands.drive(driver, data)), self._hands)

    async def quiet(self, within: float | None = None) -> bool:
        """Wait until nothing is left to happen, or the deadline; return whether it fell silent."""
        __tracebackhide__ = True
        return await self._hands.ask(self._hands.performance.quiet(within))

    async def query(self, store: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask a store, and return its rows.

        Args:
            store: The store's name.
            sql: A query in the store's own words, with its own marks for parameters.
            parameters: One value for each mark.

        Raises:
            PlanError: There is no such store.
            StoreFailed: The store did not answer, or refused the query.
        """
        __tracebackhide__ = True
        return await self._hands.ask(self._hands.query(store, sql, parameters))

    async def kill(self, service: str) -> None:
        """Kill a service's whole process tree (SIGKILL).

        Raises:
            PlanError: There is no such service.
        """
        __tracebackhide__ = True
        await self._hands.ask(self._hands.kill(service))

    async def stop(self, service: str) -> None:
        """Ask a service to end, and wait until it has.

        Raises:
            PlanError: There is no such service.
        """
        __tracebackhide__ = True
        await self._hands.ask(self._hands.stop(service))

    async def start(self, service: str) -> None:
        """Start a service that does not run, and wait until it is ready.

        Raises:
            PlanError: There is no such service.
            ServiceFailed: It did not become ready.
        """
        __tracebackhide__ = True
        await self._hands.ask(self._hands.start(service))


class BlockingStage(_Stage):
    """The stage, for tests that block."""

    def drive(self, driver: str, /, **data: Any) -> BlockingSaga:
        """Run a driver and return its saga; see :meth:`StageHandle.drive`."""
        __tracebackhide__ = True
        return BlockingSaga(self._hands.call(self._hands.drive(driver, data)), self._hands)

    def quiet(self, within: float | None = None) -> bool:
        """Wait until nothing is left to happen, or the deadline; return whether it fell silent."""
        __tracebackhide__ = True
        return self._hands.call(self._hands.performance.quiet(within))

    def query(self, store: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask a store, and return its rows; see :meth:`StageHandle.query`."""
        __tracebackhide__ = True
        return self._hands.call(self._hands.query(store, sql, parameters))

    def kill(self, service: str) -> None:
        """Kill a service's whole process tree (SIGKILL); see :meth:`StageHandle.kill`."""
        __tracebackhide__ = True
        self._hands.call(self._hands.kill(service))

    def stop(self, service: str) -> None:
        """Ask a service to end, and wait until it has; see :meth:`StageHandle.stop`."""
        __tracebackhide__ = True
        self._hands.call(self._hands.stop(service))

    def start(self, service: str) -> None:
        """Start a service that does not run, and wait until it is ready; see :meth:`StageHandle.start`."""
        __tracebackhide__ = True
        self._hands.call(self._hands.start(service))
