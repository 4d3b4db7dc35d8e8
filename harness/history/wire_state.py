"""What the wire knows at this moment: who consumes, what is unsettled or unconfirmed, when each service stirred.

Brokers are slow or silent about much of this (a management API lags by seconds, exclusive queues cannot be asked),
while the links have seen every frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from misstep.harness.wire.facts import Origin

Where: TypeAlias = tuple[str, int, int]
"""Service, connection, channel."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """A consumer as it stands."""

    service: str
    connection: int
    channel: int
    queue: str
    consumer: str
    auto_ack: bool = False
    prefetch: int = 0


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A delivery that the broker still waits for, or a publication whose confirm has not come.

    Attributes:
        service, connection, channel: Where.
        number: The delivery's number in the history, or the publication's on its link.
        message: The message's causal name.
        queue: The queue of a delivery.
        attempt: Which delivery or publication of the message it is.
        copy: Whether misstep made it, so that the broker does not wait for it.
        withheld: Whether the broker waits because misstep kept the delivery, or its settlement, to itself.
    """

    service: str
    connection: int
    channel: int
    number: int
    message: str
    queue: str = ""
    attempt: int = 1
    copy: bool = False
    withheld: bool = False


@dataclass(slots=True)
class WireState:
    """The state of all links of a stage.

    Attributes:
        consumers: By where they are and their tag.
        unsettled: By service and the delivery's number on its link.
        unconfirmed: By service and the publication's number on its link.
        backlog: Messages that were routed to each exclusive queue and not delivered yet.
        had_consumers: Who has consumed each queue at any time.
        stimulated: When each service was last given something to react to, by service.
        active: When each service last did anything on a link, by service.
        transactions: Where messages wait for a protocol's transaction to be committed.
    """

    consumers: dict[tuple[Where, str], Consuming] = field(default_factory=dict)
    unsettled: dict[tuple[str, int], Outstanding] = field(default_factory=dict)
    unconfirmed: dict[tuple[str, int], Outstanding] = field(default_factory=dict)
    backlog: Counter[str] = field(default_factory=Counter)
    had_consumers: dict[str, set[str]] = field(default_factory=dict)
    stimulated: dict[str, float] = field(default_factory=dict)
    active: dict[str, float] = field(default_factory=dict)
    transactions: set[Where] = field(default_factory=set)

    def consumer_count(self, service: str) -> int:
        """Return how many consumers a service has now."""
        return sum(1 for consumer in self.consumers.values() if consumer.service == service)

    def consumed(self, queue: str) -> bool:
        """Say whether any service on a link consumes a queue now."""
        return any(consumer.queue == queue for consumer in self.consumers.values())

    def began(self, consumer: Consuming) -> None:
        """Note a consumer."""
        where = consumer.service, consumer.connection, consumer.channel
        self.consumers[where, consumer.consumer] = consumer
        self.had_consumers.setdefault(consumer.queue, set()).add(consumer.service)

    def ended(self, origin: Origin, tag: str) -> Consuming | None:
        """Forget a consumer; return it where it was known."""
        return self.consumers.pop((_where(origin), tag), None)

    def withhold(self, service: str, number: int, *, withheld: bool = True) -> None:
        """Note that misstep itself keeps the broker waiting for a delivery's settlement, or no longer does."""
        held = self.unsettled.get((service, number))
        if held:
            self.unsettled[service, number] = replace(held, withheld=withheld)

    def withhold_publish(self, service: str, number: int, *, withheld: bool = True) -> None:
        """Note that misstep itself keeps a publication from the broker, or no longer does."""
        held = self.unconfirmed.get((service, number))
        if held:
            self.unconfirmed[service, number] = replace(held, withheld=withheld)

    def stirred(self, service: str, at: float, *, stimulus: bool = False) -> None:
        """Note that a service did something on a link, or was given something to react to."""
        self.active[service] = at
        if stimulus:
            self.stimulated[service] = at

    def closed(self, origin: Origin) -> list[Consuming]:
        """Forget all that a connection, or one channel of it, held; return the consumers that ended with it."""
        gone = [key for key, consumer in self.consumers.items() if _on(origin, consumer)]
        ended = [self.consumers.pop(key) for key in gone]
        for pending in (self.unsettled, self.unconfirmed):
            for number in [number for number, item in pending.items() if _on(origin, item)]:
                del pending[number]
        self.transactions = {where for where in self.transactions if not _covers(origin, where)}
        return ended

    def unsettled_in(self, queue: str) -> Iterator[Outstanding]:
        """Yield the deliveries of one queue that wait for their settlement."""
        return (item for item in self.unsettled.values() if item.queue == queue)


def _where(origin: Origin) -> Where:
    return origin.service, origin.connection, origin.channel


def _covers(origin: Origin, where: Where) -> bool:
    service, connection, channel = where
    same = (service, connection) == (origin.service, origin.connection)
    return same and origin.channel in (0, channel)


def _on(origin: Origin, item: Consuming | Outstanding) -> bool:
    return _covers(origin, (item.service, item.connection, item.channel))
