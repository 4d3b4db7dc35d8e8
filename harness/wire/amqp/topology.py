"""Declarations, bindings, consumers and windows: facts of them are told once the broker has agreed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from misstep.harness.wire.amqp import methods as m
from misstep.harness.wire.amqp.channel import Channel, Consumer, Poll, Request
from misstep.harness.wire.amqp.connection import Connection
from misstep.harness.wire.amqp.deliveries import answer_poll, fill_windows, give_back, on_recovered
from misstep.harness.wire.amqp.frames import decode_method, encode_method
from misstep.harness.wire.facts import Bound, Cancelled, Consuming, DeclaredExchange, DeclaredQueue, Deleted, Fact
from pamqp import commands

Handler: TypeAlias = Callable[[Connection, Channel, bytes], bytes]
"""Takes a request's frame; returns what goes on in its stead, which is mostly itself."""


def _agreed(connection: Connection, channel: Channel, fact: Fact, reply: int, nowait: bool) -> bool:
    """Tell a fact when its reply comes, or now where none will; return whether the request may go on."""
    if nowait:
        return connection.tell(fact)

    def agreed(_: bytes) -> None:
        connection.tell(fact)

    channel.expect(agreed, reply)
    return True


def _queue(channel: Channel, name: str) -> str:
    return name or channel.last_queue


