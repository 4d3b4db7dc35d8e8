"""Reading causal names: ``1:order.placed/payment.taken#2`` is of saga 1, and of event ``payment.taken``. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from misstep.chaos.faults.kind import CAUSAL
from misstep.harness.plan import Fault


def event_in(message: str) -> str:
    """Return the event type of a causal name: its last part, without ordinal."""
    last = CAUSAL.sub("", message, count=1).rpartition("/")[2]
    return re.sub(r"#\d+$", "", last)


def event_of(fault: Fault) -> str:
    """Return the event type of the message that a fault names; empty where it names none."""
    return fault.at.event or event_in(fault.at.message)


def saga_of(fault: Fault) -> int:
    """Return the ordinal of the saga whose message a fault names; 0 where it names none."""
    match = CAUSAL.match(fault.at.message)
    return int(match.group()[:-1]) if match else 0


def renumbered(fault: Fault, without: int) -> Fault:
    """Return a fault as it is named when the saga of that ordinal is not started."""
    saga = saga_of(fault)
    if saga <= without:
        return fault
    message = f"{saga - 1}:{fault.at.message.partition(':')[2]}"
    return replace(fault, at=replace(fault.at, message=message))
