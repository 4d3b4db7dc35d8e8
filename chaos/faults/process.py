"""Services that die, stop, or stand still."""

from __future__ import annotations

from typing import Literal

from misstep.chaos.faults.calm import Calm, Chores
from misstep.chaos.faults.delivery import checked
from misstep.chaos.faults.kind import Kind, Parameter, given, seconds, site
from misstep.chaos.triggers import Trigger, closed_by_us
from misstep.harness.disturbance import Ground, Tell
from misstep.harness.plan import Fault, Moment
from misstep.harness.wire.interceptor import FORWARD, Action, Heard, Kill

__all__ = ["KINDS", "crash", "pause", "stop"]

MOMENTS: tuple[Moment, ...] = ("publish", "published", "deliver", "ack", "acked", "drive", "quiet")
AFTER = ("published", "acked")


def crash(
    service: str,
    *,
    at: Literal["publish", "published", "deliver", "ack", "acked", "drive", "quiet"] = "ack",
    of: str = "",
    down: float | None = None,
    attempt: int = 1,
) -> Fault:
    """Kill a service (SIGKILL, its whole process tree) at a moment, and start it again, as a supervisor would.

    Args:
        service: Which.
        at: ``publish``: the message has left the service and never reaches the broker. ``published``: the broker has
            it. ``deliver``: the message never reaches the service. ``ack``: the acknowledgement never reaches the
            broker. ``acked``: the broker has it. ``drive``: before the first driver. ``quiet``: when all has fallen
            silent.
        of: The message, by event type (the first such) or by causal name; empty for whichever comes first.
        down: Seconds before it is started again; without it, at once.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        CRASH,
        Fault(kind="process.crash", at=site(at, of, service=service, attempt=attempt), with_=given(down=down)),
    )


def stop(
    service: str,
    *,
    at: Literal["publish", "published", "deliver", "ack", "acked", "drive"] = "drive",
    of: str = "",
    down: float | None = None,
    attempt: int = 1,
) -> Fault:
    """Stop a service in good order (SIGTERM), and start it again later: a deployment, an offline consumer.

    Args:
        service: Which.
        at: The moment at which it is told to stop; see :func:`crash`.
        of: The message, by event type (the first such) or by causal name; empty for whichever comes first.
        down: Seconds before it is started again; without it, when all has fallen silent.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        STOP, Fault(kind="process.stop", at=site(at, of, service=service, attempt=attempt), with_=given(down=down))
    )


def pause(
    service: str,
    *,
    at: Literal["publish", "published", "deliver", "ack", "acked", "drive"] = "deliver",
    of: str = "",
    by: float = 1.0,
    attempt: int = 1,
) -> Fault:
    """Let a service stand still (SIGSTOP) while its connections stay open, as a long collection of garbage does.

    Args:
        service: Which.
        at: The moment at which it freezes; see :func:`crash`.
        of: The message, by event type (the first such) or by causal name; empty for whichever comes first.
        by: Seconds.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        PAUSE, Fault(kind="process.pause", at=site(at, of, service=service, attempt=attempt), with_={"by": by})
    )


class Crash(Calm):
    """Kills a service, and starts it again once it is dead."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.down = seconds(fault, "down", 0.0)
        self.ground = ground
        self.tell = tell
        self.chores = Chores(ground)
        self.dying = False
        self.killed = False

    async def arm(self) -> None:
        """Kill it before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            self.kill()

    def intercept(self, heard: Heard) -> Action:
        """Kill it here, and hear when it is dead."""
        if self.trigger.pulled(heard):
            self.dying = True
            self.tell(f"{self.at.service} was killed at {self.at.moment} of {heard.message or heard.event}")
            return Kill(after=self.at.moment in AFTER)
        if self.dying and closed_by_us(heard.fact, self.at.service):
            self.dying = False
            self.chores.begin_later(self.down, self.restart)
        return FORWARD

    async def quiet(self) -> None:
        """Kill it in the first silence, where this is the moment."""
        if self.at.moment == "quiet" and not self.killed:
            self.kill()

    async def heal(self) -> None:
        """Have it run again, whether or not its restart was due."""
        await self.chores.done()
        if self.trigger.fired or self.killed:
            await self.restart()

    def kill(self) -> None:
        """Kill it now."""
        self.killed = True
        self.ground.kill(self.at.service)
        self.tell(f"{self.at.service} was killed")
        self.chores.begin_later(self.down, self.restart)

    async def restart(self) -> None:
        """Start it again, where it does not run."""
        await self.ground.start(self.at.service)


class Stop(Calm):
    """Stops a service in good order, and starts it again later."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.down = seconds(fault, "down", 0.0) if "down" in fault.with_ else None
        self.ground = ground
        self.tell = tell
        self.chores = Chores(ground)

    async def arm(self) -> None:
        """Stop it before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            await self.stop()

    def intercept(self, heard: Heard) -> Action:
        """Tell it to stop; what it is about to send or be given goes on meanwhile."""
        if self.trigger.pulled(heard):
            self.chores.begin(self.stop)
        return FORWARD

    async def heal(self) -> None:
        """Have it run again."""
        await self.chores.done()
        await self.restart()

    async def stop(self) -> None:
        """Stop it, and see to its return."""
        self.tell(f"{self.at.service} was stopped")
        await self.ground.stop(self.at.service)
        if self.down is not None:
            self.chores.begin_later(self.down, self.restart)

    async def restart(self) -> None:
        """Start it again, where it does not run."""
        await self.ground.start(self.at.service)


class Pause(Calm):
    """Freezes a service's processes for a while."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.by = seconds(fault, "by", 1.0)
        self.ground = ground
        self.tell = tell
        self.frozen = False

    async def arm(self) -> None:
        """Freeze it before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            self.freeze()

    def intercept(self, heard: Heard) -> Action:
        """Freeze it here."""
        if self.trigger.pulled(heard):
            self.freeze()
        return FORWARD

    async def heal(self) -> None:
        """Let it go on."""
        self.thaw()

    def freeze(self) -> None:
        """Freeze it now."""
        self.frozen = True
        self.ground.freeze(self.at.service, True)
        self.tell(f"{self.at.service} stood still for {self.by:g} s")
        self.ground.later(self.by, self.thaw)

    def thaw(self) -> None:
        """Let it go on, once."""
        if self.frozen:
            self.frozen = False
            self.ground.freeze(self.at.service, False)


DOWN = Parameter(takes="seconds", about="how long it is down")
CRASH = Kind(
    name="process.crash",
    about="A service is killed (SIGKILL) at a moment, and started again.",
    moments=MOMENTS,
    make=Crash,
    message=False,
    parameters={"down": DOWN},
)
STOP = Kind(
    name="process.stop",
    about="A service is stopped in good order, and started again later.",
    moments=MOMENTS[:-1],
    make=Stop,
    message=False,
    parameters={"down": DOWN},
)
PAUSE = Kind(
    name="process.pause",
    about="A service stands still (SIGSTOP) while its connections stay open.",
    moments=MOMENTS[:-1],
    make=Pause,
    message=False,
    parameters={"by": Parameter(takes="seconds", about="how long it stands still")},
)
KINDS = (CRASH, STOP, PAUSE)
