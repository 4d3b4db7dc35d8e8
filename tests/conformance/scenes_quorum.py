"""Quorum queues: what they refuse, how often they deliver, what they put where."""

from __future__ import annotations

from pamqp.commands import Basic, Queue

from .client import RawChannel
from .scenario import channel_error, connection_error, scenario
from .shown import Answer, headers
from .world import World


async def _quorum(world: World, **arguments: object) -> RawChannel:
    channel = await (await world.channel()).with_confirms()
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    answer = await channel.queue("q", durable=True, arguments={"x-queue-type": "quorum", **named})
    assert answer[0] == "Queue.DeclareOk", answer
    return channel


async def _declared(world: World, name: str = "q", **settings: object) -> Answer:
    return await (await world.channel()).queue(name, arguments={"x-queue-type": "quorum"}, **settings)


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def quorum_queue_is_declared_again(world: World) -> object:
    channel = await _quorum(world)
    return await channel.queue("q", durable=True, arguments={"x-queue-type": "quorum"})


@scenario(channel_error(406, "invalid property 'non-durable' for queue 'q' in vhost 'V'", Queue.Declare))
async def quorum_queue_must_be_durable(world: World) -> object:
    return await _declared(world)


@scenario(channel_error(406, "invalid property 'exclusive-owner' for queue 'q' in vhost 'V'", Queue.Declare))
async def quorum_queue_cannot_be_exclusive(world: World) -> object:
    return await _declared(world, durable=True, exclusive=True)


@scenario(channel_error(406, "invalid property 'auto-delete' for queue 'q' in vhost 'V'", Queue.Declare))
async def quorum_queue_cannot_be_auto_delete(world: World) -> object:
    return await _declared(world, durable=True, auto_delete=True)


@scenario(channel_error(406, "Cannot declare a server-named queue for type rabbit_quorum_queue", Queue.Declare))
async def quorum_queue_cannot_be_named_by_the_broker(world: World) -> object:
    return await _declared(world, "", durable=True)


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-queue-type' for queue 'q' in vhost 'V': received none but current is the "
        "value 'quorum' of type 'longstr'",
        Queue.Declare,
    )
)
async def quorum_queue_is_no_classic_queue(world: World) -> object:
    channel = await _quorum(world)
    return await channel.queue("q", durable=True)


@scenario(connection_error(540, "queue 'q' in vhost 'V' does not support global qos", Basic.Consume))
async def quorum_queue_has_no_shared_prefetch(world: World) -> object:
    channel = await _quorum(world)
    await channel.prefetch(1, shared=True)
    return await channel.consume("q")


@scenario((["ack", "ack", "ack"], ["1", "2", "3"]))
async def quorum_queue_delivers_in_order(world: World) -> object:
    channel = await _quorum(world)
    confirms = await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.prefetch(10)
    await channel.consume("q")
    return confirms, await channel.bodies(3)


@scenario([(b"1", {}), (b"1", {"x-delivery-count": 1}), (b"1", {"x-delivery-count": 2})])
async def first_delivery_has_no_delivery_count(world: World) -> object:
    channel = await _quorum(world)
    await channel.confirmed("", "q", b"1")
    await channel.prefetch(1)
    await channel.consume("q")
    seen = []
    for tag in (1, 2, 3):
        (one,) = await channel.deliveries(1)
        seen.append((one.body, headers(one)))
        channel.send(Basic.Nack(delivery_tag=tag, requeue=True))
    return seen


@scenario(
    {
        "x-death": [
            {
                "count": 1,
                "reason": "delivery_limit",
                "queue": "q",
                "time": "<time>",
                "exchange": "",
                "routing-keys": ["q"],
            }
        ],
        "x-first-death-exchange": "",
        "x-first-death-queue": "q",
        "x-first-death-reason": "delivery_limit",
    }
)
async def delivery_limit_ends_in_the_dead_letter_queue(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("dead", durable=True)
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": 2,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "dead",
    }
    await channel.queue("q", durable=True, arguments=arguments)
    await channel.confirmed("", "q", b"1")
    await channel.prefetch(1)
    await channel.consume("q")
    for tag in (1, 2, 3):
        await channel.deliveries(1)
        channel.send(Basic.Nack(delivery_tag=tag, requeue=True))
    return headers(await channel.fetch("dead"))


