"""Queues that belong to one connection, or go with their last consumer."""

from __future__ import annotations

from pamqp.commands import Basic, Queue

from .client import RawChannel
from .scenario import LOCKED, channel_error, scenario
from .world import World


async def _two(world: World) -> tuple[RawChannel, RawChannel]:
    owner, other = await world.channel(), await world.channel()
    await owner.queue("mine", exclusive=True)
    return owner, other


@scenario(channel_error(405, LOCKED, Queue.Declare))
async def exclusive_queue_is_locked_for_a_declaration(world: World) -> object:
    _, other = await _two(world)
    return await other.queue("mine", exclusive=True)


@scenario(channel_error(405, LOCKED, Queue.Declare))
async def exclusive_queue_is_locked_for_a_passive_declaration(world: World) -> object:
    _, other = await _two(world)
    return await other.queue("mine", passive=True)


@scenario(channel_error(405, LOCKED, Basic.Consume))
async def exclusive_queue_is_locked_for_consuming(world: World) -> object:
    _, other = await _two(world)
    return await other.consume("mine")


@scenario(channel_error(405, LOCKED, Basic.Get))
async def exclusive_queue_is_locked_for_getting(world: World) -> object:
    _, other = await _two(world)
    return await other.call(Basic.Get(queue="mine"))


@scenario(channel_error(405, LOCKED, Queue.Bind))
async def exclusive_queue_is_locked_for_binding(world: World) -> object:
    _, other = await _two(world)
    return await other.bind("mine", "amq.direct", "k")


@scenario(channel_error(405, LOCKED, Queue.Delete))
async def exclusive_queue_is_locked_for_deleting(world: World) -> object:
    _, other = await _two(world)
    return await other.call(Queue.Delete(queue="mine"))


@scenario(channel_error(405, LOCKED, Queue.Purge))
async def exclusive_queue_is_locked_for_purging(world: World) -> object:
    _, other = await _two(world)
    return await other.call(Queue.Purge(queue="mine"))


@scenario((["ack"], "1"))
async def anybody_may_publish_to_an_exclusive_queue(world: World) -> object:
    owner, other = await _two(world)
    await other.with_confirms()
    return await other.confirmed("", "mine", b"1"), await owner.get("mine")


@scenario(channel_error(404, "no queue 'mine' in vhost 'V'", Queue.Declare))
async def exclusive_queue_goes_with_its_connection(world: World) -> object:
    owner, other = await _two(world)
    await owner.client.close()
    return await other.queue("mine", passive=True)


@scenario(("Queue.DeclareOk", "mine", 0, 0))
async def exclusive_queue_may_be_redeclared_on_its_connection(world: World) -> object:
    owner, _ = await _two(world)
    second = await owner.client.channel()
    return await second.queue("mine", exclusive=True)


@scenario((("Queue.DeclareOk", "q", 0, 1), channel_error(404, "no queue 'q' in vhost 'V'", Queue.Declare)))
async def auto_delete_queue_lives_until_its_last_consumer_cancels(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", auto_delete=True)
    await channel.consume("q", "a")
    await channel.consume("q", "b")
    await channel.call(Basic.Cancel("a"))
    between = await channel.queue("q", passive=True)
    await channel.call(Basic.Cancel("b"))
    return between, await channel.queue("q", passive=True)


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def auto_delete_queue_without_a_consumer_stays(world: World) -> object:
    first, second = await world.channel(), await world.channel()
    await first.queue("q", auto_delete=True)
    await first.client.close()
    return await second.queue("q", passive=True)
