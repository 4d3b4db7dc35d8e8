"""One run on a stage: arm the faults, drive, wait until it is quiet, heal, wait again, and look at the world.

What is quiet is decided by :mod:`misstep.harness.quiescence`; here the facts are gathered for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from misstep.harness.choreography.words import Choreography
from misstep.harness.disturbance import Arm, Disturbance
from misstep.harness.errors import DriverFailed, PlanError, StageError
from misstep.harness.history import entries
from misstep.harness.history.handling import learn_causes
from misstep.harness.history.history import History
from misstep.harness.outside.drivers import Driven
from misstep.harness.plan import Drive, Fault, Plan
from misstep.harness.stage.clients import Clients
from misstep.harness.stage.stage import Stage
from misstep.harness.stage.watch import Watch
from misstep.harness.wire.interceptor import Control


class Performance:
    """The run in progress; also the :class:`~misstep.harness.disturbance.Ground` that its faults stand on.

    Args:
        stage: Where.
        plan: What to drive, and which faults to make.
        arm: Makes faults of the plan's data.
        clean: Histories of fault-free runs of the same drives, to learn from.
    """

    def __init__(self, stage: Stage, plan: Plan, arm: Arm, clean: Sequence[History] = ()) -> None:
        self.stage = stage
        self.plan = plan
        self.warm = stage.runs > 0
        self.driven: list[Drive] = []
        self._fired = 0
        self.history = stage.begin(plan.seed, learn_causes(clean) if clean else None)
        self.clients = Clients(stage, seed=plan.seed)
        self.watch = Watch(stage, clean, self._pending)
        self._timers: set[asyncio.TimerHandle] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._faults = [self._at_work(number, fault, arm) for number, fault in enumerate(plan.faults, 1)]

    async def perform(self) -> History:
        """Run the whole plan and return what happened; an error of the stage is noted in it, and leaves it unknown.

        Raises:
            PlanError: The plan does not fit the choreography.
        """
        try:
            await self.begin()
            for drive in self.plan.drives:
                await self.drive(drive)
        except StageError as error:
            self.note("stage failed", str(error))
            await self.end()
            return History(self.history)
        except BaseException as error:
            self._broke(error)
            await self.end()
            raise
        return await self.conclude()

    async def conclude(self) -> History:
        """Let the run come to its end and return what happened; an error of the stage leaves it unknown."""
        try:
            await self.finish()
        except StageError as error:
            self.note("stage failed", str(error))
        except BaseException as error:
            self._broke(error)
            raise
        finally:
            await self.end()
        return History(self.history)  # what still happens on the stage is no part of this run

    async def begin(self) -> None:
        """Arm every fault.

        Raises:
            PlanError: A fault does not fit the choreography.
        """
        await self.clients.begin()
        for number, disturbance in enumerate(self._faults, 1):
            await disturbance.arm()
            self._fault_event(number, "armed")
        self.stage.interceptors[:] = [disturbance.intercept for disturbance in self._faults]

    async def drive(self, drive: Drive) -> Driven:
        """Run a driver; its saga's views are watched from then on.

        Raises:
            DriverFailed: There is no such driver.
        """
        if drive.driver not in self.choreography.drivers:
            known = ", ".join(self.choreography.drivers) or "none is declared"
            raise DriverFailed(f"there is no driver {drive.driver!r}; drivers: {known}")
        self.driven.append(drive)
        return await self.clients.drive(len(self.driven), drive)

    async def quiet(self, within: float | None = None) -> bool:
        """Wait until nothing is left to happen, or the deadline; record which it was."""
        return await self._still(within)

    async def finish(self) -> None:
        """Wait until it is quiet, heal every fault, wait again, and look at the world.

        A fault may come to its moment only because another one healed: then all is done once more.
        """
        await self._still(healed=not self._faults)
        for _ in range(len(self._faults) + 1 if self._faults else 0):
            for disturbance in self._faults:
                await disturbance.quiet()
            await self.heal()
            fired = self._fired
            await self._still(back=True)
            if self._fired == fired:
                break
        await self.clients.look()

    async def heal(self) -> None:
        """Undo what faults do."""
        for number, disturbance in enumerate(self._faults, 1):
            await disturbance.heal()
            self._fault_event(number, "healed")

    async def end(self) -> None:
        """Stop watching, and leave the stage as it was: no timer, no interceptor, no fault."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self.stage.interceptors.clear()
        try:
            await self.clients.close()
        finally:
            for disturbance in self._faults:
                await self._undo(disturbance)
        self._report_links()
        for complaint in self.stage.means.broker.complaints():
            self.note("broker", complaint.text, unknown=complaint.unknown)

    def note(self, what: str, text: str, *, unknown: bool = True) -> None:
        """Record something about the run itself; where ``unknown``, it cannot be valid, and its stage is spoilt."""
        self.history.append(entries.Note(at=self.now(), what=what, text=text, unknown=unknown))
        if unknown:
            self.stage.spoilt = self.stage.spoilt or text

    # -- the ground that faults stand on

    @property
    def choreography(self) -> Choreography:
        """What runs here."""
        return self.stage.choreography

    def now(self) -> float:
        """Return seconds since the run began."""
        return self.stage.now()

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Call ``action`` after ``delay`` seconds; the run is not quiet until then."""

        def fire() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay, fire)
        self._timers.add(timer)

    def link(self, service: str) -> Control:
        """Return a service's link to the broker, as the recorder sees it."""
        return self.stage.recorder.control(self.stage.link(service))

    def store_link(self, service: str, store: str) -> Control:
        """Return a service's link to a TCP store."""
        return self.stage.store_link(service, store)

    def kill(self, service: str) -> None:
        """Kill the service's whole process tree at once; it stays down."""
        self._known(service)
        self.stage.kill(service)

    async def stop(self, service: str) -> None:
        """Ask the service to end and wait until it has."""
        self._known(service)
        await self.stage.stop(service)

    async def start(self, service: str) -> None:
        """Start the service and wait until it is ready; one that ended by itself is not ours to bring back."""
        self._known(service)
        if self.stage.is_down(service):
            await self.stage.start(service)

    def freeze(self, service: str, frozen: bool) -> None:
        """Suspend the service's processes, or let them go on."""
        self._known(service)
        self.stage.freeze(service, frozen)

    async def crash_broker(self) -> None:
        """Kill the broker as a power cut would."""
        await self.stage.means.broker.crash()

    async def restart_broker(self) -> None:
        """Start the broker again, with the durable state it had."""
        await self.stage.means.broker.restart()

    # -- within

    async def _undo(self, disturbance: Disturbance) -> None:
        """Heal a fault, whatever it is worth; one that breaks must not keep the others from it."""
        try:
            await disturbance.heal()
        except StageError as error:
            self.note("stage failed", f"while healing: {error}")
        except Exception as error:
            self.note("own error", f"while healing: {type(error).__name__}: {error}")

    def _broke(self, error: BaseException) -> None:
        """Spoil the stage of a run that was left in its middle: nobody knows what is still under way."""
        self.stage.spoilt = self.stage.spoilt or f"a run on it broke off: {type(error).__name__}: {error}"

    async def _still(self, within: float | None = None, *, healed: bool = True, back: bool = False) -> bool:
        seen = await self.watch.wait(within, healed=healed, back=back)
        self.history.append(seen)
        return seen.quiet

    def _known(self, service: str) -> None:
        if service not in self.stage.services:
            raise PlanError(f"there is no service {service!r}; services: {', '.join(self.stage.services)}")

    def _at_work(self, number: int, fault: Fault, arm: Arm) -> Disturbance:
        return arm(fault, self, lambda detail: self._fault_event(number, "fired", detail))

    def _fault_event(self, number: int, what: entries.FaultChange, detail: str = "") -> None:
        self._fired += what == "fired"
        fault = self.plan.faults[number - 1]
        self.history.append(entries.FaultEvent(at=self.now(), number=number, fault=fault, what=what, detail=detail))

    def _pending(self) -> list[str]:
        """Say what is still to come of the run's own making."""
        lines = [f"{len(self._timers)} timers of faults"] if self._timers else []
        return [*lines, f"{self.clients.driving} drivers in flight"] if self.clients.driving else lines

    def _report_links(self) -> None:
        """Note what went wrong in our own links, and what they did not understand."""
        for name, link in self.stage.links.items():
            for error in link.errors:
                self.note("own error", f"link of {name}: {type(error).__name__}: {error}")
            link.errors.clear()
