"""The AMQP 0-9-1 session: frames of one connection in, facts told, frames out; no I/O.

What it cannot decode ends its understanding of the connection: from there on bytes pass through, which is told.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from misstep.harness.wire.amqp import handshake
from misstep.harness.wire.amqp import methods as m
from misstep.harness.wire.amqp.channel import Channel
from misstep.harness.wire.amqp.connection import Connection, Dial
from misstep.harness.wire.amqp.content import Content
from misstep.harness.wire.amqp.deliveries import inject, on_deliver, on_get_ok, on_settle
from misstep.harness.wire.amqp.frames import BODY, HEADER, METHOD, Splitter, Undecodable, method_index, method_name
from misstep.harness.wire.amqp.publishes import on_confirm, on_publish, on_return
from misstep.harness.wire.amqp.topology import REQUESTS, on_broker_cancel
from misstep.harness.wire.facts import Closed, Opened, Origin, PassedThrough
from misstep.harness.wire.interceptor import Cut, Kill
from misstep.harness.wire.session import Fail, Hear, Numbers, SessionFactory, Side

_SETTLES: Final = frozenset((m.ACK, m.NACK, m.REJECT))
_CONFIRMS: Final = frozenset((m.ACK, m.NACK))
_CLEAN: Final = frozenset((0, 200))

_Frames = list[tuple[int, int, bytes]]


def amqp(*, widen: int = 0, dial: Dial | None = None) -> SessionFactory:
    """Return a factory of AMQP sessions for a link.

    Args:
        widen: How many more unsettled deliveries the broker is asked for than a client's own prefetch, which the
            session then enforces itself: with a prefetch of 1, nothing could overtake a held delivery else.
        dial: Credentials and virtual host for the broker, in the stead of those that the service knows.
    """

    def make(origin: Origin, numbers: Numbers, hear: Hear, fail: Fail) -> AmqpSession:
        return AmqpSession(Connection(origin, numbers, hear, fail, widen=widen, dial=dial or Dial()))

    return make


class AmqpSession:
    """One AMQP connection; see :class:`~misstep.harness.wire.session.Session`."""

    __slots__ = ("_connection", "_down", "_opened", "_syncs", "_up", "degraded", "stirred")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._up = Splitter()
        self._down = Splitter()
        self._opened = False
        self._syncs = 0
        self.degraded = False
        self.stirred = 0

    # What goes in

    def from_service(self, data: bytes) -> None:
        """Take bytes that the service sent; they are ignored once a fault is due or awaited."""
        connection = self._connection
        if connection.ended or connection.due or connection.awaits:
            return
        if self.degraded:
            self.stirred += 1
            connection.up.append(data)
            return
        frames = self._up.feed(data)
        for at, (kind, number, raw) in enumerate(frames):
            try:
                self._service_frame(kind, number, raw)
            except (Undecodable, struct.error, IndexError) as error:
                self._degrade(str(error), up=frames[at:])
                return
            if connection.due or connection.awaits:
                return
        if self._up.broken:
            self._degrade(self._up.broken)

    def from_broker(self, data: bytes) -> None:
        """Take bytes that the broker sent."""
        connection = self._connection
        if connection.due:
            return
        if self.degraded:
            self.stirred += 1
            connection.down.append(data)
            return
        frames = self._down.feed(data)
        for at, (kind, number, raw) in enumerate(frames):
            try:
                self._broker_frame(kind, number, raw)
            except (Undecodable, struct.error, IndexError) as error:
                self._degrade(str(error), down=frames[at:])
                return
            if connection.due:
                return
        if self._down.broken:
            self._degrade(self._down.broken)

    def lost(self, by: Side) -> None:
        """Note that the socket of one side ended."""
        connection = self._connection
        if by == "broker":
            self._syncs = 0
        if not connection.ended:
            connection.tell_closed(by)
        connection.held.clear()

    # What comes out

    def take_for_service(self) -> bytes:
        """Empty the outbox towards the service."""
        frames = self._connection.down
        data = b"".join(frames)
        frames.clear()
        return data

    def take_for_broker(self) -> bytes:
        """Empty the outbox towards the broker."""
        frames = self._connection.up
        data = b"".join(frames)
        frames.clear()
        return data

    @property
    def due(self) -> Cut | Kill | None:
        """The fault that is to be made now."""
        return self._connection.ending if self._connection.due else None

    @property
    def awaited(self) -> Cut | Kill | None:
        """The fault that will be due once the broker is known to have a publish."""
        return self._connection.ending if self._connection.awaits else None

    # What is done to it

    def end(self) -> None:
        """Pass nothing more, and ask the broker for a sign that it has read everything sent before."""
        connection = self._connection
        connection.ended = True
        connection.due = connection.awaits = False
        connection.tell_closed("misstep")
        connection.held.clear()
        if self.degraded or not self._opened or connection.closing == "broker":
            return
        if connection.closing == "service":
            self._syncs = 1  # close-ok comes when all is done
            return
        for channel in connection.channels.values():
            if channel.unsynced and not channel.closing:
                self._syncs += 1
                connection.sync(channel, self._synced)

    @property
    def drained(self) -> bool:
        """Whether the broker has read all that was sent, or never will."""
        return self._syncs == 0

    def release(self, ticket: str) -> bool:
        """Send on what is held under ``ticket``; False when there is nothing to send any more."""
        connection = self._connection
        if self.degraded or connection.ended:
            return False
        held = [each for each in connection.held.pop(ticket, ()) if not each.channel.gone]
        released = [each.release() for each in held]
        return any(released)

    def inject(self, delivery: int) -> bool:
        """Deliver an artificial copy of an earlier delivery."""
        if self.degraded or self._connection.ended or self._connection.due:
            return False
        return inject(self._connection, delivery)

    def held(self) -> tuple[str, ...]:
        """Return the tickets held on this connection."""
        return tuple(self._connection.held)

    def pending(self) -> int:
        """Count what is on its way: held or waiting messages, publishes not yet confirmed, unfinished frames."""
        channels = self._connection.channels.values()
        count = sum(map(len, self._connection.held.values()))
        count += sum(each.waiting() + len(each.passed) + each.upward.busy + each.downward.busy for each in channels)
        return count + bool(self._up.buffered) + bool(self._down.buffered)

    # Frames from the service

    def _service_frame(self, kind: int, number: int, raw: bytes) -> None:
        connection = self._connection
        if kind == METHOD:
            self.stirred += 1
            index = method_index(raw)
            if number == 0:
                self._open_or_close(index, raw)
                return
            channel = connection.channels.get(number) or connection.channel(number)
            if index == m.PUBLISH:
                channel.upward.start(index, raw)
            elif channel.upward.busy:
                raise Undecodable(f"{method_name(index)} where the rest of a message was due")
            elif index in _SETTLES and not channel.closing:
                on_settle(connection, channel, raw, index)
            elif index in REQUESTS:
                connection.up.append(REQUESTS[index](connection, channel, raw))
            else:
                self._service_method(channel, index, raw)
        elif kind in (HEADER, BODY):
            self.stirred += 1
            channel = connection.channel(number)
            content = channel.upward.add(kind, raw)
            if content is not None:
                on_publish(connection, channel, content)
        else:
            connection.up.append(raw)

    def _service_method(self, channel: Channel, index: int, raw: bytes) -> None:
        """Take a method that opens, closes or switches a channel, or one that is not understood."""
        connection = self._connection
        passes = True
        if index == m.CHANNEL_OPEN:
            connection.forget(channel)
            connection.channel(channel.number)
        elif index == m.CHANNEL_CLOSE:
            code, text = handshake.close_reason(raw)
            channel.closing = channel.muted = True
            passes = connection.tell(Closed(channel.origin, "service", code, text, clean=code in _CLEAN))
        elif index == m.CHANNEL_CLOSE_OK:
            connection.forget(channel)
        elif index == m.CONFIRM_SELECT:
            channel.confirming = True
        elif index == m.CHANNEL_FLOW:
            channel.expect(_ignore, m.CHANNEL_FLOW_OK)
        elif index not in m.SILENT:
            channel.transactional = channel.transactional or index == m.TX_SELECT
            passes = connection.tell(PassedThrough(channel.origin, method_name(index), len(raw)))
        if passes:
            connection.up.append(raw)

    def _open_or_close(self, index: int, raw: bytes) -> None:
        """Take a method of channel 0 from the service."""
        connection = self._connection
        passes = True
        if index == m.START_OK:
            raw = handshake.on_start_ok(connection, raw)
        elif index == m.TUNE_OK:
            connection.frame_max = self._up.limit = self._down.limit = handshake.frame_limit(raw)
        elif index == m.OPEN:
            raw = handshake.on_open(connection, raw)
        elif index == m.CLOSE:
            code, text = handshake.close_reason(raw)
            connection.closing = "service"
            passes = connection.tell_closed("service", code, text, clean=code in _CLEAN)
        elif index not in m.SILENT:
            passes = connection.tell(PassedThrough(connection.origin, method_name(index), len(raw)))
        if passes:
            connection.up.append(raw)

    # Frames from the broker

    def _broker_frame(self, kind: int, number: int, raw: bytes) -> None:
        connection = self._connection
        if kind not in (METHOD, HEADER, BODY):
            connection.down.append(raw)
            return
        self.stirred += 1
        if number == 0:
            self._opened_or_closed(method_index(raw), raw)
            return
        channel = connection.channels.get(number) or connection.channel(number)
        if kind != METHOD:
            self._broker_content(channel, kind, raw)
            return
        index = method_index(raw)
        if channel.downward.busy:
            raise Undecodable(f"{method_name(index)} where the rest of a message was due")
        if channel.muted and index != m.CHANNEL_CLOSE_OK:
            connection.down.append(raw)
        elif index in m.CARRYING:
            channel.downward.start(index, raw)
        elif index in _CONFIRMS:
            on_confirm(connection, channel, raw, index)
        else:
            self._broker_method(channel, index, raw)

    def _broker_content(self, channel: Channel, kind: int, raw: bytes) -> None:
        connection = self._connection
        if channel.muted and not channel.downward.busy:
            connection.down.append(raw)
            return
        content = channel.downward.add(kind, raw)
        if content is None:
            return
        if channel.muted or connection.ended:
            connection.down.append(content.raw)
        else:
            self._take_content(channel, content)

    def _take_content(self, channel: Channel, content: Content) -> None:
        connection = self._connection
        if content.index == m.DELIVER:
            on_deliver(connection, channel, content)
        elif content.index == m.RETURN:
            on_return(connection, channel, content)
        else:
            request = channel.reply(m.GET_OK)
            poll = request.poll if request else None
            on_get_ok(connection, channel, content, poll.queue if poll else "", bool(poll and poll.auto_ack))

    def _broker_method(self, channel: Channel, index: int, raw: bytes) -> None:
        """Take a reply, the end of a channel or consumer, or a method that is not understood."""
        connection = self._connection
        passes = True
        request = channel.reply(index)
        if request is not None:
            request.then(raw)
            passes = not request.ours
        elif index == m.CHANNEL_CLOSE:
            code, text = handshake.close_reason(raw)
            channel.closing = True
            connection.tell(Closed(channel.origin, "broker", code, text, clean=code in _CLEAN))
            self._lost_channel(channel)
        elif index == m.CHANNEL_CLOSE_OK:
            connection.forget(channel)
        elif index == m.CANCEL:
            on_broker_cancel(connection, channel, raw)
        elif index not in m.SILENT:
            connection.tell(PassedThrough(channel.origin, method_name(index), len(raw)))
        if passes and not connection.withheld:
            connection.down.append(raw)

    def _lost_channel(self, channel: Channel) -> None:
        """Note that the broker closed a channel: no answer that was awaited on it will come."""
        connection = self._connection
        if connection.ended:
            self._syncs -= sum(request.ours for request in channel.requests)
        elif connection.awaits and (connection.awaited is None or connection.awaited in channel.passed.items()):
            connection.due = True
        channel.requests.clear()
        channel.passed.clear()

    def _opened_or_closed(self, index: int, raw: bytes) -> None:
        """Take a method of channel 0 from the broker."""
        connection = self._connection
        if index == m.OPEN_OK:
            self._opened = True
            connection.tell(Opened(connection.origin, connection.client))
        elif index == m.CLOSE:
            code, text = handshake.close_reason(raw)
            connection.closing = "broker"
            self._syncs = 0
            connection.tell_closed("broker", code, text, clean=code in _CLEAN)
            connection.due = connection.due or connection.awaits
        elif index == m.CLOSE_OK:
            self._syncs = 0
        elif index not in m.SILENT:
            connection.tell(PassedThrough(connection.origin, method_name(index), len(raw)))
        if not connection.withheld:
            connection.down.append(raw)

    # The rest

    def _synced(self, _: bytes) -> None:
        self._syncs -= 1

    def _degrade(self, why: str, *, up: _Frames | None = None, down: _Frames | None = None) -> None:
        """Stop understanding: what is unfinished and all that follows passes through."""
        connection = self._connection
        self.degraded = True
        self._syncs = 0
        channels = connection.channels.values()
        rest_up = b"".join((*(each.upward.abandon() for each in channels), _joined(up or ()), self._up.rest()))
        rest_down = b"".join((*(each.downward.abandon() for each in channels), _joined(down or ()), self._down.rest()))
        if connection.tell(PassedThrough(connection.origin, f"undecodable: {why}", len(rest_up) + len(rest_down))):
            connection.up.append(rest_up)
            connection.down.append(rest_down)
        if connection.awaits:
            connection.due = True


def _joined(frames: Iterable[tuple[int, int, bytes]]) -> bytes:
    return b"".join(raw for _, _, raw in frames)


def _ignore(_: bytes) -> None:
    """Mean nothing: the reply only has its place in the order."""
