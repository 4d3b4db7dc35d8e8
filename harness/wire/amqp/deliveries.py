"""Deliveries, their settling, and artificial copies.

The client is given tags of the proxy's own, in the order in which it gets its messages. As long as nothing was held,
dropped or added on a channel these are the broker's tags, and frames go on as they came.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final

from misstep.harness.wire.amqp.channel import Channel, Consumer, Delivery
from misstep.harness.wire.amqp.connection import Connection
from misstep.harness.wire.amqp.content import Content, decode_properties, encode_content
from misstep.harness.wire.amqp.frames import METHOD, frame
from misstep.harness.wire.amqp.methods import ACK, DELIVER, GET_EMPTY, GET_OK, NACK, REJECT
from misstep.harness.wire.amqp.tables import encode_short
from misstep.harness.wire.facts import Delivered, Message, Outcome, PassedThrough, Settled
from misstep.harness.wire.interceptor import FORWARD, Action, Drop, Hold, Inject, Replace

_TAG = struct.Struct(">QB")
_METHOD = struct.Struct(">I")
_UNKNOWN: Final = 1 << 62
"""A delivery tag that no broker ever gave: acknowledging it raises the error that the client's own mistake deserves."""


@lru_cache(maxsize=1024)
def split_route(tail: bytes) -> tuple[str, str]:
    """Return the exchange and routing key that ``tail`` begins with.

    Raises:
        IndexError: They are cut off.
    """
    middle = 1 + tail[0]
    end = middle + 1 + tail[middle]
    return tail[1:middle].decode(errors="surrogateescape"), tail[middle + 1 : end].decode(errors="surrogateescape")


def decode_message(connection: Connection, channel: Channel, content: Content, route: tuple[str, str]) -> Message:
    """Return a content as a message; properties that cannot be decoded are left out, and that is told."""
    try:
        properties, headers = decode_properties(content.header)
    except (ValueError, IndexError, struct.error):
        connection.tell(PassedThrough(channel.origin, "malformed properties", len(content.header)))
        properties, headers = {}, {}
    return Message(route[0], route[1], content.body, properties, headers)


def on_deliver(connection: Connection, channel: Channel, content: Content) -> None:
    """Take a delivery to a consumer."""
    raw = content.method
    at = 12 + raw[11]
    tag = raw[12:at].decode(errors="surrogateescape")
    consumer = channel.consumers.get(tag)
    if consumer is None:
        consumer = channel.consumers[tag] = Consumer(tag, "")
    far, redelivered = _TAG.unpack_from(raw, at)
    tail = raw[at + 9 : -1]
    message = decode_message(connection, channel, content, split_route(tail))
    delivery = Delivery(
        channel, consumer, consumer.queue, content, tail, message, redelivered & 1 == 1, not consumer.auto_ack, far
    )
    if delivery.due:
        channel.taken.put(far, delivery)
    _offer(connection, delivery)


def on_get_ok(connection: Connection, channel: Channel, content: Content, queue: str, auto_ack: bool) -> None:
    """Take the answer to a poll."""
    far, redelivered = _TAG.unpack_from(content.method, 11)
    tail = content.method[20:-1]
    message = decode_message(connection, channel, content, split_route(tail[:-4]))
    delivery = Delivery(channel, None, queue, content, tail, message, redelivered & 1 == 1, not auto_ack, far)
    if delivery.due:
        channel.taken.put(far, delivery)
    _hand_over(connection, delivery)


def answer_poll(connection: Connection, channel: Channel, queue: str) -> bool:
    """Answer a poll of ``queue`` with an artificial copy, where one waits; return whether that was done."""
    copies = channel.polled.get(queue)
    if not copies or channel.requests:
        return False
    _hand_over(connection, copies.popleft())
    return True


def _offer(connection: Connection, delivery: Delivery) -> None:
    """Hand a delivery over, or let it wait for a place in its consumer's window."""
    consumer = delivery.consumer
    if consumer is None:
        delivery.channel.polled.setdefault(delivery.queue, deque()).append(delivery)
    elif consumer.waiting or (delivery.due and delivery.channel.full(consumer)):
        consumer.waiting.append(delivery)
    else:
        _hand_over(connection, delivery)


