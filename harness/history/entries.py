"""What a history is made of: one frozen dataclass for each kind of thing that can happen.

Entries are plain data, the same on every broker: a checker that reads them knows no protocol. Every entry has ``at``,
seconds since the run began. Outcomes are ``ok``, ``fail`` or ``unknown``, as in Jepsen: a call whose answer never
came is unknown.

A message is called by its causal name (:mod:`misstep.harness.history.causes`): ``1:order.placed/payment.taken``. A name
that starts with ``0:`` belongs to no saga of this run: it came from an earlier one, or from nobody known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from misstep.harness.choreography.words import Json
from misstep.harness.plan import Fault
from misstep.harness.wire.facts import Outcome

Result: TypeAlias = Literal["ok", "fail", "unknown"]
CauseKind: TypeAlias = Literal["driver", "declared", "inferred", "unknown"]
FaultChange: TypeAlias = Literal["armed", "fired", "healed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A service (or a driver, where ``service`` is empty) sent a message towards the broker.

    Attributes:
        at: When.
        message: Its causal name.
        event: Its event type.
        saga: The saga's ordinal; 0 when unknown.
        correlation: The business key it carries; empty when it has none.
        service: Who sent it.
        cause: The causal name of the message that led to it; empty when it starts a saga.
        cause_kind: ``declared`` by headers, ``inferred`` from service, correlation and order, or started by a
            ``driver``.
        depth: Length of its chain of causes, from 1.
        owed: The queues that were bound to take it when it was published; None when that is not known.
        exchange, routing_key: Where it was published to.
        id: The id that the producer gave it; empty when it gave none.
        confirming, mandatory, persistent, transactional: As on the wire.
        headers, properties: As on the wire, made plain.
        body: The payload: parsed JSON where it is JSON, else a text that shows it.
        size: Bytes of the payload.
        connection, channel: Where on the link; 0 for a driver's.
    """

    at: float
    message: str
    event: str
    saga: int = 0
    correlation: str = ""
    service: str = ""
    cause: str = ""
    cause_kind: CauseKind = "unknown"
    depth: int = 1
    owed: tuple[str, ...] | None = None
    exchange: str = ""
    routing_key: str = ""
    id: str = ""
    confirming: bool = False
    mandatory: bool = False
    persistent: bool = False
    transactional: bool = False
    headers: Mapping[str, Json] = field(default_factory=dict)
    properties: Mapping[str, Json] = field(default_factory=dict)
    body: Json = None
    size: int = 0
    connection: int = 0
    channel: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The broker took responsibility for a message, or refused it where not ``ok``."""

    at: float
    message: str
    service: str = ""
    ok: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The broker gave a mandatory message back: no queue took it."""

    at: float
    message: str
    service: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """A message reached a service.

    Attributes:
        at: When.
        message, event, saga: Which; a message that nobody was seen to publish has an empty ``message``.
        queue: The queue it came from.
        service: Who got it.
        attempt: Which delivery of the message to the queue it is, from 1; artificial copies are counted, too.
        delivery: Unique in this history: ties a :class:`Settled` to its delivery.
        redelivered: The broker's own flag.
        unsettled: Whether an acknowledgement is due; False under auto-ack.
        copy: Whether misstep made it.
        death: Queue that it was dead-lettered from; empty when it was not.
        incarnation: Which start of the service got it.
    """

    at: float
    message: str
    event: str
    saga: int = 0
    queue: str = ""
    service: str = ""
    attempt: int = 1
    delivery: int = 0
    redelivered: bool = False
    unsettled: bool = True
    copy: bool = False
    death: str = ""
    incarnation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A delivery was settled by the service, or by misstep in its stead.

    Attributes:
        at: When.
        message, queue, service, delivery: Which delivery.
        outcome: ``ack``, ``nack`` or ``reject``, as the broker was told.
        requeue: Whether it goes back to the queue.
        by: ``service``, or ``misstep`` where a fault changed the outcome; ``dropped`` where the broker was never told.
    """

    at: float
    message: str
    queue: str
    service: str
    delivery: int
    outcome: Outcome
    requeue: bool = False
    by: Literal["service", "misstep", "dropped"] = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A message never went on from a link: a fault dropped it on its way to the broker."""

    at: float
    message: str
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A service's connection opened or closed; ``clean`` where it ended in the protocol's own words, without error."""

    at: float
    service: str
    connection: int
    what: Literal["opened", "closed", "channel closed"]
    by: Literal["service", "broker", "misstep"] = "service"
    code: int = 0
    text: str = ""
    clean: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue was declared."""

    at: float
    queue: str
    service: str = ""
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange was declared."""

    at: float
    exchange: str
    kind: str
    service: str = ""
    durable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A queue (or exchange) was bound to an exchange, or unbound where not ``bound``."""

    at: float
    source: str
    target: str
    routing_key: str
    service: str = ""
    to_exchange: bool = False
    bound: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A consumer began, or ended where not ``consuming``."""

    at: float
    service: str
    queue: str
    consumer: str
    auto_ack: bool = False
    prefetch: int = 0
    consuming: bool = True
    by: Literal["service", "broker"] = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drove:
    """A driver's stimulus was given; ``correlation`` is how it knows its saga."""

    at: float
    saga: int
    driver: str
    result: Result
    correlation: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A service called an external.

    Attributes:
        at: When.
        external: Which.
        request: ``METHOD /path``.
        status: What it was answered; 0 when the answer could not be sent.
        once: The value of its idempotency key; empty when it has none.
        repeat: Whether an earlier call had the same idempotency key.
        headers, body: The request, secrets left out.
    """

    at: float
    external: str
    request: str
    status: int
    once: str = ""
    repeat: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Something happened to a service's process.

    Attributes:
        at: When.
        service: Which.
        what: ``started``, ``ready``, ``exited`` (by itself), ``stopped`` (asked to, gracefully), ``killed`` (by
            misstep).
        incarnation: Which start of the service it is, from 1.
        detail: An exit status, a signal, the last log line.
    """

    at: float
    service: str
    what: Literal["started", "ready", "exited", "stopped", "killed"]
    incarnation: int = 1
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent:
    """A fault was armed, fired, or healed; ``number`` is its place in the plan, from 1."""

    at: float
    number: int
    fault: Fault
    what: FaultChange
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A client looked at a view and saw another value than before; None where there was nothing to see."""

    at: float
    view: str
    saga: int
    value: str | None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An effect was counted at quiescence: by business key, for the keys of this run only.

    Attributes:
        at: When.
        effect: Which.
        counts: How often, by business key.
        error: Why it could not be counted; empty when it was.
    """

    at: float
    effect: str
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A probe was looked at, at quiescence.

    Attributes:
        at: When.
        probe: Which.
        saga: The saga it was scoped by; 0 when it looked at everything.
        value: What it saw, as plain JSON, columns to be ignored left out.
        error: Why it could not look; empty when it could.
    """

    at: float
    probe: str
    saga: int = 0
    value: Json = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """The run fell silent, or had not by the deadline.

    Attributes:
        at: When.
        quiet: Whether nothing was left to happen.
        moving: What was still moving, a line each; empty when quiet.
        waited: Seconds of silence that were asked for.
        queues: Messages left in each queue that has any, by queue.
    """

    at: float
    quiet: bool
    moving: tuple[str, ...] = ()
    waited: float = 0.0
    queues: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about the run itself that a reader of the verdict must know.

    Attributes:
        at: When.
        what: A short kind: ``passed through``, ``refused by the model``, ``own error``, ``bypass``.
        text: The detail.
        unknown: Whether it leaves the run's verdict unknown: the harness itself saw too little, or broke.
    """

    at: float
    what: str
    text: str
    unknown: bool = False


Entry: TypeAlias = (
    Published
    | Confirmed
    | Returned
    | Delivered
    | Settled
    | Lost
    | Connection
    | Queue
    | Exchange
    | Binding
    | Consumer
    | Drove
    | Called
    | Process
    | FaultEvent
    | Seen
    | Measured
    | Probed
    | Quiet
    | Note
)
