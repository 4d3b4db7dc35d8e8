"""What every broker answers, whichever protocol it speaks and wherever it runs.

A :class:`Broker` is one broker of one invocation. A :class:`Space` is the part of it that one run has for itself: a
virtual host in RabbitMQ, a topic prefix elsewhere. Spaces are cheap to make and to throw away; brokers are not.
"""

from __future__ import annotations

import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a TCP server listens.

    Attributes:
        host: A host name or address.
        port: The TCP port.
        tls: The TLS settings to dial with, or None for plain TCP.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; neither ``repr`` nor ``str`` shows the password."""

    user: str
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.user}:***"


@dataclass(frozen=True, slots=True)
class QueueState:
    """What a broker says of one queue (a partition or stream of another broker is a queue, too).

    Attributes:
        name: The queue's name.
        ready: Messages waiting for a consumer.
        unacked: Messages delivered and not settled; None where the broker cannot say at once (the wire knows).
        consumers: How many consumers it has.
        exclusive: Whether it belongs to one connection.
        ttl_due: Seconds until its next timer moves a message on to a dead-letter target; None when there is none.
        dead_letters: Whether what it discards goes to a dead-letter target.
        arguments: The arguments it was declared with.
    """

    name: str
    ready: int
    unacked: int | None
    consumers: int
    exclusive: bool = False
    ttl_due: float | None = None
    dead_letters: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """A binding: what reaches ``source`` with a matching ``key`` goes on to ``queue``.

    Attributes:
        source: The exchange (or topic).
        queue: The queue bound to it; an exchange where ``to_exchange``.
        key: The binding key, with the wildcards of the source's kind.
        kind: How the source matches keys: ``direct``, ``fanout`` or ``topic``.
        to_exchange: Whether ``queue`` names another exchange.
    """

    source: str
    queue: str
    key: str
    kind: str
    to_exchange: bool = False


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something about a broker that a reader of verdicts must know.

    Attributes:
        text: What it is.
        unknown: Whether what ran meanwhile proves nothing: the broker of the harness itself broke.
    """

    text: str
    unknown: bool = False


class Space(Protocol):
    """The part of a broker that one run has for itself."""

    @property
    def name(self) -> str:
        """The space's own name: a virtual host, a prefix."""

    @property
    def endpoint(self) -> Endpoint:
        """Where a link's proxy dials; services never get this address."""

    def url(self, host: str, port: int) -> str:
        """Return the URL, credentials and space included, that a service is given for its link at ``host:port``."""

    async def queues(self, names: Collection[str] | None = None) -> tuple[QueueState, ...]:
        """Ask for queues as they are now; exact in ``ready``, though perhaps not in ``unacked``.

        Args:
            names: The queues to ask for; one that is gone, or that is another connection's own, is left out. None asks
                for all that there are, which is slower.

        Raises:
            BrokerFailed: The broker did not answer.
        """

    async def routes(self) -> tuple[Route, ...]:
        """Ask for all bindings as they are now, exchange to exchange ones included.

        Raises:
            BrokerFailed: The broker did not answer.
        """

    async def publish(
        self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
    ) -> None:
        """Publish one persistent message and wait until the broker has confirmed it.

        Raises:
            BrokerFailed: It was not confirmed.
        """

    async def discard(self) -> None:
        """Throw the space away, with all that is in it; connections to it are closed by the broker."""


class Broker(Protocol):
    """One broker: started once an invocation, with a fresh :class:`Space` for each fresh run."""

    @property
    def protocol(self) -> str:
        """What it speaks: ``amqp``."""

    @property
    def version(self) -> str:
        """What it is, for reports: ``RabbitMQ 3.10.8``, ``model of RabbitMQ 3.10``."""

    def complaints(self) -> tuple[Complaint, ...]:
        """Return, once each, what went wrong in the broker itself or was asked of it in vain since the last call."""

    async def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            PartMissing: This machine does not have it.
            BrokerFailed: It did not start; the message has its last log lines.
        """

    async def space(self, name: str) -> Space:
        """Make a fresh space; ``name`` is unique within the invocation."""

    async def crash(self) -> None:
        """Kill it as a power cut would, with all connections.

        Raises:
            StageError: It is not ours to kill (a remote broker).
        """

    async def restart(self) -> None:
        """Start it again after :meth:`crash`, with the durable state it had."""

    async def close(self) -> None:
        """Stop it and remove everything it left on this machine."""
