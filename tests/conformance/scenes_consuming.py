"""Consumers: turns, prefetch, exclusivity, cancellation."""

from __future__ import annotations

from pamqp.commands import Basic, Queue

from .client import RawChannel
from .scenario import channel_error, connection_error, scenario
from .world import World


async def _filled(world: World, *bodies: bytes, **settings: object) -> RawChannel:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q", **settings)
    await channel.confirmed("", "q", *bodies)
    return channel


def _tags(channel: RawChannel) -> list[str]:
    taken = [one.method.consumer_tag for one in channel.events if isinstance(one.method, Basic.Deliver)]
    channel.events.clear()
    return [tag or "" for tag in taken]


@scenario((("Basic.ConsumeOk", "c"), ["1", "2", "3"], (0, 1)))
async def consuming_delivers_in_order(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3")
    return await channel.consume("q"), await channel.bodies(3), await channel.count("q")


@scenario(("Basic.ConsumeOk", "<generated>"))
async def consumer_tag_is_made_up(world: World) -> object:
    channel = await _filled(world)
    return await channel.consume("q", "")


@scenario(connection_error(530, "attempt to reuse consumer tag 'c'", Basic.Consume))
async def consumer_tag_cannot_be_used_twice(world: World) -> object:
    channel = await _filled(world)
    await channel.consume("q", "c")
    return await channel.consume("q", "c")


@scenario(channel_error(404, "no queue 'none' in vhost 'V'", Basic.Consume))
async def consuming_a_missing_queue(world: World) -> object:
    return await (await world.channel()).consume("none")


@scenario(channel_error(404, "no queue 'none' in vhost 'V'", Basic.Get))
async def getting_from_a_missing_queue(world: World) -> object:
    return await (await world.channel()).call(Basic.Get(queue="none"))


@scenario(("Basic.GetEmpty",))
async def getting_from_an_empty_queue(world: World) -> object:
    channel = await _filled(world)
    return await channel.call(Basic.Get(queue="q"))


@scenario([("Basic.GetOk", "1", "", "q", 2), ("Basic.GetOk", "2", "", "q", 1), ("Basic.GetOk", "3", "", "q", 0)])
async def getting_says_how_many_are_left(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3")
    return [await channel.call(Basic.Get(queue="q")) for _ in range(3)]


@scenario(["a", "b", "c", "a", "b", "c", "a"])
async def consumers_take_turns(world: World) -> object:
    channel = await _filled(world)
    for tag in ("a", "b", "c"):
        await channel.consume("q", tag)
    await channel.confirmed("", "q", *[b"m"] * 7)
    await channel.client.until(lambda: len(channel.events) >= 7)
    return _tags(channel)


@scenario((["1", "2"], ["3"], (2, 1)))
async def prefetch_limits_each_consumer(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3", b"4", b"5")
    await channel.prefetch(2)
    await channel.consume("q", "a")
    first = await channel.bodies(2)
    channel.send(Basic.Ack(delivery_tag=1))
    return first, await channel.bodies(1), await channel.count("q", 2)


@scenario(["1", "2", "3"])
async def prefetch_holds_for_consumers_started_later_only(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3")
    await channel.consume("q", "a")
    await channel.prefetch(1)
    return await channel.bodies(3)


@scenario((["1", "2"], (1, 1), 2))
async def shared_prefetch_counts_all_consumers(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3", b"4")
    await channel.queue("other")
    await channel.prefetch(2, shared=True)
    await channel.consume("q", "a")
    first = await channel.bodies(2)
    await channel.consume("other", "b")
    await channel.confirmed("", "other", b"o")
    held = await channel.count("other", 1)
    channel.send(Basic.Ack(delivery_tag=0, multiple=True))
    return first, held, len(await channel.bodies(2))


@scenario((["1", "2", "3"], (0, 1)))
async def consumer_without_acks_has_no_prefetch_limit(world: World) -> object:
    channel = await _filled(world, b"1", b"2", b"3")
    await channel.prefetch(1)
    await channel.consume("q", "a", no_ack=True)
    return await channel.bodies(3), await channel.count("q", 0)


@scenario(["a", "b", "b", "b"])
async def full_consumer_is_passed_over(world: World) -> object:
    channel = await _filled(world)
    await channel.prefetch(1)
    await channel.consume("q", "a")
    await channel.prefetch(3)
    await channel.consume("q", "b")
    await channel.confirmed("", "q", *[b"m"] * 5)
    await channel.count("q", 1)
    await channel.client.until(lambda: len(channel.events) >= 4)
    return _tags(channel)


@scenario(["a", "b", "b", "a"])
async def consumer_with_room_again_stands_behind(world: World) -> object:
    channel = await _filled(world)
    await channel.prefetch(1)
    for tag in ("a", "b"):
        await channel.consume("q", tag)
    await channel.confirmed("", "q", b"1", b"2", b"3", b"4")
    await channel.count("q", 2)
    channel.send(Basic.Ack(delivery_tag=2), Basic.Ack(delivery_tag=1))
    await channel.client.until(lambda: len(channel.events) >= 4)
    return _tags(channel)


@scenario(["high", "high", "low", "low"])
async def higher_priority_is_served_first(world: World) -> object:
    channel = await _filled(world)
    await channel.prefetch(2)
    await channel.consume("q", "low")
    await channel.consume("q", "high", arguments={"x-priority": 10})
    await channel.confirmed("", "q", *[b"m"] * 4)
    await channel.client.until(lambda: len(channel.events) >= 4)
    return _tags(channel)


@scenario(
    channel_error(
        406, "invalid arg 'x-priority' for queue 'q' in vhost 'V': \"expected integer, got longstr\"", Basic.Consume
    )
)
async def priority_as_text_is_invalid(world: World) -> object:
    channel = await _filled(world)
    return await channel.consume("q", arguments={"x-priority": "high"})


@scenario(channel_error(403, "queue 'q' in vhost 'V' in exclusive use", Basic.Consume))
async def exclusive_consumer_keeps_others_out(world: World) -> object:
    channel = await _filled(world)
    await channel.consume("q", "a", exclusive=True)
    return await channel.consume("q", "b")


@scenario(channel_error(403, "queue 'q' in vhost 'V' in exclusive use", Basic.Consume))
async def exclusive_consumer_needs_the_queue_for_itself(world: World) -> object:
    channel = await _filled(world)
    await channel.consume("q", "a")
    return await channel.consume("q", "b", exclusive=True)


@scenario((["1"], ("Basic.CancelOk", "c"), (1, 0), (2, 0), ["1*", "2"]))
async def cancelling_leaves_what_is_out(world: World) -> object:
    channel = await _filled(world, b"1", b"2")
    await channel.prefetch(1)
    await channel.consume("q")
    first = await channel.bodies(1)
    cancelled = await channel.call(Basic.Cancel("c"))
    before = await channel.count("q", 1, 0)
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    return first, cancelled, before, await channel.count("q", 2), await channel.get_all("q")


@scenario(("Basic.CancelOk", "nobody"))
async def cancelling_an_unknown_consumer_is_fine(world: World) -> object:
    return await (await world.channel()).call(Basic.Cancel("nobody"))


@scenario([("Basic.Cancel", "c")])
async def deleting_the_queue_cancels_its_consumers(world: World) -> object:
    channel = await _filled(world)
    await channel.consume("q", "c")
    await channel.call(Queue.Delete(queue="q"))
    await channel.client.until(lambda: bool(channel.cancels))
    return [channel.shown(one) for one in channel.cancels]


@scenario(0)
async def client_that_cannot_be_told_is_not(world: World) -> object:
    channel = await (await world.connect(capabilities={})).channel()
    await channel.queue("q")
    await channel.consume("q", "c")
    await channel.call(Queue.Delete(queue="q"))
    await channel.settle()
    return len(channel.cancels)


@scenario((["a", "a", "a"], ["b"]))
async def single_active_consumer_gets_everything(world: World) -> object:
    channel = await _filled(world, arguments={"x-single-active-consumer": True})
    await channel.consume("q", "a")
    await channel.consume("q", "b")
    await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.client.until(lambda: len(channel.events) >= 3)
    before = _tags(channel)
    await channel.call(Basic.Cancel("a"))
    await channel.confirmed("", "q", b"4")
    await channel.client.until(lambda: len(channel.events) >= 1)
    return before, _tags(channel)


@scenario((1, 2))
async def single_active_consumer_with_a_full_window_blocks_the_others(world: World) -> object:
    channel = await _filled(world, b"1", b"2", arguments={"x-single-active-consumer": True})
    await channel.prefetch(1)
    await channel.consume("q", "a")
    await channel.consume("q", "b")
    await channel.deliveries(1)
    return await channel.count("q", 1, 2)


@scenario((["1", "2"], (0, 0)))
async def consumer_gets_nothing_twice(world: World) -> object:
    channel = await _filled(world, b"1", b"2")
    await channel.consume("q")
    first = await channel.bodies(2)
    channel.send(Basic.Ack(delivery_tag=2, multiple=True))
    await channel.settle()
    await channel.client.close()
    other = await world.channel()
    return first, await other.count("q", 0, 0)


@scenario(["1"])
async def consuming_without_waiting(world: World) -> object:
    channel = await _filled(world, b"1")
    channel.send(Basic.Consume(queue="q", consumer_tag="c", nowait=True))
    return await channel.bodies(1)


@scenario([("Basic.Deliver", "a", 2, "2", "", "q")])
async def delivery_tags_count_over_all_consumers(world: World) -> object:
    channel = await _filled(world, b"1", b"2")
    await channel.get("q", no_ack=True)
    await channel.consume("q", "a")
    return [channel.shown(one) for one in await channel.deliveries(1)]


@scenario(["a", "b", "a", "b"])
async def shared_prefetch_keeps_the_turns(world: World) -> object:
    channel = await _filled(world)
    await channel.prefetch(2, shared=True)
    for tag in ("a", "b"):
        await channel.consume("q", tag)
    await channel.confirmed("", "q", b"1", b"2", b"3", b"4")
    await channel.count("q", 2)
    channel.send(Basic.Ack(delivery_tag=2, multiple=True))
    await channel.client.until(lambda: len(channel.events) >= 4)
    return _tags(channel)
