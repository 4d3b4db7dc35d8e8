"""Messages that are out on a channel, and the order in which a channel settles them with its queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from misstep.harness.brokers.rabbitmq.model.queues import Consumer, Entry, Queue


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that is out on this channel.

    Attributes:
        queue: Where it came from.
        entry: Its place there.
        consumer: Who got it; None for ``basic.get``.
    """

    queue: Queue
    entry: Entry
    consumer: Consumer | None

    def give_room(self, count: int) -> None:
        """Let the consumer hold this many messages more."""
        if self.consumer is not None:
            self.consumer.unacked -= count


def by_queue(deliveries: Iterable[Delivery]) -> list[tuple[Queue, list[Entry]]]:
    """Group what is out by queue, and by consumer within."""
    grouped: dict[Queue, list[Entry]] = {}
    for (queue, _), group in by_consumer(deliveries):
        grouped.setdefault(queue, []).extend(delivery.entry for delivery in group)
    return list(grouped.items())


def by_consumer(deliveries: Iterable[Delivery]) -> list[tuple[tuple[Queue, str], list[Delivery]]]:
    """Group what is out by queue and consumer, in the order of the consumers' tags; ``basic.get`` comes first."""
    grouped: dict[tuple[Queue, str], list[Delivery]] = {}
    for delivery in deliveries:
        tag = delivery.consumer.tag if delivery.consumer is not None else ""
        grouped.setdefault((delivery.queue, tag), []).append(delivery)
    return sorted(grouped.items(), key=lambda item: item[0][1])
