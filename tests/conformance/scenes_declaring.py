"""Declaring, checking and deleting queues."""

from __future__ import annotations

from pamqp.commands import Basic, Exchange, Queue

from .scenario import LOCKED, channel_error, scenario
from .shown import Answer
from .world import World


@scenario((("Queue.DeclareOk", "q", 0, 0), ("Queue.DeclareOk", "q", 0, 0)))
async def new_queue_is_empty(world: World) -> object:
    channel = await world.channel()
    return await channel.queue("q"), await channel.queue("q")


@scenario((("Queue.DeclareOk", "<generated>", 0, 0), ("Queue.DeclareOk", "<generated>", 0, 0)))
async def broker_makes_up_a_name(world: World) -> object:
    channel = await world.channel()
    first, second = await channel.queue(""), await channel.queue("")
    return first, second


@scenario(("1", ("Queue.DeclareOk", "q", 2, 0), ("Queue.DeclareOk", "q", 1, 1)))
async def passive_declare_counts_ready_messages_and_consumers(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1", b"2", b"3")
    one = await channel.get("q", no_ack=False)
    before = await channel.queue("q", passive=True)
    await channel.prefetch(1)
    await channel.consume("q")
    await channel.deliveries(1)
    return one, before, await channel.queue("q", passive=True)


@scenario(channel_error(404, "no queue 'none' in vhost 'V'", Queue.Declare))
async def passive_declare_of_a_missing_queue(world: World) -> object:
    return await (await world.channel()).queue("none", passive=True)


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def passive_declare_ignores_other_properties(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", auto_delete=True)
    return await channel.queue("q", passive=True, durable=True)


async def _redeclare(world: World, first: dict[str, object], second: dict[str, object]) -> Answer:
    channel = await world.channel()
    await channel.queue("q", **first)
    return await channel.queue("q", **second)


@scenario(
    channel_error(
        406,
        "inequivalent arg 'durable' for queue 'q' in vhost 'V': received 'false' but current is 'true'",
        Queue.Declare,
    )
)
async def redeclaring_with_another_durability(world: World) -> object:
    return await _redeclare(world, {"durable": True}, {"durable": False})


@scenario(
    channel_error(
        406,
        "inequivalent arg 'auto_delete' for queue 'q' in vhost 'V': received 'true' but current is 'false'",
        Queue.Declare,
    )
)
async def redeclaring_with_another_auto_delete(world: World) -> object:
    return await _redeclare(world, {}, {"auto_delete": True})


@scenario(channel_error(405, LOCKED, Queue.Declare))
async def redeclaring_as_exclusive(world: World) -> object:
    channel = await world.channel()
    await channel.queue("mine")
    return await channel.queue("mine", exclusive=True)


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost 'V': received the value '60000' of type"
        " 'unsignedshort' but current is none",
        Queue.Declare,
    )
)
async def redeclaring_with_an_argument_more(world: World) -> object:
    return await _redeclare(world, {}, {"arguments": {"x-message-ttl": 60_000}})


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-max-length' for queue 'q' in vhost 'V': received none but current is the "
        "value '70000' of type 'signedint'",
        Queue.Declare,
    )
)
async def redeclaring_with_an_argument_less(world: World) -> object:
    return await _redeclare(world, {"arguments": {"x-max-length": 70_000}}, {})


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-message-ttl' for queue 'q' in vhost 'V': received '5000' but current is '60000'",
        Queue.Declare,
    )
)
async def redeclaring_with_another_number(world: World) -> object:
    first, second = {"arguments": {"x-message-ttl": 60_000}}, {"arguments": {"x-message-ttl": 5_000}}
    return await _redeclare(world, first, second)


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost 'V': received 'b' but current is 'a'",
        Queue.Declare,
    )
)
async def redeclaring_with_another_text(world: World) -> object:
    first = {"arguments": {"x-dead-letter-exchange": "a"}}
    return await _redeclare(world, first, {"arguments": {"x-dead-letter-exchange": "b"}})