def _hand_over(connection: Connection, delivery: Delivery) -> None:
    """Tell a delivery and do what the answer says."""
    channel, consumer = delivery.channel, delivery.consumer
    delivery.number = next(connection.numbers.deliveries)
    connection.remember(delivery)
    fact = Delivered(
        channel.origin,
        delivery.number,
        delivery.queue,
        delivery.message,
        consumer.tag if consumer else "",
        delivery.redelivered,
        delivery.due,
        delivery.far == 0,
    )
    action = connection.ask(fact)
    if action is FORWARD:
        _give(connection, delivery)
    elif isinstance(action, Drop):
        channel.shifted = True
        if consumer is None and not connection.due:
            connection.down.append(frame(METHOD, channel.number, _METHOD.pack(GET_EMPTY) + b"\x00"))
    elif isinstance(action, Hold):
        channel.shifted = True
        connection.hold(channel, action.ticket, partial(_release, connection, delivery))
    else:
        if isinstance(action, Replace) and isinstance(action.fact, Delivered):
            _replace(connection, delivery, action.fact)
        _give(connection, delivery)
        if isinstance(action, Inject) and delivery.far:
            for _ in range(action.copies):
                _offer(connection, copy_of(delivery))


def _give(connection: Connection, delivery: Delivery) -> None:
    """Send a delivery to the client, under the client's next tag."""
    channel, consumer = delivery.channel, delivery.consumer
    if delivery.due:
        delivery.near = channel.given.add(delivery)
        if consumer is not None:
            consumer.unsettled += 1
            channel.unsettled += 1
    else:
        delivery.near = channel.given.number()
    content = delivery.content
    if delivery.near == delivery.far and content.method:
        connection.down += (content.method, content.header, *content.bodies)
        return
    channel.shifted = True
    connection.down += (_method(delivery), content.header, *content.bodies)


def _method(delivery: Delivery) -> bytes:
    consumer = delivery.consumer
    head = _METHOD.pack(DELIVER) + encode_short(consumer.tag) if consumer else _METHOD.pack(GET_OK)
    payload = head + _TAG.pack(delivery.near, delivery.redelivered) + delivery.tail
    return frame(METHOD, delivery.channel.number, payload)


def _replace(connection: Connection, delivery: Delivery, fact: Delivered) -> None:
    """Give a delivery another message."""
    message, old = fact.message, delivery.content
    try:
        rest = encode_content(delivery.channel.number, message, connection.frame_max, old.header)
        route = encode_short(message.exchange) + encode_short(message.routing_key)
    except TypeError as error:
        connection.fail(error)
        return
    count = delivery.tail[-4:] if delivery.consumer is None else b""
    delivery.tail, delivery.message = route + count, message
    delivery.redelivered = fact.redelivered
    delivery.content = Content(old.index, b"", rest, [], message.body)


def _release(connection: Connection, delivery: Delivery) -> bool:
    """Send a held delivery on, ahead of those that wait for a place; one whose consumer is gone goes back."""
    channel, consumer = delivery.channel, delivery.consumer
    if consumer is not None and consumer.gone:
        give_back(connection, [delivery])
        return False
    if consumer is not None and delivery.due and channel.full(consumer):
        consumer.waiting.appendleft(delivery)
    else:
        _give(connection, delivery)
    return True


def copy_of(delivery: Delivery, *, redelivered: bool = False) -> Delivery:
    """Return an artificial copy of a delivery, neither told nor given yet."""
    content = replace(delivery.content, method=b"")
    return replace(delivery, content=content, far=0, near=0, number=0, redelivered=redelivered)


def inject(connection: Connection, number: int) -> bool:
    """Deliver a copy of an earlier delivery; return False when its consumer or channel is gone, or it is forgotten."""
    delivery = connection.memory.get(number)
    if delivery is None or delivery.channel.gone or delivery.channel.closing:
        return False
    if delivery.consumer is not None and delivery.consumer.gone:
        return False
    _offer(connection, copy_of(delivery))
    return True


def give_back(connection: Connection, deliveries: list[Delivery]) -> None:
    """Return deliveries that the client never got to their queue; copies vanish."""
    for delivery in deliveries:
        if delivery.far and delivery.channel.taken.pop(delivery.far) is not None:
            delivery.channel.shifted = True
            connection.send(delivery.channel, _settlement(delivery.channel, NACK, delivery.far, 2))


def fill_windows(connection: Connection, channel: Channel) -> None:
    """Hand over what waits, as far as there is place now."""
    for consumer in list(channel.consumers.values()):
        while consumer.waiting and not channel.full(consumer) and not connection.due:
            delivery = consumer.waiting.popleft()
            if delivery.number:  # it was told before it was held
                _give(connection, delivery)
            else:
                _hand_over(connection, delivery)


@dataclass(slots=True)
class _Settling:
    """What becomes of one settlement frame: which deliveries it settles at the broker, and which were changed.

    Attributes:
        forwarded: The broker's tags of those that are settled as the client said.
        changed: Those that are settled in another way.
        untouched: Whether the frame itself can go on.
    """

    forwarded: list[int]
    changed: list[tuple[Delivery, Settled]]
    untouched: bool


