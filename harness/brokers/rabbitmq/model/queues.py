"""A queue: messages that are ready, messages that are out with a consumer, and whose turn it is.

The rules are those of RabbitMQ 3.10's ``rabbit_amqqueue_process`` and ``rabbit_queue_consumers`` (classic queues) and
``rabbit_fifo`` (quorum queues).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from misstep.harness.brokers.rabbitmq.model.arguments import Limits
from misstep.harness.brokers.rabbitmq.model.message import Message
from misstep.harness.brokers.rabbitmq.model.tables import Table


@dataclass(eq=False, slots=True)
class Entry:
    """One message in one queue.

    Attributes:
        position: Its place in the order of arrival.
        message: The message.
        expires: When its time at the head of the queue is over; None for never.
        redelivered: Whether it was delivered before.
        returns: How often a quorum queue got it back.
        holder: Who has it while it is out: a consumer, or for ``basic.get`` the entry itself.
    """

    position: int
    message: Message
    expires: float | None = None
    redelivered: bool = False
    returns: int = 0
    holder: object = None


class Receiver(Protocol):
    """A channel, as its consumers' queues see it."""

    def has_room(self, consumer: Consumer) -> bool:
        """Return whether the prefetch limits let one more message through to this consumer."""

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Send one message to a consumer, and keep it as unacknowledged unless it needs no acknowledgement."""

    def cancelled(self, consumer: Consumer) -> None:
        """Tell the client that its consumer is gone, since its queue is."""


@dataclass(eq=False, slots=True)
class Consumer:
    """A subscription of one channel to one queue.

    Attributes:
        tag: The consumer tag, unique in its channel.
        channel: Who gets the messages.
        queue: Where they come from.
        no_ack: Whether a message is settled by being sent.
        exclusive: Whether nobody else may consume.
        prefetch: How many unacknowledged messages it may hold; 0 for any number.
        priority: Higher ones are served first, while they have room.
        unacked: How many it holds.
    """

    tag: str
    channel: Receiver
    queue: Queue
    no_ack: bool = False
    exclusive: bool = False
    prefetch: int = 0
    priority: int = 0
    unacked: int = 0


DeadLetter = Callable[["Queue", Entry, str], None]
"""Told of every message that a queue discards: the queue, the message, and RabbitMQ's reason."""