@scenario(
    channel_error(
        406,
        "inequivalent arg 'x-single-active-consumer' for queue 'q' in vhost 'V': received 'false' but "
        "current is 'true'",
        Queue.Declare,
    )
)
async def redeclaring_with_another_flag(world: World) -> object:
    first = {"arguments": {"x-single-active-consumer": True}}
    return await _redeclare(world, first, {"arguments": {"x-single-active-consumer": False}})


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def redeclaring_with_the_same_number_in_another_width(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q", arguments={"x-max-length": 7})
    return await channel.queue("q", arguments={"x-max-length": 7})


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def redeclaring_with_an_unknown_argument_is_fine(world: World) -> object:
    return await _redeclare(world, {}, {"arguments": {"my-own": "note"}})


@scenario(("Queue.DeclareOk", "q", 0, 0))
async def redeclaring_as_classic_explicitly_is_fine(world: World) -> object:
    return await _redeclare(world, {}, {"arguments": {"x-queue-type": "classic"}})


async def _argument(world: World, name: str, value: object) -> Answer:
    return await (await world.channel()).queue("q", durable=True, arguments={name: value})


@scenario(
    channel_error(406, "invalid arg 'x-message-ttl' for queue 'q' in vhost 'V': {value_negative,-1}", Queue.Declare)
)
async def negative_ttl_is_invalid(world: World) -> object:
    return await _argument(world, "x-message-ttl", -1)


@scenario(
    channel_error(
        406, "invalid arg 'x-message-ttl' for queue 'q' in vhost 'V': \"expected integer, got longstr\"", Queue.Declare
    )
)
async def ttl_as_text_is_invalid(world: World) -> object:
    return await _argument(world, "x-message-ttl", "60000")


@scenario(channel_error(406, "invalid arg 'x-expires' for queue 'q' in vhost 'V': {value_zero,0}", Queue.Declare))
async def zero_expires_is_invalid(world: World) -> object:
    return await _argument(world, "x-expires", 0)


@scenario(
    channel_error(406, "invalid arg 'x-max-length' for queue 'q' in vhost 'V': {value_negative,-5}", Queue.Declare)
)
async def negative_max_length_is_invalid(world: World) -> object:
    return await _argument(world, "x-max-length", -5)


@scenario(channel_error(406, "invalid arg 'x-overflow' for queue 'q' in vhost 'V': invalid_overflow", Queue.Declare))
async def unknown_overflow_is_invalid(world: World) -> object:
    return await _argument(world, "x-overflow", "explode")


@scenario(
    channel_error(406, "invalid arg 'x-overflow' for queue 'q' in vhost 'V': {unacceptable_type,byte}", Queue.Declare)
)
async def overflow_as_number_is_invalid(world: World) -> object:
    return await _argument(world, "x-overflow", 3)


@scenario(
    channel_error(406, "invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'q' in vhost 'V'", Queue.Declare)
)
async def dead_letter_exchange_as_number_is_invalid(world: World) -> object:
    return await _argument(world, "x-dead-letter-exchange", 4)


@scenario(
    channel_error(
        406,
        "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost 'V': routing_key_but_no_dlx_defined",
        Queue.Declare,
    )
)
async def dead_letter_key_needs_an_exchange(world: World) -> object:
    return await _argument(world, "x-dead-letter-routing-key", "k")


@scenario(
    channel_error(
        406, "invalid arg 'x-queue-type' for queue 'q' in vhost 'V': \"unsupported queue type 'heap'\"", Queue.Declare
    )
)
async def unknown_queue_type_is_invalid(world: World) -> object:
    return await _argument(world, "x-queue-type", "heap")


@scenario(
    channel_error(
        406,
        "invalid arg 'x-single-active-consumer' for queue 'q' in vhost 'V': {unacceptable_type,longstr}",
        Queue.Declare,
    )
)
async def single_active_as_text_is_invalid(world: World) -> object:
    return await _argument(world, "x-single-active-consumer", "yes")


@scenario(
    channel_error(
        406,
        "invalid arg 'x-delivery-limit' for queue 'q' in vhost 'V' of queue type rabbit_classic_queue",
        Queue.Declare,
    )
)
async def delivery_limit_on_a_classic_queue(world: World) -> object:
    return await _argument(world, "x-delivery-limit", 3)


@scenario(channel_error(403, "queue name 'amq.mine' contains reserved prefix 'amq.*'", Queue.Declare))
async def reserved_queue_name(world: World) -> object:
    return await (await world.channel()).queue("amq.mine")


@scenario((("Queue.DeleteOk", 2), channel_error(404, "no queue 'q' in vhost 'V'", Queue.Declare)))
async def deleting_a_queue_says_how_many_messages_went(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1", b"2")
    deleted = await channel.call(Queue.Delete(queue="q"))
    return deleted, await channel.queue("q", passive=True)


@scenario(("Queue.DeleteOk", 0))
async def deleting_a_missing_queue_is_fine(world: World) -> object:
    return await (await world.channel()).call(Queue.Delete(queue="none"))


@scenario(channel_error(406, "queue 'q' in vhost 'V' in use", Queue.Delete))
async def deleting_a_used_queue_if_unused(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    await channel.consume("q")
    return await channel.call(Queue.Delete(queue="q", if_unused=True))


@scenario(channel_error(406, "queue 'q' in vhost 'V' not empty", Queue.Delete))
async def deleting_a_full_queue_if_empty(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1")
    return await channel.call(Queue.Delete(queue="q", if_empty=True))


@scenario((("Queue.PurgeOk", 2), ["1*"]))
async def purging_leaves_what_is_out(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1", b"2", b"3")
    await channel.get("q", no_ack=False)
    purged = await channel.call(Queue.Purge(queue="q"))
    channel.send(Basic.Nack(delivery_tag=0, multiple=True, requeue=True))
    await channel.count("q", 1)
    return purged, await channel.get_all("q")


@scenario(channel_error(404, "no queue 'none' in vhost 'V'", Queue.Purge))
async def purging_a_missing_queue(world: World) -> object:
    return await (await world.channel()).call(Queue.Purge(queue="none"))


@scenario((["ack"], ("Queue.PurgeOk", 1)))
async def empty_queue_name_means_the_last_one_declared(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.bind("", "amq.direct", "")
    confirms = await channel.confirmed("amq.direct", "q", b"1")
    return confirms, await channel.call(Queue.Purge(queue=""))


@scenario(channel_error(404, "no previously declared queue", Basic.Consume))
async def empty_queue_name_without_a_declaration(world: World) -> object:
    return await (await world.channel()).consume("")


@scenario((("Queue.DeclareOk", "q", 0, 0), ("Exchange.DeclareOk",)))
async def declaring_without_waiting(world: World) -> object:
    channel = await world.channel()
    channel.send(Queue.Declare(queue="q", nowait=True), Exchange.Declare(exchange="e", nowait=True))
    channel.send(Queue.Bind(queue="q", exchange="e", routing_key="k", nowait=True))
    return await channel.queue("q", passive=True), await channel.exchange("e", passive=True)
