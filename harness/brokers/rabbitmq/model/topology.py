"""Declaring, binding and deleting: the methods of the classes ``exchange`` and ``queue``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from misstep.harness.brokers.rabbitmq.model import frames
from misstep.harness.brokers.rabbitmq.model.exchanges import Exchange
from misstep.harness.brokers.rabbitmq.model.tables import split
from misstep.harness.brokers.rabbitmq.model.virtual_host import raise_if_default
from pamqp import base, commands

if TYPE_CHECKING:
    from misstep.harness.brokers.rabbitmq.model.channel import Channel


def _exchange_declare(channel: Channel, method: commands.Exchange.Declare, payload: bytes) -> None:
    if method.passive:
        raise_if_default(method.exchange)
        channel.vhost.exchange(method.exchange)
    else:
        channel.vhost.declare_exchange(
            Exchange(
                method.exchange,
                method.exchange_type,
                method.durable,
                method.auto_delete,
                method.internal,
                split(frames.arguments_at_end(payload, 2)),
            )
        )
    channel.reply(commands.Exchange.DeclareOk(), nowait=method.nowait)


def _exchange_delete(channel: Channel, method: commands.Exchange.Delete, _: bytes) -> None:
    channel.vhost.delete_exchange(method.exchange, if_unused=method.if_unused)
    channel.reply(commands.Exchange.DeleteOk(), nowait=method.nowait)


def _exchange_bind(channel: Channel, method: commands.Exchange.Bind, payload: bytes) -> None:
    arguments = split(frames.arguments_at_end(payload, 3))
    channel.vhost.bind("exchange", method.destination, method.source, method.routing_key, arguments)
    channel.reply(commands.Exchange.BindOk(), nowait=method.nowait)


def _exchange_unbind(channel: Channel, method: commands.Exchange.Unbind, payload: bytes) -> None:
    arguments = split(frames.arguments_at_end(payload, 3))
    channel.vhost.unbind("exchange", method.destination, method.source, method.routing_key, arguments)
    channel.reply(commands.Exchange.UnbindOk(), nowait=method.nowait)


def _queue_declare(channel: Channel, method: commands.Queue.Declare, payload: bytes) -> None:
    if method.passive:
        queue = channel.vhost.queue(method.queue, channel.connection)
        queue.used = channel.now
    else:
        queue = channel.vhost.declare_queue(
            method.queue,
            channel.connection if method.exclusive else None,
            durable=method.durable,
            auto_delete=method.auto_delete,
            arguments=split(frames.arguments_at_end(payload, 1)),
        )
    channel.last_queue = queue.name
    if not method.nowait:
        frame = frames.queue_declare_ok(channel.number, queue.name, len(queue.ready), queue.consumer_count)
        channel.connection.write(frame)


def _queue_bind(channel: Channel, method: commands.Queue.Bind, payload: bytes) -> None:
    queue = channel.queue(method.queue)
    arguments = split(frames.arguments_at_end(payload, 3))
    key = queue.name if not method.queue and not method.routing_key else method.routing_key
    channel.vhost.bind("queue", queue.name, method.exchange, key, arguments)
    channel.reply(commands.Queue.BindOk(), nowait=method.nowait)


def _queue_unbind(channel: Channel, method: commands.Queue.Unbind, payload: bytes) -> None:
    name = channel.queue_name(method.queue)
    arguments = split(frames.arguments_at_end(payload, 3, 0))
    key = name if not method.queue and not method.routing_key else method.routing_key
    channel.vhost.unbind("queue", name, method.exchange, key, arguments)
    channel.reply(commands.Queue.UnbindOk())


def _queue_purge(channel: Channel, method: commands.Queue.Purge, _: bytes) -> None:
    count = channel.queue(method.queue).purge()
    channel.reply(commands.Queue.PurgeOk(count), nowait=method.nowait)


def _queue_delete(channel: Channel, method: commands.Queue.Delete, _: bytes) -> None:
    count = channel.vhost.delete_queue(
        channel.queue_name(method.queue), channel.connection, if_unused=method.if_unused, if_empty=method.if_empty
    )
    channel.reply(commands.Queue.DeleteOk(count), nowait=method.nowait)


_Handler = Callable[["Channel", Any, bytes], None]
TOPOLOGY: dict[type[base.Frame], _Handler] = {
    commands.Exchange.Declare: _exchange_declare,
    commands.Exchange.Delete: _exchange_delete,
    commands.Exchange.Bind: _exchange_bind,
    commands.Exchange.Unbind: _exchange_unbind,
    commands.Queue.Declare: _queue_declare,
    commands.Queue.Bind: _queue_bind,
    commands.Queue.Unbind: _queue_unbind,
    commands.Queue.Purge: _queue_purge,
    commands.Queue.Delete: _queue_delete,
}
"""What is done for each method."""
