"""Publishes, their confirms and returns.

In confirm mode both sides count publishes from 1 (https://www.rabbitmq.com/docs/confirms). A publish that is dropped or
held has a number at the client and none, or a later one, at the broker, so confirms are mapped from one count to the
other.
"""

from __future__ import annotations

import struct
from functools import lru_cache, partial

from misstep.harness.wire.amqp.channel import Channel, Publication
from misstep.harness.wire.amqp.connection import Connection
from misstep.harness.wire.amqp.content import Content, encode_content
from misstep.harness.wire.amqp.deliveries import decode_message, split_route
from misstep.harness.wire.amqp.frames import METHOD, frame
from misstep.harness.wire.amqp.methods import ACK, NACK, PUBLISH
from misstep.harness.wire.amqp.tables import encode_short
from misstep.harness.wire.facts import Confirmed, Published, Returned
from misstep.harness.wire.interceptor import FORWARD, Hold, Replace

_TAG = struct.Struct(">QB")
_METHOD = struct.Struct(">I")


@lru_cache(maxsize=1024)
def _destination(payload: bytes) -> tuple[tuple[str, str], int]:
    """Return where a basic.publish goes (exchange and routing key), and its bits (mandatory, immediate)."""
    middle = 3 + payload[2]
    end = middle + 1 + payload[middle]
    return split_route(payload[2:end]), payload[end]


def on_publish(connection: Connection, channel: Channel, content: Content) -> None:
    """Take a publish."""
    route, bits = _destination(content.method[11:-1])
    message = decode_message(connection, channel, content, route)
    publication = Publication(next(connection.numbers.publishes), message)
    if channel.confirming:
        publication.near = channel.sent.add(publication)
    fact = Published(
        channel.origin,
        publication.number,
        message,
        channel.confirming,
        bits & 1 == 1,
        message.properties.get("delivery_mode") == 2,
        channel.transactional,
    )
    action = connection.ask(fact)
    if action is FORWARD:
        _pass(connection, channel, publication, fact, (content.method, content.header, *content.bodies))
        if connection.due:
            _await(connection, channel, publication)
    elif isinstance(action, Hold):
        channel.renumbered = True
        raw = (content.raw,)
        connection.hold(channel, action.ticket, partial(_release, connection, channel, publication, fact, raw))
    elif isinstance(action, Replace) and isinstance(action.fact, Published):
        changed = _encode(connection, channel, content, action.fact)
        _pass(connection, channel, publication, action.fact if changed else fact, (changed or content.raw,))
    else:
        channel.renumbered = True


def _pass(
    connection: Connection, channel: Channel, publication: Publication, fact: Published, raw: tuple[bytes, ...]
) -> None:
    """Send a publish to the broker, under the broker's next number."""
    if fact.mandatory:
        publication.message = fact.message
        channel.mandatory.append(publication)
    if publication.near:
        publication.far = channel.passed.add(publication)
        if publication.far != publication.near:
            channel.renumbered = True
    channel.unsynced = True
    connection.up += raw


def _release(
    connection: Connection, channel: Channel, publication: Publication, fact: Published, raw: tuple[bytes, ...]
) -> bool:
    if channel.closing:
        return False
    _pass(connection, channel, publication, fact, raw)
    return True


def _await(connection: Connection, channel: Channel, publication: Publication) -> None:
    """Let the fault that is due wait until the broker is known to have the publish."""
    connection.due, connection.awaits = False, True
    if publication.far:
        connection.awaited = publication
        return

    def arrived(_: bytes) -> None:
        connection.due = True

    connection.sync(channel, arrived)


def _encode(connection: Connection, channel: Channel, content: Content, fact: Published) -> bytes:
    """Return the frames of a publish that was replaced; none when it cannot be encoded, which is told."""
    message = fact.message
    try:
        route = encode_short(message.exchange) + encode_short(message.routing_key)
        rest = encode_content(channel.number, message, connection.frame_max, content.header)
    except TypeError as error:
        connection.fail(error)
        return b""
    bits = (content.method[-2] & ~1) | fact.mandatory
    return frame(METHOD, channel.number, _METHOD.pack(PUBLISH) + b"\0\0" + route + bytes((bits,))) + rest


def on_confirm(connection: Connection, channel: Channel, raw: bytes, index: int) -> None:
    """Take the broker's ack or nack of publishes."""
    number, bits = _TAG.unpack_from(raw, 11)
    covered = channel.passed.covered(number, bits & 1 == 1)
    confirmed: list[int] = []
    untouched = not channel.renumbered
    for far, publication in covered:
        channel.passed.pop(far)
        publication.confirmed = True
        if connection.due:
            continue
        fact = Confirmed(channel.origin, publication.number, index == ACK)
        action = connection.ask(fact)
        if publication is connection.awaited:
            connection.due = True
            untouched = False
        elif action is FORWARD:
            confirmed.append(publication.near)
        else:
            untouched = False
            channel.renumbered = True
            if isinstance(action, Hold):
                release = partial(_release_confirm, connection, channel, publication, index)
                connection.hold(channel, action.ticket, release)
    while channel.mandatory and channel.mandatory[0].confirmed:
        channel.mandatory.popleft()
    if untouched:
        for near in confirmed:
            channel.sent.pop(near)
        connection.down.append(raw)
    elif confirmed:
        _confirm(connection, channel, confirmed, index)


def _confirm(connection: Connection, channel: Channel, numbers: list[int], index: int) -> None:
    for number, several in channel.sent.settle(numbers):
        payload = _METHOD.pack(NACK if index == NACK else ACK) + _TAG.pack(number, several)
        connection.down.append(frame(METHOD, channel.number, payload))


def _release_confirm(connection: Connection, channel: Channel, publication: Publication, index: int) -> bool:
    _confirm(connection, channel, [publication.near], index)
    return True


def on_return(connection: Connection, channel: Channel, content: Content) -> None:
    """Take a message that the broker gives back: it is the oldest mandatory one that looks the same."""
    raw = content.method
    at = 14 + raw[13]
    message = decode_message(connection, channel, content, split_route(raw[at:-1]))
    reason = raw[14:at].decode(errors="surrogateescape")
    found = next((each for each in channel.mandatory if not each.confirmed and each.message == message), None)
    if found is not None:
        channel.mandatory.remove(found)
    fact = Returned(channel.origin, found.number if found else None, message, reason)
    if connection.ask(fact) is FORWARD:
        connection.down += (content.method, content.header, *content.bodies)
