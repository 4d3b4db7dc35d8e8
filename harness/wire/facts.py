"""What is heard on a link: facts in words that every broker shares.

A session decodes a protocol into these; interceptors and the history never see anything else. A protocol's own part
rides along in ``native`` (the decoded frame) for those who must have it. Every fact is told *before* its bytes go on,
so whoever hears it may still hold, change or drop them.

A message on a link has two numbers, both counted by the session and unique on that link: ``publish`` for a message that
the service sent, ``delivery`` for a message that it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Outcome: TypeAlias = Literal["ack", "nack", "reject"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which link, connection and channel a fact was heard on.

    Attributes:
        service: The service whose link it is.
        connection: The connection's ordinal on this link, from 1.
        channel: The protocol's own channel number; 0 where there is none.
        incarnation: Which start of the service was running, from 1.
    """

    service: str
    connection: int
    channel: int = 0
    incarnation: int = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it travels.

    Attributes:
        exchange: Where it was published to: an exchange, a topic; empty is RabbitMQ's default exchange.
        routing_key: The key it was published with.
        body: The payload, untouched.
        properties: The protocol's properties by their standard names (``message_id``, ``content_type``, ``type``, …),
            only those that are set.
        headers: Application headers.
    """

    exchange: str
    routing_key: str
    body: bytes
    properties: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection was opened and authenticated; ``client`` is what the client calls itself."""

    origin: Origin
    client: str = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """A connection, or one channel of it, came to its end.

    Attributes:
        origin: Channel 0 is the whole connection.
        by: Who ended it: ``service``, ``broker`` or ``misstep``.
        code: The protocol's reply code; 0 when the socket just closed.
        text: The reply text.
        clean: Whether it was ended in the protocol's own words, and without an error.
    """

    origin: Origin
    by: Literal["service", "broker", "misstep"]
    code: int = 0
    text: str = ""
    clean: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """The service sent a message towards the broker.

    Attributes:
        origin: Where.
        publish: Its number on this link.
        message: The message.
        confirming: Whether the channel is in confirm mode, so that a :class:`Confirmed` is due.
        mandatory: Whether the publisher asked to be told when no queue takes it.
        persistent: Whether it survives a restart of the broker, given a durable queue.
        transactional: Whether it is part of a protocol transaction that may still be rolled back.
    """

    origin: Origin
    publish: int
    message: Message
    confirming: bool = False
    mandatory: bool = False
    persistent: bool = False
    transactional: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The broker took responsibility for a published message (``ok``), or refused it."""

    origin: Origin
    publish: int
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Returned:
    """The broker gave a mandatory message back, since no queue took it; ``publish`` is None where it cannot be told."""

    origin: Origin
    publish: int | None
    message: Message
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The broker gave the service a message.

    Attributes:
        origin: Where.
        delivery: Its number on this link.
        queue: The queue it comes from; empty where it could not be told.
        message: The message.
        consumer: The consumer's tag; empty for a message that was polled (basic.get).
        redelivered: The broker's own redelivered flag.
        unsettled: Whether an acknowledgement is due; False under auto-ack.
        copy: Whether it is an artificial copy, made by misstep on this link.
    """

    origin: Origin
    delivery: int
    queue: str
    message: Message
    consumer: str = ""
    redelivered: bool = False
    unsettled: bool = True
    copy: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """The service settled a delivery; an acknowledgement of several is told as one fact for each.

    Attributes:
        origin: Where.
        delivery: The number of the delivery on this link.
        outcome: ``ack``, ``nack`` or ``reject``.
        requeue: Whether a refused message goes back to its queue.
        multiple: Whether it was part of one acknowledgement of several.
    """

    origin: Origin
    delivery: int
    outcome: Outcome
    requeue: bool = False
    multiple: bool = False


@dataclass(frozen=True, slots=True)
class DeclaredExchange:
    """An exchange was declared and the broker agreed."""

    origin: Origin
    exchange: str
    kind: str
    durable: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue was declared, not passively, and the broker agreed; ``queue`` is the name that the broker answered."""

    origin: Origin
    queue: str
    durable: bool = False
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """A queue (or exchange, where ``to_exchange``) was bound to an exchange, or unbound where not ``bound``."""

    origin: Origin
    source: str
    target: str
    routing_key: str
    to_exchange: bool = False
    bound: bool = True


@dataclass(frozen=True, slots=True)
class Deleted:
    """A queue (or exchange) was deleted or a queue was purged by the service."""

    origin: Origin
    what: Literal["queue", "exchange", "purge"]
    name: str


@dataclass(frozen=True, slots=True)
class Consuming:
    """A consumer was accepted by the broker.

    Attributes:
        origin: Where.
        queue: The queue it consumes.
        consumer: Its tag.
        auto_ack: Whether messages count as handled when they are sent.
        prefetch: How many unsettled messages it may hold; 0 is no bound.
    """

    origin: Origin
    queue: str
    consumer: str
    auto_ack: bool = False
    prefetch: int = 0


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A consumer was cancelled, by the service or, where ``by`` says so, by the broker."""

    origin: Origin
    consumer: str
    by: Literal["service", "broker"] = "service"


@dataclass(frozen=True, slots=True)
class PassedThrough:
    """Something that the session does not model went through untouched; ``what`` names it, such as ``tx.select``."""

    origin: Origin
    what: str
    size: int


Fact: TypeAlias = (
    Opened
    | Closed
    | Published
    | Confirmed
    | Returned
    | Delivered
    | Settled
    | DeclaredExchange
    | DeclaredQueue
    | Bound
    | Deleted
    | Consuming
    | Cancelled
    | PassedThrough
)
