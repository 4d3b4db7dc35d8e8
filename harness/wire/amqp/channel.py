"""What is known of one channel: its consumers, what is unsettled and unconfirmed on it, and which replies are due."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from misstep.harness.wire.amqp.content import Assembler, Content
from misstep.harness.wire.amqp.tags import Outstanding
from misstep.harness.wire.facts import Message, Origin

OnReply: TypeAlias = Callable[[bytes], None]


@dataclass(slots=True, eq=False)
class Consumer:
    """A consumer, with the window that its client asked for.

    Attributes:
        tag: Its tag.
        queue: The queue it consumes.
        auto_ack: Whether its deliveries need no settling.
        prefetch: How many unsettled deliveries it may have; 0 is no bound.
        unsettled: How many it has.
        waiting: Deliveries that came while its window was full, or behind others that did.
        gone: Whether it was cancelled.
    """

    tag: str
    queue: str
    auto_ack: bool = False
    prefetch: int = 0
    unsettled: int = 0
    waiting: deque[Delivery] = field(default_factory=deque)
    gone: bool = False


@dataclass(slots=True, eq=False)
class Delivery:
    """A message on its way to the service, or there and unsettled.

    Attributes:
        channel: The channel it goes to.
        consumer: Its consumer; None for one that was polled.
        queue: The queue it comes from.
        content: What came, or what replaced it.
        tail: The end of the method, behind the redelivered octet.
        message: The message, decoded.
        redelivered: The redelivered flag.
        due: Whether it has to be settled.
        far: The broker's delivery tag; 0 for an artificial copy.
        near: The tag that the client was given; 0 as long as it has not got it.
        number: Its number on the link; 0 as long as it was not told.
    """

    channel: Channel
    consumer: Consumer | None
    queue: str
    content: Content
    tail: bytes
    message: Message
    redelivered: bool
    due: bool
    far: int = 0
    near: int = 0
    number: int = 0


@dataclass(slots=True, eq=False)
class Publication:
    """A message that the service published.

    Attributes:
        number: Its number on the link.
        message: The message as the broker got it.
        near: The number that the client expects its confirm under; 0 without confirms.
        far: The number that the broker confirms it under; 0 as long as the broker has not got it.
        confirmed: Whether the broker has confirmed it, so that it can no more be returned.
    """

    number: int
    message: Message
    near: int = 0
    far: int = 0
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Poll:
    """What a basic.get asked for."""

    queue: str
    auto_ack: bool


@dataclass(slots=True, eq=False)
class Request:
    """A request whose reply is due.

    Attributes:
        replies: The methods that answer it.
        then: Called with the reply's frame, before that goes on.
        ours: Whether the proxy asked, so that the reply is swallowed.
        poll: What was asked for, where it is a poll.
    """

    replies: tuple[int, ...]
    then: OnReply
    ours: bool = False
    poll: Poll | None = None


@dataclass(slots=True, eq=False)
class Channel:
    """One channel, from its opening to its end.

    Attributes:
        number: Its number.
        origin: Where its facts come from.
        consumers: Its consumers by tag.
        given: Deliveries by the tags that the client knows.
        taken: Deliveries by the tags that the broker knows.
        sent: Publications by the numbers that the client expects confirms for.
        passed: Publications by the numbers that the broker confirms.
        shifted: Whether the tags of deliveries ever differed between the two sides.
        renumbered: The same for confirms.
        confirming: Whether it is in confirm mode.
        transactional: Whether it is in transaction mode.
        prefetch: The window that new consumers get.
        shared: The window that all its consumers share; 0 is no bound.
        unsettled: How many deliveries its consumers have not settled.
        last_queue: What an empty queue name stands for.
        mandatory: Publications that may still be returned, oldest first.
        polled: Artificial copies that wait for the next poll of their queue.
        requests: Requests whose replies are due, in order.
        upward: The message that is coming from the service.
        downward: The message that is coming from the broker.
        unsynced: Whether the broker was sent something that it may not have read yet.
        closing: Whether a close was seen, and its answer not.
        muted: Whether the service closed it, and so ignores all but the answer.
        gone: Whether it is closed.
    """

    number: int
    origin: Origin
    consumers: dict[str, Consumer] = field(default_factory=dict)
    given: Outstanding[Delivery] = field(default_factory=Outstanding)
    taken: Outstanding[Delivery] = field(default_factory=Outstanding)
    sent: Outstanding[Publication] = field(default_factory=Outstanding)
    passed: Outstanding[Publication] = field(default_factory=Outstanding)
    shifted: bool = False
    renumbered: bool = False
    confirming: bool = False
    transactional: bool = False
    prefetch: int = 0
    shared: int = 0
    unsettled: int = 0
    last_queue: str = ""
    mandatory: deque[Publication] = field(default_factory=lambda: deque(maxlen=1024))
    polled: dict[str, deque[Delivery]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    upward: Assembler = field(default_factory=Assembler)
    downward: Assembler = field(default_factory=Assembler)
    unsynced: bool = False
    closing: bool = False
    muted: bool = False
    gone: bool = False

    def expect(self, then: OnReply, *replies: int, ours: bool = False) -> None:
        """Note that a reply is due, and what it will mean."""
        self.requests.append(Request(replies, then, ours))

    def reply(self, index: int) -> Request | None:
        """Return the oldest request that the method ``index`` answers, and forget it."""
        for at, request in enumerate(self.requests):
            if index in request.replies:
                return self.requests.pop(at)
        return None

    def full(self, consumer: Consumer) -> bool:
        """Whether a consumer's window, or the one it shares, has no place left."""
        return (0 < consumer.prefetch <= consumer.unsettled) or (0 < self.shared <= self.unsettled)

    def waiting(self) -> int:
        """Count the deliveries that wait for a place in a window."""
        return sum(len(consumer.waiting) for consumer in self.consumers.values())
