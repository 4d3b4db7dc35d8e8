"""Deliveries that repeat, arrive late, or arrive out of order.

Two kinds of repetition are told apart, since they find different bugs. A *redelivery* is genuine: the broker makes it,
with its redelivered flag, because an acknowledgement never reached it. A *duplicate* is an artificial copy, at once
(which finds races) or later (which finds state that was forgotten).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from misstep.chaos.faults.calm import Calm
from misstep.chaos.faults.kind import Kind, Parameter, check, count, given, seconds, site
from misstep.chaos.triggers import Trigger
from misstep.harness.disturbance import Ground, Tell
from misstep.harness.plan import Fault
from misstep.harness.wire.facts import Delivered, Settled
from misstep.harness.wire.interceptor import FORWARD, Action, Control, Heard, Hold, Inject, Replace

SOON = 0.25
"""Seconds after which a copy follows an original that came when all had been quiet before: longer than a handler."""

__all__ = ["KINDS", "delay", "duplicate", "redeliver", "reorder"]


def redeliver(what: str, *, to: str, times: int = 1, attempt: int = 1, queue: str = "") -> Fault:
    """Let the broker deliver a message again, though the service has handled and acknowledged it.

    The acknowledgement is replaced, on its way, by a refusal with requeue; to the service this is an acknowledgement
    that got lost.

    Args:
        what: The message, by event type (the first such) or by causal name.
        to: The service that consumes it.
        times: How many times in all it is delivered again.
        attempt: Which delivery's acknowledgement is lost first, from 1.
        queue: The queue it comes from, where the service has several for the event.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        REDELIVER,
        Fault(
            kind="delivery.redeliver",
            at=site("ack", what, service=to, queue=queue, attempt=attempt),
            with_=given(times=times if times != 1 else None),
        ),
    )


def duplicate(
    what: str,
    *,
    to: str,
    when: Literal["now", "later"] = "now",
    by: float | None = None,
    copies: int = 1,
    attempt: int = 1,
    queue: str = "",
) -> Fault:
    """Deliver artificial copies of a message to the same consumer.

    Args:
        what: The message, by event type (the first such) or by causal name.
        to: The service that consumes it.
        when: ``now`` is right behind the original, which finds races; ``later`` finds state that was forgotten.
        by: With ``later``: seconds after the original; without it, when all has fallen silent.
        copies: How many.
        attempt: Which delivery is copied, from 1.
        queue: The queue it comes from, where the service has several for the event.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        DUPLICATE,
        Fault(
            kind="delivery.duplicate",
            at=site("deliver", what, service=to, queue=queue, attempt=attempt),
            with_=given(when=when, by=by, copies=copies if copies != 1 else None),
        ),
    )


def delay(what: str, *, to: str, by: float | None = None, attempt: int = 1, queue: str = "") -> Fault:
    """Keep a delivery back; what comes behind it overtakes it.

    Args:
        what: The message, by event type (the first such) or by causal name.
        to: The service that consumes it.
        by: Seconds; without it, until all else has fallen silent, so that it arrives after the end.
        attempt: Which delivery is kept back, from 1.
        queue: The queue it comes from, where the service has several for the event.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        DELAY,
        Fault(
            kind="delivery.delay",
            at=site("deliver", what, service=to, queue=queue, attempt=attempt),
            with_=given(by=by),
        ),
    )


def reorder(what: str, *, to: str, behind: str | None = None, attempt: int = 1, queue: str = "") -> Fault:
    """Keep a delivery back until the service has handled another one, so that their order is turned round.

    Where no other one comes, the delivery is let go when all has fallen silent, and the fault has not fired. Where the
    one that is named has come first by itself, nothing need be held: their order is turned round already.

    Args:
        what: The message, by event type (the first such) or by causal name.
        to: The service that consumes it.
        behind: The event type that must overtake it; without it, whichever the service is given next.
        attempt: Which delivery is kept back, from 1.
        queue: The queue it comes from, where the service has several for the event.

    Raises:
        PlanError: A parameter is wrong.
    """
    return checked(
        REORDER,
        Fault(
            kind="delivery.reorder",
            at=site("deliver", what, service=to, queue=queue, attempt=attempt),
            with_=given(behind=behind),
        ),
    )


