"""Time to live, lengths, and queues that are given up."""

from __future__ import annotations

from pamqp.commands import Basic, Queue

from .client import RawChannel
from .scenario import channel_error, scenario
from .world import World


async def _queue(world: World, **arguments: object) -> RawChannel:
    channel = await (await world.channel()).with_confirms()
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    await channel.queue("q", arguments=named)
    return channel


@scenario((0, 0))
async def queue_ttl_expires_messages(world: World) -> object:
    channel = await _queue(world, message_ttl=40)
    await channel.confirmed("", "q", b"1", b"2")
    return await channel.count("q", 0)


@scenario(["2"])
async def own_expiration_expires_a_message(world: World) -> object:
    channel = await _queue(world)
    await channel.confirmed("", "q", b"1", expiration="40")
    await channel.confirmed("", "q", b"2")
    await channel.count("q", 1)
    return await channel.get_all("q")


@scenario(((2, 0), "1", (0, 0)))
async def only_the_head_expires(world: World) -> object:
    channel = await _queue(world)
    await channel.confirmed("", "q", b"1", expiration="60000")
    await channel.confirmed("", "q", b"2", expiration="1")
    await channel.queue("clock", arguments={"x-message-ttl": 60})
    await channel.confirmed("", "clock", b"tick")
    await channel.count("clock", 0)
    before = await channel.count("q")
    first = await channel.get("q")
    return before, first, await channel.count("q", 0)


@scenario((0, 0))
async def shorter_of_both_counts(world: World) -> object:
    channel = await _queue(world, message_ttl=60_000)
    await channel.confirmed("", "q", b"1", expiration="30")
    return await channel.count("q", 0)


@scenario(((0, 0), ["2"]))
async def zero_ttl_drops_what_nobody_takes_at_once(world: World) -> object:
    channel = await _queue(world, message_ttl=0)
    await channel.confirmed("", "q", b"1")
    nobody = await channel.count("q")
    await channel.consume("q", no_ack=True)
    await channel.confirmed("", "q", b"2")
    return nobody, await channel.bodies(1)


@scenario((0, 0))
async def message_that_is_out_does_not_expire(world: World) -> object:
    channel = await _queue(world, message_ttl=40)
    await channel.queue("clock", arguments={"x-message-ttl": 80})
    await channel.confirmed("", "q", b"1")
    await channel.get("q", no_ack=False)
    await channel.confirmed("", "clock", b"tick")
    await channel.count("clock", 0)
    channel.send(Basic.Ack(delivery_tag=1))
    await channel.settle()
    return await channel.count("q")


@scenario((0, 0))
async def message_requeued_too_late_expires_at_once(world: World) -> object:
    channel = await _queue(world, message_ttl=30)
    await channel.queue("clock", arguments={"x-message-ttl": 80})
    await channel.confirmed("", "q", b"1")
    await channel.get("q", no_ack=False)
    await channel.confirmed("", "clock", b"tick")
    await channel.count("clock", 0)
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    return await channel.count("q", 0)


@scenario((["ack", "ack", "ack", "ack"], ["3", "4"]))
async def max_length_drops_the_oldest(world: World) -> object:
    channel = await _queue(world, max_length=2)
    confirms = await channel.confirmed("", "q", b"1", b"2", b"3", b"4")
    return confirms, await channel.get_all("q")


@scenario((["ack"], (0, 0)))
async def max_length_of_zero_keeps_nothing(world: World) -> object:
    channel = await _queue(world, max_length=0)
    return await channel.confirmed("", "q", b"1"), await channel.count("q")


@scenario(["bbbb", "cccc"])
async def max_bytes_drops_the_oldest(world: World) -> object:
    channel = await _queue(world, max_length_bytes=10)
    await channel.confirmed("", "q", b"aaaa", b"bbbb", b"cccc")
    return await channel.get_all("q")


@scenario([])
async def message_larger_than_max_bytes_empties_the_queue(world: World) -> object:
    channel = await _queue(world, max_length_bytes=10)
    await channel.confirmed("", "q", b"a", b"b" * 20)
    return await channel.get_all("q")


@scenario(((1, 0), ["2"]))
async def messages_that_are_out_do_not_count(world: World) -> object:
    channel = await _queue(world, max_length=1)
    await channel.confirmed("", "q", b"1")
    await channel.get("q", no_ack=False)
    await channel.confirmed("", "q", b"2")
    before = await channel.count("q")
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    await channel.settle()
    return before, await channel.get_all("q")


