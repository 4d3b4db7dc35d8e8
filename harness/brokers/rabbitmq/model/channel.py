"""One channel: its methods by a table, its consumers, and what it has not acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from misstep.harness.brokers.rabbitmq.model import frames
from misstep.harness.brokers.rabbitmq.model.deliveries import Delivery, by_consumer, by_queue
from misstep.harness.brokers.rabbitmq.model.errors import (
    AmqpError,
    precondition_failed,
    queue_title,
    refused,
)
from misstep.harness.brokers.rabbitmq.model.publishing import Content, Publisher
from misstep.harness.brokers.rabbitmq.model.queues import Consumer, Entry, Queue
from misstep.harness.brokers.rabbitmq.model.tables import Field, Table, long_field, split
from misstep.harness.brokers.rabbitmq.model.topology import TOPOLOGY
from misstep.harness.brokers.rabbitmq.model.virtual_host import VirtualHost
from pamqp import base, commands

if TYPE_CHECKING:
    from misstep.harness.brokers.rabbitmq.model.connection import Connection

STARTING, OPEN, CLOSING = "starting", "open", "closing"
_REPLY_TO = "amq.rabbitmq.reply-to"


class Channel:
    """The server's side of one channel.

    Attributes:
        connection: The connection it is part of.
        number: Its number there.
        state: Where in its life it is.
        consumers: Its consumers by tag.
        unacked: What is out, by delivery tag, oldest first.
        pending: The method whose content is still arriving.
        last_queue: The queue that was declared last, which an empty name means; empty before.
    """

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.state = STARTING
        self.consumers: dict[str, Consumer] = {}
        self.unacked: dict[int, Delivery] = {}
        self.pending: base.Frame | None = None
        self._content: Content | None = None
        self._publisher = Publisher(connection, number)
        self._prefetch = 0
        self._prefetch_shared = 0
        self._out = 0
        self._last_tag = 0
        self.last_queue = ""

    @property
    def vhost(self) -> VirtualHost:
        """The virtual host of the connection."""
        vhost = self.connection.vhost
        assert vhost is not None
        return vhost

    # Frames

    def handle(self, kind: int, method: base.Frame | None, payload: bytes) -> None:
        """Take in one frame.

        Raises:
            AmqpError: The client did what it must not; the caller closes the channel or connection.
        """
        if self.state == CLOSING:
            self._handle_closing(method)
        elif self.pending is not None:
            self._handle_content(kind, payload)
        elif method is None:
            raise AmqpError(505, "expected method frame, got non method frame instead")
        elif isinstance(method, commands.Basic.Publish):
            self._raise_unless_open()
            self.pending, self._content = method, Content()
        else:
            self._call(method, payload)

    def _call(self, method: base.Frame, payload: bytes) -> None:
        if isinstance(method, commands.Channel.Open):
            if self.state == OPEN:
                raise AmqpError(504, "second 'channel.open' seen")
            self.state = OPEN
            self.reply(commands.Channel.OpenOk())
            return
        self._raise_unless_open()
        handler = _HANDLERS.get(type(method)) or TOPOLOGY.get(type(method))
        if handler is None:
            raise AmqpError(503, "unimplemented method")
        handler(self, method, payload)

    def _raise_unless_open(self) -> None:
        if self.state != OPEN:
            self.connection.channels.pop(self.number, None)
            raise AmqpError(504, "expected 'channel.open'")

    def _handle_closing(self, method: base.Frame | None) -> None:
        if isinstance(method, commands.Channel.CloseOk):
            self.connection.channels.pop(self.number, None)
        elif isinstance(method, commands.Channel.Close):
            self.reply(commands.Channel.CloseOk())

    def _handle_content(self, kind: int, payload: bytes) -> None:
        content, method = self._content, self.pending
        assert content is not None
        assert isinstance(method, commands.Basic.Publish)
        content.add(kind, payload)
        if content.complete:
            self._publisher.publish(method, content)
            self.pending = self._content = None

    def reply(self, method: base.Frame, *, nowait: bool = False) -> None:
        """Send a method to the client, unless it does not wait for it."""
        if not nowait:
            self.connection.send(self.number, method)

    # Its end

    def fail(self, error: AmqpError, method: base.Frame | None) -> None:
        """Close the channel with an error, and ignore it until the client agrees."""
        self.terminate()
        index = method.index if method is not None else 0
        self.reply(commands.Channel.Close(error.code, error.text, index >> 16, index & 0xFFFF))
        self.state = CLOSING

    def terminate(self) -> None:
        """Let go of everything: consumers end, what is out goes back where it stood."""
        now = self.connection.broker.clock.now
        consumers, deliveries = list(self.consumers.values()), list(self.unacked.values())
        self.consumers.clear()
        self.unacked.clear()
        self._out = 0
        self.pending = self._content = None
        for consumer in consumers:
            if consumer in consumer.queue.consumers and consumer.queue.remove_consumer(consumer, now):
                self.vhost.drop_queue(consumer.queue)
        for queue, entries in by_queue(deliveries):
            queue.requeue(entries, now, refused=False)
        for consumer in consumers:
            consumer.queue.serve(now)

    def _close(self, _: commands.Channel.Close, __: bytes) -> None:
        self.terminate()
        self.connection.channels.pop(self.number, None)
        self.reply(commands.Channel.CloseOk())

    def _flow(self, method: commands.Channel.Flow, _: bytes) -> None:
        if not method.active:
            raise AmqpError(540, "active=false")
        self.reply(commands.Channel.FlowOk(True))

    # Deliveries: what queues call

    def has_room(self, consumer: Consumer) -> bool:
        """Return whether the prefetch limits let one more message through to this consumer."""
        if consumer.no_ack:
            return True
        if consumer.prefetch and consumer.unacked >= consumer.prefetch:
            return False
        return not self._prefetch_shared or self._out < self._prefetch_shared

    def deliver(self, consumer: Consumer, entry: Entry) -> None:
        """Send one message to a consumer, and keep it as unacknowledged unless it needs no acknowledgement."""
        tag = self._next_tag()
        if not consumer.no_ack:
            self.unacked[tag] = Delivery(consumer.queue, entry, consumer)
            self._out += 1
        message = entry.message
        head = frames.deliver(
            self.number,
            consumer.tag,
            tag,
            redelivered=entry.redelivered,
            exchange=message.exchange,
            routing_key=message.routing_key,
        )
        self.connection.write(head + self._content_of(consumer.queue, entry))

    def cancelled(self, consumer: Consumer) -> None:
        """Tell the client that its consumer is gone, since its queue is."""
        self.consumers.pop(consumer.tag, None)
        if self.connection.capabilities.get("consumer_cancel_notify"):
            self.connection.write(frames.cancel(self.number, consumer.tag))

    def _next_tag(self) -> int:
        self._last_tag += 1
        return self._last_tag

    def _content_of(self, queue: Queue, entry: Entry) -> bytes:
        message = entry.message
        if queue.limits.quorum and entry.returns:
            headers: dict[str, Field] = message.headers() | {"x-delivery-count": long_field(entry.returns)}
            message = message.with_headers(headers)
        return frames.content(self.number, message.properties, message.body, self.connection.frame_max)

    # Consumers

    def _qos(self, method: commands.Basic.Qos, _: bytes) -> None:
        if method.prefetch_size:
            raise AmqpError(540, f"prefetch_size!=0 ({method.prefetch_size})")
        if method.global_:
            self._prefetch_shared = method.prefetch_count
            self.reply(commands.Basic.QosOk())
            self._serve_consumers()
        else:
            self._prefetch = method.prefetch_count
            self.reply(commands.Basic.QosOk())

    def _consume(self, method: commands.Basic.Consume, payload: bytes) -> None:
        if method.queue.startswith(_REPLY_TO):
            raise refused(f"basic.consume on '{_REPLY_TO}'", "direct reply-to")
        if method.consumer_tag in self.consumers:
            raise AmqpError(530, f"attempt to reuse consumer tag '{method.consumer_tag}'")
        queue = self.queue(method.queue)
        title = queue_title(queue.name, self.vhost.name)
        if any(one.exclusive for one in queue.consumers) or (method.exclusive and queue.consumers):
            raise AmqpError(403, f"{title} in exclusive use")
        if queue.limits.quorum and self._prefetch_shared:
            raise AmqpError(540, f"{title} does not support global qos")
        tag = method.consumer_tag or self.connection.broker.names("amq.ctag-")
        consumer = Consumer(tag, self, queue, method.no_ack, method.exclusive, self._prefetch)
        consumer.priority = _priority(title, split(frames.arguments_at_end(payload, 2)))
        self.consumers[tag] = consumer
        self.reply(commands.Basic.ConsumeOk(tag), nowait=method.nowait)
        queue.add_consumer(consumer, self.now)
        queue.serve(self.now)

    def _cancel(self, method: commands.Basic.Cancel, _: bytes) -> None:
        consumer = self.consumers.pop(method.consumer_tag or "", None)
        if consumer is not None:
            empty = consumer.queue.remove_consumer(consumer, self.now)
            if empty:
                self.vhost.drop_queue(consumer.queue)
            else:
                consumer.queue.serve(self.now)
        self.reply(commands.Basic.CancelOk(method.consumer_tag), nowait=method.nowait)

    def _get(self, method: commands.Basic.Get, _: bytes) -> None:
        queue = self.queue(method.queue)
        entry = queue.get(self.now, no_ack=method.no_ack)
        if entry is None:
            self.reply(commands.Basic.GetEmpty())
            return
        tag = self._next_tag()
        if not method.no_ack:
            self.unacked[tag] = Delivery(queue, entry, None)
        message = entry.message
        head = frames.get_ok(
            self.number,
            tag,
            redelivered=entry.redelivered,
            exchange=message.exchange,
            routing_key=message.routing_key,
            left=len(queue.ready),
        )
        self.connection.write(head + self._content_of(queue, entry))

    # Settlement

    def _ack(self, method: commands.Basic.Ack, _: bytes) -> None:
        deliveries = self._collect(method.delivery_tag, multiple=method.multiple)
        self._settle(deliveries, lambda queue, entries: queue.settle(entries))

    def _nack(self, method: commands.Basic.Nack, _: bytes) -> None:
        self._refuse(self._collect(method.delivery_tag, multiple=method.multiple), requeue=method.requeue)

    def _reject(self, method: commands.Basic.Reject, _: bytes) -> None:
        self._refuse(self._collect(method.delivery_tag or 0, multiple=False), requeue=method.requeue)

    def _recover(self, method: commands.Basic.Recover, _: bytes) -> None:
        self._recover_async(method, _)
        self.reply(commands.Basic.RecoverOk())

    def _recover_async(self, method: commands.Basic.Recover | commands.Basic.RecoverAsync, _: bytes) -> None:
        if not method.requeue:
            raise AmqpError(540, "requeue=false")
        deliveries = list(self.unacked.values())
        self.unacked.clear()
        self._refuse(deliveries, requeue=True)

    def _refuse(self, deliveries: list[Delivery], *, requeue: bool) -> None:
        if requeue:
            self._settle(deliveries, lambda queue, entries: queue.requeue(entries, self.now, refused=True))
        else:
            self._settle(deliveries, lambda queue, entries: queue.reject(entries))

    def _settle(self, deliveries: list[Delivery], settle: Callable[[Queue, list[Entry]], None]) -> None:
        """Settle consumer by consumer, in the order of their tags, as RabbitMQ's channel tells its queues."""
        for (queue, tag), group in by_consumer(deliveries):
            if tag:
                group[0].give_room(len(group))
            queue.unblock()
            settle(queue, [delivery.entry for delivery in group])
            queue.serve(self.now)
        self._out -= sum(delivery.consumer is not None for delivery in deliveries)
        if self._prefetch_shared:
            self._serve_consumers()

    def _collect(self, tag: int, *, multiple: bool) -> list[Delivery]:
        if multiple and tag == 0:
            tags = list(self.unacked)
        elif tag not in self.unacked:
            raise precondition_failed(f"unknown delivery tag {tag}")
        else:
            tags = [one for one in self.unacked if one <= tag] if multiple else [tag]
        return [self.unacked.pop(one) for one in tags]

    def _serve_consumers(self) -> None:
        for queue in dict.fromkeys(consumer.queue for consumer in self.consumers.values()):
            queue.unblock()
            queue.serve(self.now)

    # What its methods act upon

    @property
    def now(self) -> float:
        """The broker's time, in seconds."""
        return self.connection.broker.clock.now

    def queue(self, name: str) -> Queue:
        """Return a queue that this client may use; an empty name means the last one declared here.

        Raises:
            AmqpError: 404 or 405.
        """
        return self.vhost.queue(self.queue_name(name), self.connection)

    def queue_name(self, name: str) -> str:
        """Return the name that is meant; an empty one means the last one declared here.

        Raises:
            AmqpError: 404 when none was.
        """
        if name:
            return name
        if not self.last_queue:
            raise AmqpError(404, "no previously declared queue")
        return self.last_queue

    # Confirms and transactions

    def _confirm(self, method: commands.Confirm.Select, _: bytes) -> None:
        self._publisher.confirms = True
        self.reply(commands.Confirm.SelectOk(), nowait=method.nowait)

    def _tx(self, method: base.Frame, _: bytes) -> None:
        raise refused(method.name, "transactions")


def _priority(title: str, arguments: Table) -> int:
    field = arguments.get("x-priority")
    if field is None:
        return 0
    if not isinstance(field.value, int) or field.tag == "t":
        raise precondition_failed(f"invalid arg 'x-priority' for {title}: \"expected integer, got {field.type_name}\"")
    return field.value


_Handler = Callable[[Channel, Any, bytes], None]
_HANDLERS: dict[type[base.Frame], _Handler] = {
    commands.Channel.Close: Channel._close,
    commands.Channel.Flow: Channel._flow,
    commands.Basic.Qos: Channel._qos,
    commands.Basic.Consume: Channel._consume,
    commands.Basic.Cancel: Channel._cancel,
    commands.Basic.Get: Channel._get,
    commands.Basic.Ack: Channel._ack,
    commands.Basic.Nack: Channel._nack,
    commands.Basic.Reject: Channel._reject,
    commands.Basic.Recover: Channel._recover,
    commands.Basic.RecoverAsync: Channel._recover_async,
    commands.Confirm.Select: Channel._confirm,
    commands.Tx.Select: Channel._tx,
    commands.Tx.Commit: Channel._tx,
    commands.Tx.Rollback: Channel._tx,
}