class Redelivery(Calm):
    """Replaces acknowledgements by refusals with requeue."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at, count(fault, "times", 1))
        self.tell = tell

    def intercept(self, heard: Heard) -> Action:
        """Change the acknowledgement on its way."""
        fact = heard.fact
        if isinstance(fact, Settled) and fact.outcome != "ack":
            return FORWARD
        if not self.trigger.pulled(heard) or not isinstance(fact, Settled):
            return FORWARD
        self.tell(f"the acknowledgement of {heard.message or heard.event} by {fact.origin.service} was lost")
        return Replace(replace(fact, outcome="nack", requeue=True))


class CopiesNow(Calm):
    """Sends copies right behind a delivery."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at)
        self.copies = count(fault, "copies", 1)
        self.tell = tell

    def intercept(self, heard: Heard) -> Action:
        """Send the copies behind the original."""
        if not self.trigger.pulled(heard):
            return FORWARD
        self.tell(f"{heard.message or heard.event} reached {heard.fact.origin.service} {self.copies + 1} times at once")
        return Inject(self.copies)


class CopiesLater(Calm):
    """Sends copies of a delivery after a while, or when all is quiet."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at)
        self.copies = count(fault, "copies", 1)
        self.by = seconds(fault, "by", 0.0) if "by" in fault.with_ else None
        self.ground = ground
        self.tell = tell
        self.original: tuple[Control, int, str] | None = None
        self.was_quiet = False

    def intercept(self, heard: Heard) -> Action:
        """Remember the original; one that comes after the silence, since another fault held it up, is copied soon."""
        if self.trigger.pulled(heard) and isinstance(heard.fact, Delivered):
            called = f"{heard.message or heard.event} reached {heard.fact.origin.service} again"
            self.original = (heard.control, heard.fact.delivery, called)
            if self.by is not None or self.was_quiet:
                self.ground.later(SOON if self.by is None else self.by, self.copy)
        return FORWARD

    async def quiet(self) -> None:
        """Copy now, where this is the moment."""
        self.was_quiet = True
        if self.by is None:
            self.copy()

    def copy(self) -> None:
        """Send the copies, unless the consumer is gone: then the fault has not fired."""
        if self.original is None:
            return
        control, delivery, called = self.original
        sent = sum(control.inject(delivery) for _ in range(self.copies))
        if sent:
            self.original = None
            self.tell(f"{called}, {sent} {'copy' if sent == 1 else 'copies'} later")


class Delay(Calm):
    """Holds a delivery for a while, or until all else is quiet."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at)
        self.by = seconds(fault, "by", 0.0) if "by" in fault.with_ else None
        self.ground = ground
        self.tell = tell
        self.held: tuple[Control, str] | None = None

    def intercept(self, heard: Heard) -> Action:
        """Hold the delivery."""
        if not self.trigger.pulled(heard):
            return FORWARD
        ticket = ticket_of("delay", heard)
        self.held = (heard.control, ticket)
        how_long = "until all else was quiet" if self.by is None else f"for {self.by:g} s"
        self.tell(f"{heard.message or heard.event} to {heard.fact.origin.service} was kept back {how_long}")
        if self.by is not None:
            self.ground.later(self.by, self.release)
        return Hold(ticket)

    async def quiet(self) -> None:
        """Let it go: it arrives after the end."""
        self.release()

    async def heal(self) -> None:
        """Let go what is still held."""
        self.release()

    def release(self) -> None:
        """Let go; where its connection is gone, the broker delivers it anew."""
        if self.held:
            (control, ticket), self.held = self.held, None
            control.release(ticket)