def on_settle(connection: Connection, channel: Channel, raw: bytes, index: int) -> None:
    """Take an ack, nack or reject."""
    tag, bits = _TAG.unpack_from(raw, 11)
    multiple = index != REJECT and bits & 1 == 1
    requeue = (index == REJECT and bits & 1 == 1) or (index == NACK and bits & 2 == 2)
    outcome: Outcome = "ack" if index == ACK else "nack" if index == NACK else "reject"
    covered = channel.given.covered(tag, multiple)
    if not covered:
        _settle_unknown(connection, channel, raw, index)
        return
    settling = _Settling([], [], not channel.shifted)
    for near, delivery in covered:
        fact = Settled(channel.origin, delivery.number, outcome, requeue, multiple)
        action = connection.ask(fact)
        if connection.withheld:
            settling.untouched = False
            break
        _leave_client(channel, near, delivery)
        _apply(connection, delivery, fact, action, settling)
        if connection.due:
            settling.untouched = settling.untouched and near == covered[-1][0]
            break
    if settling.untouched:
        for far in settling.forwarded:
            channel.taken.pop(far)
        connection.send(channel, raw)
    else:
        _send_settlements(connection, channel, settling, index, bits)
    if not connection.due:
        fill_windows(connection, channel)


def _apply(connection: Connection, delivery: Delivery, fact: Settled, action: Action, settling: _Settling) -> None:
    """Note what an answer makes of the settling of one delivery."""
    if action is FORWARD and delivery.far:
        settling.forwarded.append(delivery.far)
        return
    settling.untouched = False
    delivery.channel.shifted = True
    if action is FORWARD:
        _settle_copy(connection, delivery, fact)
    elif isinstance(action, Replace) and isinstance(action.fact, Settled):
        settling.changed.append((delivery, action.fact))
    elif isinstance(action, Hold):
        connection.hold(delivery.channel, action.ticket, partial(_release_settlement, connection, delivery, fact))


def _send_settlements(connection: Connection, channel: Channel, settling: _Settling, index: int, bits: int) -> None:
    """Settle at the broker, by as many frames as it takes."""
    for number, several in channel.taken.settle(settling.forwarded) if settling.forwarded else ():
        own_bits = bits if index == REJECT else (bits & ~1) | several
        connection.send(channel, _settlement(channel, index, number, own_bits))
    for delivery, fact in settling.changed:
        _settle(connection, delivery, fact)


def _leave_client(channel: Channel, near: int, delivery: Delivery) -> None:
    channel.given.pop(near)
    if delivery.consumer is not None:
        delivery.consumer.unsettled -= 1
        channel.unsettled -= 1


def _settle_unknown(connection: Connection, channel: Channel, raw: bytes, index: int) -> None:
    """Pass on a settlement of nothing: right for tag 0, else a mistake for which the broker closes the channel."""
    tag, bits = _TAG.unpack_from(raw, 11)
    if tag == 0 and index != REJECT and bits & 1 and len(channel.taken):
        return  # all that the broker still waits for is held or dropped: the client means none of it
    if tag in channel.taken:
        raw = _settlement(channel, index, _UNKNOWN + tag, bits)
    connection.send(channel, raw)


def _settle(connection: Connection, delivery: Delivery, fact: Settled) -> None:
    """Settle one delivery as ``fact`` says, at the broker or, for a copy, here."""
    if not delivery.far:
        _settle_copy(connection, delivery, fact)
        return
    channel = delivery.channel
    channel.taken.pop(delivery.far)
    index = {"ack": ACK, "nack": NACK, "reject": REJECT}[fact.outcome]
    bits = 0 if index == ACK else int(fact.requeue) if index == REJECT else 2 * fact.requeue
    connection.send(channel, _settlement(channel, index, delivery.far, bits))


def _settle_copy(connection: Connection, delivery: Delivery, fact: Settled) -> None:
    """End a copy, or deliver it again when it was given back to its queue."""
    if fact.requeue and fact.outcome != "ack" and not (delivery.consumer and delivery.consumer.gone):
        _offer(connection, copy_of(delivery, redelivered=True))


def _release_settlement(connection: Connection, delivery: Delivery, fact: Settled) -> bool:
    _settle(connection, delivery, fact)
    return True


def _settlement(channel: Channel, index: int, tag: int, bits: int) -> bytes:
    return frame(METHOD, channel.number, _METHOD.pack(index) + _TAG.pack(tag, bits))


def on_recovered(connection: Connection, channel: Channel) -> None:
    """Note that the broker takes back everything unsettled and delivers it again; copies are delivered again here."""
    given = channel.given.clear()
    channel.taken.clear()
    channel.shifted = True
    channel.unsettled = 0
    for consumer in channel.consumers.values():
        consumer.unsettled = 0
        consumer.waiting = deque(each for each in consumer.waiting if not each.far)
    for delivery in given:
        fact = Settled(channel.origin, delivery.number, "nack", requeue=True, multiple=True)
        connection.tell(fact)
        if not delivery.far:
            _settle_copy(connection, delivery, fact)
