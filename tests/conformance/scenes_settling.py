"""Acknowledging, refusing, requeueing, recovering."""

from __future__ import annotations

from pamqp.commands import Basic, Channel, Queue

from .client import RawChannel
from .scenario import channel_error, connection_error, scenario
from .world import World


async def _out(world: World, *bodies: bytes, **settings: object) -> RawChannel:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q", **settings)
    await channel.confirmed("", "q", *bodies)
    for _ in bodies:
        await channel.get("q", no_ack=False)
    return channel


@scenario(["2*"])
async def acknowledged_message_is_gone(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    channel.send(Basic.Ack(delivery_tag=1))
    await channel.settle()
    await channel.client.close()
    other = await world.channel()
    await other.count("q", 1)
    return await other.get_all("q")


@scenario(channel_error(406, "unknown delivery tag 7", Basic.Ack))
async def unknown_delivery_tag(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Ack(delivery_tag=7))
    return await channel.closed()


@scenario(channel_error(406, "unknown delivery tag 1", Basic.Ack))
async def acknowledging_twice(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Ack(delivery_tag=1), Basic.Ack(delivery_tag=1))
    return await channel.closed()


@scenario(channel_error(406, "unknown delivery tag 9", Basic.Ack))
async def unknown_tag_with_multiple(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    channel.send(Basic.Ack(delivery_tag=9, multiple=True))
    return await channel.closed()


@scenario(channel_error(406, "unknown delivery tag 0", Basic.Ack))
async def tag_zero_without_multiple(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Ack(delivery_tag=0))
    return await channel.closed()


@scenario((0, 0))
async def tag_zero_with_multiple_when_nothing_is_out(world: World) -> object:
    channel = await _out(world)
    channel.send(Basic.Ack(delivery_tag=0, multiple=True), Basic.Nack(delivery_tag=0, multiple=True))
    return await channel.count("q")


@scenario(channel_error(406, "unknown delivery tag 3", Basic.Reject))
async def rejecting_an_unknown_tag(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Reject(delivery_tag=3))
    return await channel.closed()


@scenario(channel_error(406, "unknown delivery tag 3", Basic.Nack))
async def nacking_an_unknown_tag(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Nack(delivery_tag=3))
    return await channel.closed()


@scenario(["4*"])
async def multiple_ack_takes_everything_up_to_the_tag(world: World) -> object:
    channel = await _out(world, b"1", b"2", b"3", b"4")
    channel.send(Basic.Ack(delivery_tag=3, multiple=True), Basic.Nack(delivery_tag=4, requeue=True))
    await channel.count("q", 1)
    return await channel.get_all("q")


@scenario(["1*", "2*", "3*", "4"])
async def requeued_messages_stand_where_they_stood(world: World) -> object:
    channel = await _out(world, b"1", b"2", b"3")
    await channel.confirmed("", "q", b"4")
    channel.send(Basic.Nack(delivery_tag=3, requeue=True), Basic.Nack(delivery_tag=1, requeue=True))
    channel.send(Basic.Reject(delivery_tag=2, requeue=True))
    await channel.count("q", 4)
    return await channel.get_all("q")


@scenario((["1"], ["1*"], (1, 1)))
async def requeued_message_comes_again_at_once(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1", b"2")
    await channel.prefetch(1)
    await channel.consume("q")
    first = await channel.bodies(1)
    channel.send(Basic.Nack(delivery_tag=1, requeue=True))
    return first, await channel.bodies(1), await channel.count("q", 1)


@scenario(([("Basic.Deliver", "a", 1, "1", "", "q")], [("Basic.Deliver", "b", 2, "1*", "", "q")]))
async def requeued_message_goes_to_the_next_consumer(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.prefetch(1)
    await channel.consume("q", "a")
    await channel.consume("q", "b")
    await channel.confirmed("", "q", b"1")
    first = [channel.shown(one) for one in await channel.deliveries(1)]
    channel.send(Basic.Reject(delivery_tag=1, requeue=True))
    return first, [channel.shown(one) for one in await channel.deliveries(1)]


@scenario(((0, 0), []))
async def rejected_message_is_dropped(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    channel.send(Basic.Reject(delivery_tag=1, requeue=False), Basic.Nack(delivery_tag=2, requeue=False))
    return await channel.count("q", 0), await channel.get_all("q")


@scenario(["1*", "3*"])
async def closing_the_channel_requeues(world: World) -> object:
    channel = await _out(world, b"1", b"2", b"3")
    channel.send(Basic.Ack(delivery_tag=2))
    await channel.call(Channel.Close(200, "", 0, 0))
    other = await channel.client.channel(8)
    await other.count("q", 2)
    return await other.get_all("q")


@scenario(["1*", "2*"])
async def channel_error_requeues(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    channel.send(Basic.Ack(delivery_tag=99))
    await channel.closed()
    other = await channel.client.channel(8)
    await other.count("q", 2)
    return await other.get_all("q")


@scenario(["1*", "2*"])
async def cut_connection_requeues(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    await channel.client.cut()
    other = await world.channel()
    await other.count("q", 2)
    return await other.get_all("q")


@scenario((["3"], ["1*", "2*"]))
async def consumers_deliveries_come_back_when_its_connection_is_cut(world: World) -> object:
    first, second = await (await world.channel()).with_confirms(), await world.channel()
    await first.queue("q")
    await first.prefetch(2)
    await first.consume("q", "a")
    await first.confirmed("", "q", b"1", b"2", b"3")
    await first.deliveries(2)
    await second.consume("q", "b")
    early = await second.bodies(1)
    await first.client.cut()
    return early, await second.bodies(2)


@scenario((("Basic.RecoverOk",), ["1*", "2*"]))
async def recovering_requeues_everything(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    answer = await channel.call(Basic.Recover(requeue=True))
    await channel.count("q", 2)
    return answer, await channel.get_all("q")


@scenario(connection_error(540, "requeue=false", Basic.Recover))
async def recovering_without_requeue_is_not_implemented(world: World) -> object:
    channel = await _out(world, b"1")
    return await channel.call(Basic.Recover(requeue=False))


@scenario((["1", "2"], [("Basic.Deliver", "c", 3, "1*", "", "q"), ("Basic.Deliver", "c", 4, "2*", "", "q")]))
async def recovering_gives_it_to_the_consumer_again(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.consume("q")
    await channel.confirmed("", "q", b"1", b"2")
    first = await channel.bodies(2)
    channel.send(Basic.Recover(requeue=True))
    again = [channel.shown(one) for one in await channel.deliveries(2)]
    return first, again


@scenario((0, 0))
async def tags_are_not_used_again(world: World) -> object:
    channel = await _out(world, b"1")
    channel.send(Basic.Reject(delivery_tag=1, requeue=True))
    await channel.count("q", 1)
    await channel.get("q", no_ack=False)
    channel.send(Basic.Ack(delivery_tag=2))
    await channel.settle()
    return await channel.count("q", 0)


@scenario(0)
async def acks_for_a_deleted_queue_are_fine(world: World) -> object:
    channel = await _out(world, b"1", b"2")
    await channel.call(Queue.Delete(queue="q"))
    channel.send(Basic.Ack(delivery_tag=1), Basic.Nack(delivery_tag=2, requeue=True))
    await channel.settle()
    return len(channel.answers)


@scenario(channel_error(406, "unknown delivery tag 1", Basic.Ack))
async def message_settled_on_another_channel_is_unknown(world: World) -> object:
    channel = await _out(world, b"1")
    other = await channel.client.channel(8)
    other.send(Basic.Ack(delivery_tag=1))
    return await other.closed()