def on_exchange_declare(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take exchange.declare."""
    method = decode_method(raw, commands.Exchange.Declare)
    if method.passive:
        channel.expect(_nothing, m.EXCHANGE_DECLARE_OK)
        return raw
    fact = DeclaredExchange(
        channel.origin, method.exchange, method.exchange_type, method.durable, dict(method.arguments or {})
    )
    return raw if _agreed(connection, channel, fact, m.EXCHANGE_DECLARE_OK, method.nowait) else b""


def on_exchange_delete(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take exchange.delete."""
    method = decode_method(raw, commands.Exchange.Delete)
    fact = Deleted(channel.origin, "exchange", method.exchange)
    return raw if _agreed(connection, channel, fact, m.EXCHANGE_DELETE_OK, method.nowait) else b""


def on_exchange_bind(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take exchange.bind."""
    method = decode_method(raw, commands.Exchange.Bind)
    fact = Bound(channel.origin, method.source, method.destination, method.routing_key, to_exchange=True)
    return raw if _agreed(connection, channel, fact, m.EXCHANGE_BIND_OK, method.nowait) else b""


def on_exchange_unbind(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take exchange.unbind."""
    method = decode_method(raw, commands.Exchange.Unbind)
    fact = Bound(channel.origin, method.source, method.destination, method.routing_key, to_exchange=True, bound=False)
    return raw if _agreed(connection, channel, fact, m.EXCHANGE_UNBIND_OK, method.nowait) else b""


def on_queue_declare(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take queue.declare."""
    method = decode_method(raw, commands.Queue.Declare)
    fact = DeclaredQueue(
        channel.origin,
        method.queue,
        method.durable,
        method.exclusive,
        method.auto_delete,
        dict(method.arguments or {}),
    )
    if method.nowait:
        channel.last_queue = method.queue
        return raw if method.passive or connection.tell(fact) else b""
    channel.expect(partial(_queue_declared, connection, channel, None if method.passive else fact), m.QUEUE_DECLARE_OK)
    return raw


def _queue_declared(connection: Connection, channel: Channel, fact: DeclaredQueue | None, raw: bytes) -> None:
    reply = decode_method(raw, commands.Queue.DeclareOk)
    channel.last_queue = reply.queue or ""
    if fact is not None:
        connection.tell(replace(fact, queue=channel.last_queue))


def on_queue_bind(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take queue.bind."""
    method = decode_method(raw, commands.Queue.Bind)
    queue = _queue(channel, method.queue)
    key = method.routing_key or ("" if method.queue else channel.last_queue)
    fact = Bound(channel.origin, method.exchange, queue, key)
    return raw if _agreed(connection, channel, fact, m.QUEUE_BIND_OK, method.nowait) else b""


def on_queue_unbind(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take queue.unbind."""
    method = decode_method(raw, commands.Queue.Unbind)
    fact = Bound(
        channel.origin,
        method.exchange,
        _queue(channel, method.queue),
        method.routing_key,
        to_exchange=False,
        bound=False,
    )
    return raw if _agreed(connection, channel, fact, m.QUEUE_UNBIND_OK, nowait=False) else b""


def on_queue_purge(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take queue.purge."""
    method = decode_method(raw, commands.Queue.Purge)
    fact = Deleted(channel.origin, "purge", _queue(channel, method.queue))
    return raw if _agreed(connection, channel, fact, m.QUEUE_PURGE_OK, method.nowait) else b""


def on_queue_delete(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take queue.delete."""
    method = decode_method(raw, commands.Queue.Delete)
    fact = Deleted(channel.origin, "queue", _queue(channel, method.queue))
    return raw if _agreed(connection, channel, fact, m.QUEUE_DELETE_OK, method.nowait) else b""


def on_qos(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.qos: note the client's window, and ask the broker for a wider one where that is wanted.

    RabbitMQ's reading of ``global``: the window of each new consumer, or the one that a channel's consumers share
    (https://www.rabbitmq.com/docs/consumer-prefetch).
    """
    method = decode_method(raw, commands.Basic.Qos)
    if method.global_:
        channel.shared = method.prefetch_count
        fill_windows(connection, channel)
    else:
        channel.prefetch = method.prefetch_count
    channel.expect(_nothing, m.QOS_OK)
    if not connection.widen or not method.prefetch_count:
        return raw
    method.prefetch_count = min(method.prefetch_count + connection.widen, 0xFFFF)
    return encode_method(channel.number, method)


def on_consume(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.consume."""
    method = decode_method(raw, commands.Basic.Consume)
    consumer = Consumer(
        method.consumer_tag, _queue(channel, method.queue), method.no_ack, 0 if method.no_ack else channel.prefetch
    )
    if method.nowait:
        return raw if _consuming(connection, channel, consumer) else b""
    channel.expect(partial(_consume_ok, connection, channel, consumer), m.CONSUME_OK)
    return raw


def _consume_ok(connection: Connection, channel: Channel, consumer: Consumer, raw: bytes) -> None:
    reply = decode_method(raw, commands.Basic.ConsumeOk)
    consumer.tag = reply.consumer_tag or ""
    _consuming(connection, channel, consumer)


def _consuming(connection: Connection, channel: Channel, consumer: Consumer) -> bool:
    channel.consumers[consumer.tag] = consumer
    prefetch = consumer.prefetch or (0 if consumer.auto_ack else channel.shared)
    return connection.tell(Consuming(channel.origin, consumer.queue, consumer.tag, consumer.auto_ack, prefetch))


def on_cancel(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.cancel from the service."""
    method = decode_method(raw, commands.Basic.Cancel)
    if method.nowait:
        return raw if _cancelled(connection, channel, method.consumer_tag, by_broker=False) else b""

    def cancelled(_: bytes) -> None:
        _cancelled(connection, channel, method.consumer_tag, by_broker=False)

    channel.expect(cancelled, m.CANCEL_OK)
    return raw


def on_broker_cancel(connection: Connection, channel: Channel, raw: bytes) -> bool:
    """Take basic.cancel from the broker; return whether it may go on."""
    method = decode_method(raw, commands.Basic.Cancel)
    return _cancelled(connection, channel, method.consumer_tag, by_broker=True)


def _cancelled(connection: Connection, channel: Channel, tag: str | None, *, by_broker: bool) -> bool:
    tag = tag or ""
    passes = connection.tell(Cancelled(channel.origin, tag, "broker" if by_broker else "service"))
    consumer = channel.consumers.pop(tag, None)
    if consumer is not None:
        consumer.gone = True
        give_back(connection, list(consumer.waiting))
        consumer.waiting.clear()
    return passes


def on_get(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.get; a copy that waits for it is its answer, and the broker is not asked."""
    method = decode_method(raw, commands.Basic.Get)
    queue = _queue(channel, method.queue)
    if answer_poll(connection, channel, queue):
        return b""
    channel.requests.append(Request((m.GET_OK, m.GET_EMPTY), _nothing, poll=Poll(queue, method.no_ack)))
    return raw


def on_recover(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.recover: what is unsettled comes again."""
    channel.expect(lambda _: on_recovered(connection, channel), m.RECOVER_OK)
    return raw


def on_recover_async(connection: Connection, channel: Channel, raw: bytes) -> bytes:
    """Take basic.recover-async, which has no reply."""
    on_recovered(connection, channel)
    return raw


def _nothing(_: bytes) -> None:
    """Mean nothing: the reply only has its place in the order."""


REQUESTS: dict[int, Handler] = {
    m.EXCHANGE_DECLARE: on_exchange_declare,
    m.EXCHANGE_DELETE: on_exchange_delete,
    m.EXCHANGE_BIND: on_exchange_bind,
    m.EXCHANGE_UNBIND: on_exchange_unbind,
    m.QUEUE_DECLARE: on_queue_declare,
    m.QUEUE_BIND: on_queue_bind,
    m.QUEUE_UNBIND: on_queue_unbind,
    m.QUEUE_PURGE: on_queue_purge,
    m.QUEUE_DELETE: on_queue_delete,
    m.QOS: on_qos,
    m.CONSUME: on_consume,
    m.CANCEL: on_cancel,
    m.GET: on_get,
    m.RECOVER: on_recover,
    m.RECOVER_ASYNC: on_recover_async,
}