@scenario(["1", "1*", "1*"])
async def returned_message_goes_first_where_deliveries_are_limited(world: World) -> object:
    channel = await _quorum(world, delivery_limit=5)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.prefetch(1)
    await channel.consume("q")
    seen = []
    for tag in (1, 2, 3):
        seen += await channel.bodies(1)
        channel.send(Basic.Nack(delivery_tag=tag, requeue=True))
    return seen


@scenario(["1", "2", "3", "1*"])
async def returned_message_goes_last_where_deliveries_are_not_limited(world: World) -> object:
    channel = await _quorum(world)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.prefetch(1)
    await channel.consume("q")
    seen = []
    for tag in (1, 2, 3, 4):
        seen += await channel.bodies(1)
        channel.send(Basic.Nack(delivery_tag=tag, requeue=True))
    return seen


@scenario(["1*", "2*", "3"])
async def messages_of_a_cut_connection_come_first(world: World) -> object:
    channel = await _quorum(world)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    victim = await world.channel()
    await victim.prefetch(2)
    await victim.consume("q")
    await victim.deliveries(2)
    await victim.client.cut()
    await channel.count("q", 3)
    await channel.prefetch(10)
    await channel.consume("q")
    return await channel.bodies(3)


@scenario(["2", "3"])
async def quorum_queue_drops_its_head_when_full(world: World) -> object:
    channel = await _quorum(world, max_length=2)
    await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.count("q", 2)
    return await channel.get_all("q")


@scenario((0, 0))
async def quorum_queue_expires_messages(world: World) -> object:
    channel = await _quorum(world, message_ttl=40)
    await channel.confirmed("", "q", b"1")
    return await channel.count("q", 0)


@scenario(
    {
        "x-death": [
            {"count": 1, "reason": "rejected", "queue": "q", "time": "<time>", "exchange": "", "routing-keys": ["q"]}
        ],
        "x-first-death-exchange": "",
        "x-first-death-queue": "q",
        "x-first-death-reason": "rejected",
    }
)
async def quorum_queue_dead_letters_what_is_rejected(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("dead", durable=True)
    arguments = {"x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    await channel.queue("q", durable=True, arguments=arguments)
    await channel.confirmed("", "q", b"1")
    await channel.prefetch(1)
    await channel.consume("q")
    await channel.deliveries(1)
    channel.send(Basic.Reject(delivery_tag=1, requeue=False))
    return headers(await channel.fetch("dead"))


@scenario((0, 0))
async def quorum_queue_gives_up_acknowledged_messages(world: World) -> object:
    channel = await _quorum(world)
    await channel.confirmed("", "q", b"1", b"2")
    await channel.prefetch(5)
    await channel.consume("q")
    await channel.deliveries(2)
    channel.send(Basic.Ack(delivery_tag=2, multiple=True))
    await channel.settle()
    await channel.client.close()
    other = await world.channel()
    return await other.count("q", 0, 0)


@scenario(
    channel_error(
        406, "invalid arg 'x-max-priority' for queue 'q' in vhost 'V' of queue type rabbit_quorum_queue", Queue.Declare
    )
)
async def quorum_queue_has_no_max_priority(world: World) -> object:
    channel = await world.channel()
    arguments = {"x-queue-type": "quorum", "x-max-priority": 3}
    return await channel.queue("q", durable=True, arguments=arguments)


@scenario((("Basic.GetOk", "1", "", "q", 1), ("Basic.GetOk", "2", "", "q", 0)))
async def getting_from_a_quorum_queue(world: World) -> object:
    channel = await _quorum(world)
    await channel.confirmed("", "q", b"1", b"2")
    await channel.count("q", 2)
    first = await channel.call(Basic.Get(queue="q", no_ack=True))
    return first, await channel.call(Basic.Get(queue="q", no_ack=True))
