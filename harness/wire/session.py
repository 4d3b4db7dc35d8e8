"""The port of a protocol's session: one connection, heard in both directions, without any I/O.

A link feeds a session what it reads from either side. The session tells each fact to whoever hears (a function),
applies the :data:`~misstep.harness.wire.interceptor.Action` it answers, and leaves the bytes that are to go on in two
outboxes. A :class:`~misstep.harness.wire.interceptor.Cut` or ``Kill`` becomes :attr:`Session.due`: the link empties
the outboxes, makes the fault, calls :meth:`Session.end` and keeps the broker's side open until
:attr:`Session.drained`, because bytes that were sent before a reset may never be read, and what had left the service
before the fault must have its effect on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, Protocol, TypeAlias

from misstep.harness.wire.facts import Fact, Origin
from misstep.harness.wire.interceptor import Action, Cut, Kill

Side: TypeAlias = Literal["service", "broker"]
Hear: TypeAlias = Callable[[Fact], Action]
Fail: TypeAlias = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where a link's sessions get the numbers of messages from, so that they are unique on the link."""

    publishes: Iterator[int] = field(default_factory=lambda: count(1))
    deliveries: Iterator[int] = field(default_factory=lambda: count(1))


class Session(Protocol):
    """One connection of a link, in one protocol."""

    def from_service(self, data: bytes) -> None:
        """Take bytes that the service sent; they are ignored once a fault is due or awaited."""

    def from_broker(self, data: bytes) -> None:
        """Take bytes that the broker sent."""

    def take_for_service(self) -> bytes:
        """Empty the outbox towards the service."""

    def take_for_broker(self) -> bytes:
        """Empty the outbox towards the broker."""

    @property
    def due(self) -> Cut | Kill | None:
        """The fault that is to be made now, when the outboxes have been emptied."""

    @property
    def awaited(self) -> Cut | Kill | None:
        """The fault that is due once the broker is known to have a publish; the service is not heard until then."""

    def end(self) -> None:
        """Pass nothing more: the fault was made. Ask the broker for a sign that it has got everything sent before."""

    @property
    def drained(self) -> bool:
        """Whether, after :meth:`end`, the broker has got all that was sent, or never will."""

    def lost(self, by: Side) -> None:
        """Note that the socket of one side ended."""

    def release(self, ticket: str) -> bool:
        """See :meth:`~misstep.harness.wire.interceptor.Control.release`."""

    def inject(self, delivery: int) -> bool:
        """See :meth:`~misstep.harness.wire.interceptor.Control.inject`."""

    def held(self) -> tuple[str, ...]:
        """Return the tickets held on this connection."""

    def pending(self) -> int:
        """Count what is on its way: messages held or waiting, publishes not yet confirmed, unfinished frames."""

    @property
    def stirred(self) -> int:
        """How many frames were seen that mean activity, heartbeats apart."""


SessionFactory: TypeAlias = Callable[[Origin, Numbers, Hear, Fail], Session]
"""Makes the session of a connection. ``Fail`` is told of answers that could not be applied; the bytes go on then."""
