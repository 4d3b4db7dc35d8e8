"""A stand for a session: frames are put in by hand on either side, and what comes out is decoded and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from misstep.harness.wire.amqp.connection import Dial
from misstep.harness.wire.amqp.session import AmqpSession, amqp
from misstep.harness.wire.facts import Fact, Origin
from misstep.harness.wire.interceptor import FORWARD, Action
from misstep.harness.wire.session import Numbers
from pamqp import body, commands, frame, header, heartbeat

F = TypeVar("F")
Answer = Callable[[Fact], Action | None]


def marshal(method: frame.FrameTypes, channel: int = 1) -> bytes:
    return frame.marshal(method, channel)


def content(
    method: frame.FrameTypes,
    payload: bytes,
    properties: commands.Basic.Properties | None = None,
    *,
    channel: int = 1,
    size: int = 131064,
) -> bytes:
    parts = [marshal(method, channel), marshal(header.ContentHeader(0, len(payload), properties), channel)]
    parts += [marshal(body.ContentBody(payload[at : at + size]), channel) for at in range(0, len(payload), size)]
    return b"".join(parts)


def publish(payload: bytes, exchange: str = "", key: str = "q", *, channel: int = 1, mandatory: bool = False) -> bytes:
    return content(commands.Basic.Publish(0, exchange, key, mandatory), payload, channel=channel)


def deliver(
    tag: int, payload: bytes, *, consumer: str = "c", channel: int = 1, redelivered: bool = False, key: str = "q"
) -> bytes:
    return content(commands.Basic.Deliver(consumer, tag, redelivered, "", key), payload, channel=channel)


def ack(tag: int, *, multiple: bool = False, channel: int = 1) -> bytes:
    return marshal(commands.Basic.Ack(tag, multiple), channel)


def nack(tag: int, *, multiple: bool = False, requeue: bool = True, channel: int = 1) -> bytes:
    return marshal(commands.Basic.Nack(tag, multiple, requeue), channel)


def decoded(data: bytes) -> list[tuple[int, object]]:
    """Decode a stream of frames, as (channel, frame)."""
    frames = []
    while data:
        size, channel, each = frame.unmarshal(data)
        frames.append((channel, each))
        data = data[size:]
    return frames


def shown(data: bytes) -> list[object]:
    """Show a stream of frames for comparing: settlements and deliveries as tuples, other methods by name."""
    found: list[object] = []
    for _, each in decoded(data):
        match each:
            case commands.Basic.Ack():
                found.append(("ack", each.delivery_tag, each.multiple))
            case commands.Basic.Nack():
                found.append(("nack", each.delivery_tag, each.multiple, each.requeue))
            case commands.Basic.Reject():
                found.append(("reject", each.delivery_tag, each.requeue))
            case commands.Basic.Deliver() | commands.Basic.GetOk():
                found.append(["deliver", each.delivery_tag, each.redelivered])
            case commands.Basic.Publish():
                found.append(["publish"])
            case header.ContentHeader():
                found[-1].append(b"")  # type: ignore[union-attr]
            case body.ContentBody():
                found[-1][-1] += each.value  # type: ignore[index]
            case heartbeat.Heartbeat():
                found.append("Heartbeat")
            case _:
                found.append(each.name)
    return [tuple(each) if isinstance(each, list) else each for each in found]


@dataclass
class Stand:
    """A session of one connection on channel 1, opened unless told otherwise."""

    answer: Answer = lambda fact: FORWARD
    widen: int = 0
    dial: Dial | None = None
    opened: bool = True
    facts: list[Fact] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ready = not self.opened
        self.session: AmqpSession = amqp(widen=self.widen, dial=self.dial)(
            Origin("payment", 1), Numbers(), self._hear, self.failures.append
        )
        if self.opened:
            self.service(b"AMQP\x00\x00\x09\x01")
            self.broker(marshal(commands.Connection.Tune(0, 131072, 60), 0))
            self.service(marshal(commands.Connection.TuneOk(0, 131072, 60), 0))
            self.service(marshal(commands.Connection.Open("/"), 0))
            self.broker(marshal(commands.Connection.OpenOk(), 0))
            self.service(marshal(commands.Channel.Open()))
            self.broker(marshal(commands.Channel.OpenOk()))
            self.facts.clear()
            self._ready = True

    def _hear(self, fact: Fact) -> Action:
        self.facts.append(fact)
        return (self.answer(fact) or FORWARD) if self._ready else FORWARD

    def service(self, data: bytes) -> tuple[bytes, bytes]:
        """Let the service send ``data``; return what comes out towards the broker, and towards the service."""
        self.session.from_service(data)
        return self.session.take_for_broker(), self.session.take_for_service()

    def broker(self, data: bytes) -> tuple[bytes, bytes]:
        """Let the broker send ``data``; return what comes out towards the service, and towards the broker."""
        self.session.from_broker(data)
        return self.session.take_for_service(), self.session.take_for_broker()

    def consume(self, *, queue: str = "q", tag: str = "c", prefetch: int = 0, auto_ack: bool = False) -> None:
        """Start a consumer on channel 1."""
        if prefetch:
            self.service(marshal(commands.Basic.Qos(0, prefetch, False)))
            self.broker(marshal(commands.Basic.QosOk()))
        self.service(marshal(commands.Basic.Consume(0, queue, tag, False, auto_ack)))
        self.broker(marshal(commands.Basic.ConsumeOk(tag)))
        self.facts.clear()

    def confirm(self) -> None:
        """Put channel 1 into confirm mode."""
        self.service(marshal(commands.Confirm.Select()))
        self.broker(marshal(commands.Confirm.SelectOk()))

    def told(self, kind: type[F]) -> list[F]:
        """Return the facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]


def once(kind: type, number: int, action: Action) -> Answer:
    """Answer the fact of ``kind`` whose publish or delivery has this number; all else is forwarded."""

    def answer(fact: Fact) -> Action:
        mine = isinstance(fact, kind) and number in (getattr(fact, "publish", 0), getattr(fact, "delivery", 0))
        return action if mine else FORWARD

    return answer