@dataclass(eq=False, slots=True)
class Queue:
    """One queue.

    Attributes:
        name: Its name.
        limits: What its arguments ask of it.
        arguments: The arguments themselves, as they were declared.
        discard: Told of every message it discards.
        durable: Whether it outlives a crash.
        auto_delete: Whether it goes with its last consumer.
        owner: The connection it is exclusive to, or None.
        used: When it was last used, for ``x-expires``.
        ready: Messages that wait, the next one first.
        unacked: Messages that are out, by position.
        consumers: Everybody who consumes, in the order of arrival.
        turns: The consumers that may have room, whose turn is next first.
        waiting: The consumers that had no room when it was their turn, in that order.
        had_consumers: Whether anybody ever consumed, for ``auto_delete``.
    """

    name: str
    limits: Limits
    arguments: Table
    discard: DeadLetter
    durable: bool = False
    auto_delete: bool = False
    owner: object | None = None
    used: float = 0.0
    ready: deque[Entry] = field(default_factory=deque)
    unacked: dict[int, Entry] = field(default_factory=dict)
    consumers: list[Consumer] = field(default_factory=list)
    turns: deque[Consumer] = field(default_factory=deque)
    waiting: list[Consumer] = field(default_factory=list)
    had_consumers: bool = False
    _next: int = 0
    _bytes: int = 0
    _returned: int = 0

    # Arrival

    def push(self, message: Message, now: float) -> bool:
        """Take one message in; False when the queue is full and rejects it."""
        if self.limits.overflow != "drop-head" and self._would_overflow(message):
            if self.limits.overflow == "reject-publish-dlx":
                self.discard(self, Entry(-1, message), "maxlen")
            return False
        entry = Entry(self._next, message, self._expiry(message, now))
        self._next += 1
        self.ready.append(entry)
        self._bytes += message.size
        self.serve(now)
        self._trim()
        return True

    def _expiry(self, message: Message, now: float) -> float | None:
        own = None if message.expiration is None else message.expiration / 1000
        times = [time for time in (own, self.limits.ttl) if time is not None]
        return now + min(times) if times else None

    def _would_overflow(self, message: Message) -> bool:
        limits = self.limits
        too_many = limits.max_length is not None and len(self.ready) + 1 > limits.max_length
        return too_many or (limits.max_bytes is not None and self._bytes + message.size > limits.max_bytes)

    def _trim(self) -> None:
        while self.ready and self.limits.overflow == "drop-head" and self._is_over():
            self.discard(self, self._take(), "maxlen")

    def _is_over(self) -> bool:
        limits = self.limits
        too_many = limits.max_length is not None and len(self.ready) > limits.max_length
        return too_many or (limits.max_bytes is not None and self._bytes > limits.max_bytes)

    def _take(self) -> Entry:
        entry = self.ready.popleft()
        self._bytes -= entry.message.size
        self._returned = max(0, self._returned - 1)
        return entry

    # Departure

    def serve(self, now: float) -> None:
        """Deliver to whoever has room, each in turn, and drop what is past its time."""
        while self.ready:
            consumer = self._whose_turn()
            if consumer is None:
                break
            self._hand_over(consumer, self._take())
        self.expire(now)

    def _whose_turn(self) -> Consumer | None:
        while self.turns:
            consumer = self.turns[0] if self.limits.single_active else self._highest_priority()
            if consumer.channel.has_room(consumer):
                if not self.limits.single_active:
                    self.turns.remove(consumer)
                    self.turns.append(consumer)
                return consumer
            if self.limits.single_active:
                return None
            self._make_wait(consumer)
        return None

    def _make_wait(self, consumer: Consumer) -> None:
        self.turns.remove(consumer)
        self.waiting.append(consumer)

    def _highest_priority(self) -> Consumer:
        return max(self.turns, key=lambda consumer: consumer.priority)

    def _hand_over(self, consumer: Consumer, entry: Entry) -> None:
        if not consumer.no_ack:
            self.unacked[entry.position] = entry
            entry.holder = consumer
            consumer.unacked += 1
        consumer.channel.deliver(consumer, entry)
        if self.limits.quorum and not self.limits.single_active and not consumer.channel.has_room(consumer):
            # rabbit_fifo takes a consumer out of turn when its credit ends, a classic queue when it is passed over.
            self._make_wait(consumer)

    def get(self, now: float, *, no_ack: bool) -> Entry | None:
        """Take the first message out for ``basic.get``; None when the queue is empty."""
        self.used = now
        self.expire(now)
        if not self.ready:
            return None
        entry = self._take()
        if not no_ack:
            self.unacked[entry.position] = entry
            entry.holder = entry
        return entry

    def expire(self, now: float) -> None:
        """Discard what is past its time at the head; what waits behind it waits on."""
        while self.ready and self.ready[0].expires is not None and self.ready[0].expires <= now:
            self.discard(self, self._take(), "expired")

    # Settlement

    def settle(self, entries: Iterable[Entry]) -> None:
        """Forget messages that were acknowledged."""
        for entry in entries:
            self.unacked.pop(entry.position, None)

    def reject(self, entries: Iterable[Entry]) -> None:
        """Discard messages that were refused for good."""
        for entry in entries:
            if self.unacked.pop(entry.position, None) is not None:
                self.discard(self, entry, "rejected")

    def requeue(self, entries: Iterable[Entry], now: float, *, refused: bool) -> None:
        """Put messages back: a classic queue where they stood, a quorum queue as ``rabbit_fifo`` does.

        Args:
            entries: What comes back, in the order in which a quorum queue is to take it.
            now: The time.
            refused: Whether the client sent it back, rather than losing its consumer, channel or connection.
        """
        order = entries if self.limits.quorum else sorted(entries, key=lambda entry: entry.position)
        for entry in order:
            if self.unacked.pop(entry.position, None) is None:
                continue
            entry.redelivered = True
            if self.limits.quorum:
                self._return(entry, refused=refused)
            else:
                self._put_back(entry)
            self._bytes += entry.message.size
        self._trim()
        self.serve(now)

    def _put_back(self, entry: Entry) -> None:
        place = 0
        if self.ready and self.ready[0].position < entry.position:
            place = sum(1 for other in self.ready if other.position < entry.position)
        self.ready.insert(place, entry)

    def _return(self, entry: Entry, *, refused: bool) -> None:
        entry.returns += 1
        limit = self.limits.delivery_limit
        if limit is not None and entry.returns > limit:
            self._bytes -= entry.message.size
            self.discard(self, entry, "delivery_limit")
        elif limit is None and refused:
            self.ready.append(entry)
        else:
            self.ready.insert(self._returned, entry)
            self._returned += 1

    def clear(self) -> None:
        """Drop everything, since the queue is deleted; what is out can no longer come back."""
        self.purge()
        self.unacked.clear()
        self.consumers.clear()
        self.turns.clear()
        self.waiting.clear()

    def purge(self) -> int:
        """Drop what is ready, dead-lettering nothing, and say how many messages that were."""
        count = len(self.ready)
        self.ready.clear()
        self._bytes = self._returned = 0
        return count

    # Consumers

    @property
    def consumer_count(self) -> int:
        """How many consumers a declaration is told of: a quorum queue counts everybody who still holds a message."""
        if not self.limits.quorum:
            return len(self.consumers)
        return len({*self.consumers, *(entry.holder for entry in self.unacked.values())})

    def add_consumer(self, consumer: Consumer, now: float) -> None:
        """Add a consumer and serve it."""
        self.consumers.append(consumer)
        self.turns.append(consumer)
        self.had_consumers = True
        self.used = now

    def remove_consumer(self, consumer: Consumer, now: float) -> bool:
        """Remove a consumer; True when the queue has to be deleted, since that was its last."""
        self.consumers.remove(consumer)
        if consumer in self.turns:
            self.turns.remove(consumer)
        if consumer in self.waiting:
            self.waiting.remove(consumer)
        self.used = now
        return self.auto_delete and self.had_consumers and not self.consumers

    def unblock(self) -> None:
        """Give consumers that have room again their turn, behind those that had it all the time."""
        free = [consumer for consumer in self.waiting if consumer.channel.has_room(consumer)]
        self.waiting = [consumer for consumer in self.waiting if consumer not in free]
        self.turns.extend(free)

    # Time

    def next_due(self) -> float | None:
        """When a timer of this queue fires next; None when none runs."""
        due = [time for time in (self.message_due(), self.unused_due()) if time is not None]
        return min(due) if due else None

    def message_due(self) -> float | None:
        """When the message at the head is past its time."""
        return self.ready[0].expires if self.ready else None

    def unused_due(self) -> float | None:
        """When the queue itself is past its time, since nobody uses it."""
        if self.limits.expires is None or self.consumers:
            return None
        return self.used + self.limits.expires

    def crash(self, now: float) -> None:
        """Keep what a durable queue keeps: persistent messages, those that were out among them."""
        survivors = sorted([*self.ready, *self.unacked.values()], key=lambda entry: entry.position)
        out = set(self.unacked)
        kept = [entry for entry in survivors if entry.message.persistent or self.limits.quorum]
        for entry in kept:
            if entry.position in out:
                entry.redelivered = True
                entry.returns += 1
        self.ready = deque(kept)
        self._bytes = sum(entry.message.size for entry in kept)
        self._returned = 0
        self.unacked.clear()
        self.consumers.clear()
        self.turns.clear()
        self.waiting.clear()
        self.used = now
