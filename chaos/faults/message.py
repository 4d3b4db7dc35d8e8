"""Messages that are not what they were: poison for those who consume them."""

from __future__ import annotations

from dataclasses import replace

from misstep.chaos.faults.calm import Calm
from misstep.chaos.faults.delivery import checked
from misstep.chaos.faults.kind import Kind, Parameter, count, given, site
from misstep.chaos.triggers import Trigger
from misstep.harness.disturbance import Ground, Tell
from misstep.harness.plan import Fault
from misstep.harness.wire.facts import Delivered
from misstep.harness.wire.interceptor import FORWARD, Action, Heard, Replace

__all__ = ["KINDS", "corrupt"]

GARBAGE = b"\xff\x00{misstep: no such thing"
"""Neither UTF-8 nor JSON, so that whatever reads it as either must fail."""


def corrupt(what: str, *, to: str, times: int = 1, attempt: int = 1, queue: str = "") -> Fault:
    """Deliver a message with a body that cannot be read.

    A service that puts it back, or has it delivered again, is given the true body the next time, unless ``times`` says
    otherwise. Many correct services discard what they cannot read: a search tries this only where it is asked for.

    Args:
        what: The message, by event type (the first such) or by causal name.
        to: The service that consumes it.
        times: How many deliveries of it are corrupt; 0 is all of them, which makes it poison.
        attempt: Which delivery is the first corrupt one, from 1.
        queue: The queue it comes from, where the service has several for the event.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        CORRUPT,
        Fault(
            kind="message.corrupt",
            at=site("deliver", what, service=to, queue=queue, attempt=attempt),
            with_=given(times=times if times != 1 else None),
        ),
    )


class Corruption(Calm):
    """Replaces the bodies of deliveries."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at, count(fault, "times", 1))
        self.tell = tell

    def intercept(self, heard: Heard) -> Action:
        """Replace the body."""
        fact = heard.fact
        if not self.trigger.pulled(heard) or not isinstance(fact, Delivered):
            return FORWARD
        self.tell(f"{heard.message or heard.event} reached {fact.origin.service} with an unreadable body")
        return Replace(replace(fact, message=replace(fact.message, body=GARBAGE)))


CORRUPT = Kind(
    name="message.corrupt",
    about="A message is delivered with a body that cannot be read.",
    moments=("deliver",),
    make=Corruption,
    parameters={"times": Parameter(takes="count", about="how many deliveries of it; 0 is all")},
)
KINDS = (CORRUPT,)
