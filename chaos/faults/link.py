"""A service's connection to the broker: cut, or refused for a while."""

from __future__ import annotations

from typing import Literal

from misstep.chaos.faults.calm import Calm
from misstep.chaos.faults.delivery import checked
from misstep.chaos.faults.kind import Kind, Parameter, given, seconds, site
from misstep.chaos.triggers import Trigger, closed_by_us
from misstep.harness.disturbance import Ground, Tell
from misstep.harness.plan import Fault, Moment
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Heard

__all__ = ["KINDS", "cut", "refuse"]

MOMENTS: tuple[Moment, ...] = ("publish", "published", "deliver", "ack", "acked", "drive", "quiet")
AFTER = ("published", "acked")

At = Literal["publish", "published", "deliver", "ack", "acked", "drive", "quiet"]


def cut(service: str, *, at: At = "ack", of: str = "", attempt: int = 1) -> Fault:
    """Reset a service's connection to the broker at a moment; it may connect again at once.

    Args:
        service: Which.
        at: ``publish``: the message has left the service and never reaches the broker. ``published``: it is on its way
            to the broker, and no confirm comes back. ``deliver``: the message never reaches the service. ``ack``: the
            acknowledgement never reaches the broker. ``acked``: the broker has it. ``drive``, ``quiet``: all
            connections are reset.
        of: The message, by event type (the first such) or by causal name; empty for whichever comes first.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(CUT, Fault(kind="link.cut", at=site(at, of, service=service, attempt=attempt)))


def refuse(service: str, *, at: At = "drive", of: str = "", by: float | None = None, attempt: int = 1) -> Fault:
    """Reset all of a service's connections to the broker, and let it have no new one for a while.

    Args:
        service: Which.
        at: The moment at which it begins; see :func:`cut`.
        of: The message, by event type (the first such) or by causal name; empty for whichever comes first.
        by: Seconds; without it, until all has fallen silent.
        attempt: Which delivery of the message, from 1.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        REFUSE, Fault(kind="link.refuse", at=site(at, of, service=service, attempt=attempt), with_=given(by=by))
    )


class Cutting(Calm):
    """Resets a connection."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.ground = ground
        self.tell = tell
        self.was_quiet = False

    async def arm(self) -> None:
        """Cut before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            self.cut()

    def intercept(self, heard: Heard) -> Action:
        """Cut here."""
        if not self.trigger.pulled(heard):
            return FORWARD
        self.tell(f"{self.at.service}'s connection was cut at {self.at.moment} of {heard.message or heard.event}")
        return Cut(after=self.at.moment in AFTER)

    async def quiet(self) -> None:
        """Cut in the first silence, where this is the moment."""
        if self.at.moment == "quiet" and not self.was_quiet:
            self.was_quiet = True
            self.cut()

    def cut(self) -> None:
        """Cut all connections now; where there was none, nothing fired."""
        if number := self.ground.link(self.at.service).cut():
            self.tell(f"{number} of {self.at.service}'s connections were cut")


class Outage(Calm):
    """Resets connections, and refuses new ones for a while."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.at = fault.at
        self.trigger = Trigger(fault.at)
        self.by = seconds(fault, "by", 0.0) if "by" in fault.with_ else None
        self.ground = ground
        self.tell = tell
        self.refusing = False
        self.cutting = False
        self.was_quiet = False

    async def arm(self) -> None:
        """Begin before the first driver, where this is the moment."""
        if self.at.moment == "drive":
            self.begin()
            self.cut()

    def intercept(self, heard: Heard) -> Action:
        """Begin here: the answer cuts this connection, and the others follow it."""
        if self.trigger.pulled(heard):
            self.begin()
            self.cutting = True
            return Cut(after=self.at.moment in AFTER)
        if self.cutting and closed_by_us(heard.fact, self.at.service):
            self.cutting = False
            self.ground.later(0.0, self.cut)
        return FORWARD

    async def quiet(self) -> None:
        """Begin in the first silence, where this is the moment."""
        if self.at.moment == "quiet" and not self.was_quiet:
            self.was_quiet = True
            self.begin()
            self.cut()

    async def heal(self) -> None:
        """Let it connect again."""
        self.end()

    def begin(self) -> None:
        """Refuse from now on."""
        self.refusing = True
        self.ground.link(self.at.service).refuse(True)
        how_long = "until all was quiet" if self.by is None else f"for {self.by:g} s"
        self.tell(f"{self.at.service} could not reach the broker {how_long}")
        if self.by is not None:
            self.ground.later(self.by, self.end)

    def cut(self) -> None:
        """Cut all its connections."""
        self.ground.link(self.at.service).cut()

    def end(self) -> None:
        """Let it connect again, once."""
        if self.refusing:
            self.refusing = False
            self.ground.link(self.at.service).refuse(False)


CUT = Kind(
    name="link.cut",
    about="A service's connection to the broker is reset at a moment.",
    moments=MOMENTS,
    make=Cutting,
    message=False,
)
REFUSE = Kind(
    name="link.refuse",
    about="A service loses its connections to the broker, and gets no new one for a while.",
    moments=MOMENTS,
    make=Outage,
    message=False,
    parameters={"by": Parameter(takes="seconds", about="how long; without it, until all is quiet")},
)
KINDS = (CUT, REFUSE)
