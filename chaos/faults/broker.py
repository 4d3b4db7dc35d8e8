"""The broker itself: killed, and started again with what it had made durable."""

from __future__ import annotations

from typing import Literal

from misstep.chaos.faults.calm import Calm, Chores
from misstep.chaos.faults.delivery import checked
from misstep.chaos.faults.kind import Kind, Parameter, seconds, site
from misstep.chaos.triggers import Trigger
from misstep.harness.disturbance import Ground, Tell
from misstep.harness.plan import Fault
from misstep.harness.wire.facts import Confirmed, Published
from misstep.harness.wire.interceptor import FORWARD, Action, Drop, Heard

__all__ = ["KINDS", "crash"]


def crash(
    *,
    at: Literal["publish", "published", "deliver", "ack", "drive", "quiet"] = "drive",
    of: str = "",
    by: str = "",
    down: float = 0.5,
    attempt: int = 1,
) -> Fault:
    """Kill the broker at a moment, as a power cut would, and start it again with its durable state.

    Args:
        at: ``publish``: the message never reaches it. ``published``: it has confirmed the message, and the confirm
            gets lost (without confirms: it was sent the message). ``deliver``, ``ack``: the delivery or acknowledgement
            gets lost. ``drive``: before the first driver. ``quiet``: when all has fallen silent.
        of: The message, by event type (the first such) or by causal name; empty for ``drive`` and ``quiet``.
        by: The service that publishes or consumes the message; without it, any.
        down: Seconds before it is started again.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        CRASH, Fault(kind="broker.crash", at=site(at, of, service=by, attempt=attempt), with_={"down": down})
    )


class BrokerCrash(Calm):
    """Kills the broker, and starts it again."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.down = seconds(fault, "down", 0.5)
        self.ground = ground
        self.tell = tell
        self.chores = Chores(ground)
        self.awaited: Heard | None = None
        self.crashed = False
        self.was_quiet = False

    async def arm(self) -> None:
        """Crash it before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            await self.crash()

    def intercept(self, heard: Heard) -> Action:
        """Crash it here; what is on its way gets lost."""
        if self.awaited and isinstance(heard.fact, Confirmed) and heard.message == self.awaited.message:
            self.awaited = None
            return self.crash_here()
        if not self.trigger.pulled(heard):
            return FORWARD
        if self.at.moment == "published" and isinstance(heard.fact, Published):
            if heard.fact.confirming:
                self.awaited = heard
            else:
                self.ground.later(0.0, lambda: self.chores.begin(self.crash))
            return FORWARD
        return self.crash_here()

    def crash_here(self) -> Action:
        """Begin the crash, and lose what it interrupts."""
        self.chores.begin(self.crash)
        return Drop()

    async def quiet(self) -> None:
        """Crash it in the first silence, where this is the moment."""
        if self.at.moment == "quiet" and not self.was_quiet:
            self.was_quiet = True
            await self.crash()

    async def heal(self) -> None:
        """Have it run again."""
        await self.chores.done()
        await self.restart()

    async def crash(self) -> None:
        """Kill it, and see to its return."""
        self.crashed = True
        self.tell(f"the broker was killed, and was down for {self.down:g} s")
        await self.ground.crash_broker()
        self.chores.begin_later(self.down, self.restart)

    async def restart(self) -> None:
        """Start it again, once."""
        if self.crashed:
            self.crashed = False
            await self.ground.restart_broker()


CRASH = Kind(
    name="broker.crash",
    about="The broker is killed, and started again with its durable state.",
    moments=("publish", "published", "deliver", "ack", "drive", "quiet"),
    make=BrokerCrash,
    parameters={"down": Parameter(takes="seconds", about="how long it is down")},
    service=False,
)
KINDS = (CRASH,)
