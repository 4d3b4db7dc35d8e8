"""What is known of one connection, and the ways out of it: facts to whoever hears, frames to either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from misstep.harness.brokers.port import Credentials
from misstep.harness.wire.amqp.channel import Channel, Delivery, Publication
from misstep.harness.wire.amqp.frames import METHOD, frame
from misstep.harness.wire.amqp.methods import CHANNEL_FLOW_OK
from misstep.harness.wire.facts import Closed, Fact, Origin
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Drop, Kill
from misstep.harness.wire.session import Fail, Hear, Numbers

WITHHELD: Final = Drop()
MEMORY: Final = 32 << 20
"""Bytes of earlier deliveries that are kept, a connection, so that copies can be made of them."""

_FLOW = b"\x00\x14\x00\x14\x01"
"""``channel.flow`` with active set: the one request that changes nothing and that every channel answers in order."""

Release: TypeAlias = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Dial:
    """What the session says in the client's stead, towards a broker that the service does not know.

    Attributes:
        credentials: Sent by SASL PLAIN instead of the client's; None leaves those.
        vhost: The virtual host to open instead of the client's; None leaves that.
    """

    credentials: Credentials | None = None
    vhost: str | None = None


@dataclass(slots=True, eq=False)
class Held:
    """Something that is kept back on a channel until :attr:`release` is called."""

    channel: Channel
    release: Release


@dataclass(slots=True, eq=False)
class Connection:
    """One connection of a service.

    Attributes:
        origin: Where its facts come from, as channel 0.
        numbers: Where its messages get their numbers from.
        hear: Answers facts.
        fail: Is told of answers that could not be applied.
        widen: How many more deliveries the broker is asked for than the client wants to have at once.
        dial: What is said in the client's stead.
        up: Frames to the broker.
        down: Frames to the service.
        channels: Channels that are open, by number.
        held: What is held, by ticket.
        memory: Earlier deliveries by number, as many as :data:`MEMORY` holds.
        remembered: The bytes of those.
        frame_max: The largest frame that was agreed on; 0 is no bound.
        client: What the client calls itself.
        ending: The fault that was answered, if any.
        due: Whether it is to be made now.
        awaits: Whether it waits for the broker to have a publish.
        awaited: The publish whose confirm it waits for; None where it waits for a reply.
        ended: Whether it was made, so that nothing passes any more.
        closing: Who sent ``connection.close``, if anybody did.
        closed: Whether the end was told.
    """

    origin: Origin
    numbers: Numbers
    hear: Hear
    fail: Fail
    widen: int = 0
    dial: Dial = Dial()
    up: list[bytes] = field(default_factory=list)
    down: list[bytes] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)
    held: dict[str, list[Held]] = field(default_factory=dict)
    memory: dict[int, Delivery] = field(default_factory=dict)
    remembered: int = 0
    frame_max: int = 0
    client: str = ""
    ending: Cut | Kill | None = None
    due: bool = False
    awaits: bool = False
    awaited: Publication | None = None
    ended: bool = False
    closing: Literal["", "service", "broker"] = ""
    closed: bool = False

    def channel(self, number: int) -> Channel:
        """Return a channel; one that was never opened is made up, since the broker will say what is wrong with it."""
        channel = self.channels.get(number)
        if channel is None:
            channel = self.channels[number] = Channel(number, replace(self.origin, channel=number))
        return channel

    @property
    def withheld(self) -> bool:
        """Whether what is being looked at must not go on, since a fault comes before it."""
        return self.due and self.ending is not None and not self.ending.after

    def ask(self, fact: Fact) -> Action:
        """Tell a fact and return the answer; a cut or kill becomes drop or forward, and is noted."""
        action = self.hear(fact)
        if action is FORWARD or not isinstance(action, Cut | Kill):
            return action
        if self.ended:
            return FORWARD
        self.ending, self.due = action, True
        return FORWARD if action.after else WITHHELD

    def tell(self, fact: Fact) -> bool:
        """Tell a fact that can only go on or end the connection; return whether its bytes may go on."""
        return self.ask(fact) is not WITHHELD

    def tell_closed(
        self, by: Literal["service", "broker", "misstep"], code: int = 0, text: str = "", *, clean: bool = False
    ) -> bool:
        """Tell once that the connection came to its end; return whether the bytes may go on."""
        if self.closed:
            return True
        self.closed = True
        return self.tell(Closed(self.origin, by, code, text, clean=clean))

    def send(self, channel: Channel, data: bytes) -> None:
        """Send the broker something that changes its state."""
        channel.unsynced = True
        self.up.append(data)

    def sync(self, channel: Channel, then: Callable[[bytes], None]) -> None:
        """Ask the broker for something harmless; its answer means that it has read all that was sent before."""
        channel.expect(then, CHANNEL_FLOW_OK, ours=True)
        self.up.append(frame(METHOD, channel.number, _FLOW))

    def hold(self, channel: Channel, ticket: str, release: Release) -> None:
        """Keep something back."""
        self.held.setdefault(ticket, []).append(Held(channel, release))

    def forget(self, channel: Channel) -> None:
        """Note that a channel is closed: what was held or copied for it is gone."""
        channel.gone = True
        if self.channels.get(channel.number) is channel:
            del self.channels[channel.number]
        for ticket, held in list(self.held.items()):
            kept = [each for each in held if each.channel is not channel]
            if kept:
                self.held[ticket] = kept
            else:
                del self.held[ticket]

    def remember(self, delivery: Delivery) -> None:
        """Keep a delivery that was told, for copies; the oldest are forgotten when there is no room."""
        self.memory[delivery.number] = delivery
        self.remembered += _size(delivery)
        while self.remembered > MEMORY and len(self.memory) > 1:
            oldest = self.memory.pop(next(iter(self.memory)))
            self.remembered -= _size(oldest)


def _size(delivery: Delivery) -> int:
    return 1024 + 2 * len(delivery.content.body)
