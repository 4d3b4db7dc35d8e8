"""The port of those who listen on a link, and the answers they may give.

A link tells each fact to its listener first (which records it and says what the message is called), then to the
interceptors in order. The first answer other than :data:`FORWARD` counts; later interceptors still hear the fact.

=============== ==================================================== ======================================
answer          may be given to                                      meaning
=============== ==================================================== ======================================
Forward         everything                                           the bytes go on, untouched
Hold            Published, Confirmed, Delivered, Settled             nothing goes on until ``Control.release``
Drop            Published, Confirmed, Returned, Delivered, Settled   the bytes never go on
Replace         Published, Delivered (the message); Settled          the changed fact goes on instead
Inject          Delivered                                            it goes on, and artificial copies follow at once
Cut             everything                                           the connection is reset, before or after them
Kill            everything                                           the service is killed, before or after them
=============== ==================================================== ======================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from misstep.harness.wire.facts import Confirmed, Delivered, Fact, Published, Returned, Settled


@dataclass(frozen=True, slots=True)
class Forward:
    """Let the bytes go on."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Keep this one back under ``ticket`` until it is released; what comes after it overtakes it."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Let the bytes vanish. A dropped delivery stays unacknowledged at the broker."""


@dataclass(frozen=True, slots=True)
class Replace:
    """Send ``fact`` on instead: the same publish, delivery or settlement with another message or outcome."""

    fact: Published | Delivered | Settled


@dataclass(frozen=True, slots=True)
class Inject:
    """Let the delivery go on and send ``copies`` artificial copies right behind it."""

    copies: int = 1


@dataclass(frozen=True, slots=True)
class Cut:
    """Reset the connection; where ``after``, only once the bytes have gone on."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the service (SIGKILL, its whole tree) and reset its connections; where ``after``, once the bytes are on.

    ``after`` on a :class:`~misstep.harness.wire.facts.Published` means once the broker is known to have it: confirmed,
    or, without confirms, once it has answered a synchronous request that was sent behind it.
    """

    after: bool = False


Action: TypeAlias = Forward | Hold | Drop | Replace | Inject | Cut | Kill

FORWARD = Forward()

_FITS: dict[type, tuple[type, ...]] = {
    Hold: (Published, Confirmed, Delivered, Settled),
    Drop: (Published, Confirmed, Returned, Delivered, Settled),
    Replace: (Published, Delivered, Settled),
    Inject: (Delivered,),
}


def misfit(action: Action, fact: Fact) -> str:
    """Say why ``action`` is no answer to ``fact``; empty when it is one."""
    fitting = _FITS.get(type(action))
    name = type(fact).__name__
    if fitting is not None and not isinstance(fact, fitting):
        return f"{action} is no answer to {name}: it answers {', '.join(each.__name__ for each in fitting)}"
    if fitting is None and not isinstance(action, Forward | Cut | Kill):
        return f"{action!r} is no answer to {name}: expected an Action, such as FORWARD"
    if isinstance(action, Replace) and type(action.fact) is not type(fact):
        return f"{action} is no answer to {name}: the fact that replaces it must be a {name}, too"
    return ""


class Control(Protocol):
    """What can be done to a link while it runs; every call is made on the stage's event loop."""

    def release(self, ticket: str) -> bool:
        """Send on what is held under ``ticket``; False when its connection is gone, so there is nothing to send."""

    def inject(self, delivery: int) -> bool:
        """Deliver an artificial copy of an earlier delivery to the same consumer; False when that consumer is gone."""

    def cut(self, connection: int | None = None) -> int:
        """Reset one connection, or all of the link; return how many were open."""

    def refuse(self, refused: bool) -> None:
        """While refused, new connections are accepted and reset at once, as from a host that is down."""

    def held(self) -> tuple[str, ...]:
        """Return the tickets that are held now."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact with the causal names that the recorder gave it.

    Attributes:
        fact: What was heard.
        control: The link it was heard on.
        message: The causal name of the message concerned, such as ``1:order.placed/payment.taken``; else empty.
        event: The message's event type; empty for other facts.
        saga: The driver's ordinal, from 1; 0 when it is not known.
        queue: The queue of a delivery or settlement.
        attempt: Which delivery of this message to this queue it is, from 1; 0 for facts that are no delivery.
    """

    fact: Fact
    control: Control
    message: str = ""
    event: str = ""
    saga: int = 0
    queue: str = ""
    attempt: int = 0


Listener: TypeAlias = Callable[[Fact, Control], Heard]
"""Records a fact and names it; called once for each fact, before any interceptor."""

Interceptor: TypeAlias = Callable[[Heard], Action]
"""Answers a fact; must return at once, since the link waits for it."""