@scenario((["ack", "ack", "nack"], ["1", "2"]))
async def reject_publish_nacks(world: World) -> object:
    channel = await _queue(world, max_length=2, overflow="reject-publish")
    confirms = await channel.confirmed("", "q", b"1", b"2", b"3")
    return confirms, await channel.get_all("q")


@scenario((["ack", "nack"], ["ack"], ["3"]))
async def reject_publish_takes_more_when_there_is_room(world: World) -> object:
    channel = await _queue(world, max_length=1, overflow="reject-publish")
    first = await channel.confirmed("", "q", b"1", b"2")
    await channel.get("q")
    return first, await channel.confirmed("", "q", b"3"), await channel.get_all("q")


@scenario(["1"])
async def reject_publish_without_confirms_is_silent(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.publish("", "q", b"1")
    channel.publish("", "q", b"2")
    await channel.count("q", 1)
    return await channel.get_all("q")


@scenario(["ack", "nack", "ack"])
async def reject_publish_by_bytes(world: World) -> object:
    channel = await _queue(world, max_length_bytes=5, overflow="reject-publish")
    return await channel.confirmed("", "q", b"aaa", b"bbb", b"cc")


@scenario((["nack"], ["1"]))
async def one_full_queue_of_two_nacks(world: World) -> object:
    channel = await _queue(world, max_length=0, overflow="reject-publish")
    await channel.queue("roomy")
    for queue in ("q", "roomy"):
        await channel.bind(queue, "amq.fanout")
    return await channel.confirmed("amq.fanout", "", b"1"), await channel.get_all("roomy")


@scenario(channel_error(404, "no queue 'q' in vhost 'V'", Queue.Declare))
async def unused_queue_is_deleted(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", arguments={"x-expires": 60})
    return await _gone(world, "q")


async def _gone(world: World, queue: str) -> object:
    """Ask for a queue after a time by the broker's own clock; asking any earlier would be a use of it."""
    asking = await world.channel()
    await asking.queue("bell")
    clock = {"x-message-ttl": 400, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "bell"}
    await asking.queue("clock", arguments=clock)
    await asking.consume("bell")
    asking.publish("", "clock")
    await asking.deliveries(1)
    return await asking.queue(queue, passive=True)


@scenario(("Queue.DeclareOk", channel_error(404, "no queue 'q' in vhost 'V'", Queue.Declare)))
async def queue_with_a_consumer_is_used(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", arguments={"x-expires": 60})
    await channel.consume("q")
    await channel.queue("pause", arguments={"x-message-ttl": 200})
    channel.publish("", "pause", b"tick")
    await channel.count("pause", 0)
    before = (await channel.queue("q", passive=True))[0]
    await channel.call(Basic.Cancel("c"))
    return before, await _gone(world, "q")


@scenario((channel_error(404, "no queue 'q' in vhost 'V'", Queue.Declare), "ack", 1))
async def expiring_queue_takes_its_bindings_along(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q", arguments={"x-expires": 30})
    await channel.bind("q", "amq.direct", "k")
    gone = await _gone(world, "q")
    channel.publish("amq.direct", "k", b"1", mandatory=True)
    return gone, await channel.confirm(), len(channel.returned)


@scenario(["1", "2", "3"])
async def consumer_takes_from_a_full_queue_before_anything_is_dropped(world: World) -> object:
    channel = await _queue(world, max_length=1)
    await channel.consume("q", no_ack=True)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    return await channel.bodies(3)


@scenario(["ack"])
async def purged_queue_has_room(world: World) -> object:
    channel = await _queue(world, max_length=1, overflow="reject-publish")
    await channel.confirmed("", "q", b"1")
    await channel.call(Queue.Purge(queue="q"))
    return await channel.confirmed("", "q", b"2")


@scenario((["1"], ["2"], (0, 1)))
async def message_requeued_into_a_full_queue_is_the_one_dropped(world: World) -> object:
    channel = await _queue(world, max_length=1)
    await channel.prefetch(1)
    await channel.consume("q")
    await channel.confirmed("", "q", b"1", b"2")
    first = await channel.bodies(1)
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    return first, await channel.bodies(1), await channel.count("q")


@scenario(["1*", "2"])
async def queue_that_rejects_takes_back_more_than_its_length(world: World) -> object:
    channel = await _queue(world, max_length=1, overflow="reject-publish")
    await channel.confirmed("", "q", b"1")
    await channel.get("q", no_ack=False)
    await channel.confirmed("", "q", b"2")
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    await channel.count("q", 2)
    return await channel.get_all("q")