class Reordering(Calm):
    """Holds a delivery until the same service has handled another one."""

    def __init__(self, fault: Fault, ground: Ground, tell: Tell) -> None:
        self.trigger = Trigger(fault.at)
        self.behind = str(fault.with_.get("behind", ""))
        self.ground = ground
        self.tell = tell
        self.service = fault.at.service
        self.held: tuple[Control, str, Heard] | None = None
        self.overtaking: dict[int, Heard] = {}
        self.handled: dict[int, Heard] = {}

    def intercept(self, heard: Heard) -> Action:
        """Hold the one, and wait for the other to be settled."""
        if not self.trigger.pulled(heard):
            if heard.fact.origin.service == self.service:
                self.watch(heard)
            return FORWARD
        if first := next((one for one in self.handled.values() if one.saga == heard.saga), None):
            self.fired(first, heard, " by itself")
            return FORWARD
        ticket = ticket_of("reorder", heard)
        self.held = (heard.control, ticket, heard)
        return Hold(ticket)

    def watch(self, heard: Heard) -> None:
        """Notice who overtakes, and when that one has been handled."""
        fact = heard.fact
        if isinstance(fact, Delivered) and not fact.copy and self.overtakes(heard):
            self.overtaking[fact.delivery] = heard
            if not fact.unsettled:
                self.ground.later(0.0, lambda: self.turned(fact.delivery))
        elif isinstance(fact, Settled) and fact.outcome == "ack" and fact.delivery in self.overtaking:
            self.turned(fact.delivery)

    def overtakes(self, heard: Heard) -> bool:
        """Say whether it is another message: of the event that was asked for, or any that comes while one is held."""
        if self.behind:
            return heard.event == self.behind
        return self.held is not None and (heard.message, heard.queue) != (self.held[2].message, self.held[2].queue)

    def turned(self, delivery: int) -> None:
        """Let the late one go, now that it is late indeed."""
        first = self.handled[delivery] = self.overtaking.pop(delivery)
        if self.held and self.held[2].saga == first.saga:
            control, ticket, late = self.held
            self.held = None
            self.fired(first, late)
            control.release(ticket)

    def fired(self, first: Heard, late: Heard, how: str = "") -> None:
        """Tell which came first."""
        names = f"{first.message or first.event} before {late.message or late.event}"
        self.tell(f"{self.service} was given {names}{how}")

    async def quiet(self) -> None:
        """Let go what nothing has overtaken."""
        await self.heal()

    async def heal(self) -> None:
        """Let go what nothing has overtaken, without having fired."""
        if self.held:
            control, ticket, _ = self.held
            self.held = None
            control.release(ticket)


def ticket_of(what: str, heard: Heard) -> str:
    """Return a ticket that is unique on its link."""
    number = heard.fact.delivery if isinstance(heard.fact, Delivered) else 0
    return f"{what}/{heard.message}/{heard.queue}/{number}"


def copies(fault: Fault, ground: Ground, tell: Tell) -> CopiesNow | CopiesLater:
    """Put a duplicate to work: at once, or later."""
    return CopiesLater(fault, ground, tell) if fault.with_.get("when") == "later" else CopiesNow(fault, ground, tell)


def checked(kind: Kind, fault: Fault) -> Fault:
    """Return a fault that was just written, if it is right.

    Raises:
        PlanError: It is not.
    """
    check(kind, fault)
    return fault


REDELIVER = Kind(
    name="delivery.redeliver",
    about="The broker delivers a message again, though the service has acknowledged it.",
    moments=("ack",),
    make=Redelivery,
    parameters={"times": Parameter(takes="count", about="how often it is delivered again", least=1)},
)
DUPLICATE = Kind(
    name="delivery.duplicate",
    about="An artificial copy of a delivery reaches the same consumer, at once or later.",
    moments=("deliver",),
    make=copies,
    parameters={
        "when": Parameter(takes="choice", about="right behind the original, or later", choices=("now", "later")),
        "by": Parameter(takes="seconds", about="how much later; without it, when all is quiet"),
        "copies": Parameter(takes="count", about="how many", least=1),
    },
)
DELAY = Kind(
    name="delivery.delay",
    about="A delivery is kept back for a while, or until all else is quiet.",
    moments=("deliver",),
    make=Delay,
    parameters={"by": Parameter(takes="seconds", about="how long; without it, until all else is quiet")},
)
REORDER = Kind(
    name="delivery.reorder",
    about="A delivery is kept back until the service has handled another one.",
    moments=("deliver",),
    make=Reordering,
    parameters={"behind": Parameter(takes="event", about="the event that must overtake it; without it, any")},
)
KINDS = (REDELIVER, DUPLICATE, DELAY, REORDER)
