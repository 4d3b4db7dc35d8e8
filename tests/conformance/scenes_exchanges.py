"""Declaring, checking and deleting exchanges."""

from __future__ import annotations

from pamqp.commands import Exchange, Queue

from .scenario import channel_error, connection_error, scenario
from .world import World


@scenario((("Exchange.DeclareOk",), ("Exchange.DeclareOk",)))
async def new_exchange_and_again(world: World) -> object:
    channel = await world.channel()
    return await channel.exchange("e", "topic"), await channel.exchange("e", "topic")


@scenario(
    channel_error(
        406,
        "inequivalent arg 'type' for exchange 'e' in vhost 'V': received 'fanout' but current is 'topic'",
        Exchange.Declare,
    )
)
async def redeclaring_an_exchange_of_another_type(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e", "topic")
    return await channel.exchange("e", "fanout")


@scenario(
    channel_error(
        406,
        "inequivalent arg 'durable' for exchange 'e' in vhost 'V': received 'false' but current is 'true'",
        Exchange.Declare,
    )
)
async def redeclaring_an_exchange_with_another_durability(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e", durable=True)
    return await channel.exchange("e")


@scenario(
    channel_error(
        406,
        "inequivalent arg 'alternate-exchange' for exchange 'e' in vhost 'V': received none but current "
        "is the value 'a' of type 'longstr'",
        Exchange.Declare,
    )
)
async def redeclaring_an_exchange_with_another_alternate(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e", arguments={"alternate-exchange": "a"})
    return await channel.exchange("e")


@scenario(
    channel_error(
        406,
        "inequivalent arg 'internal' for exchange 'e' in vhost 'V': received 'true' but current is 'false'",
        Exchange.Declare,
    )
)
async def redeclaring_an_exchange_as_internal(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e")
    return await channel.exchange("e", internal=True)


@scenario(connection_error(503, "unknown exchange type 'spiral'", Exchange.Declare))
async def unknown_exchange_type(world: World) -> object:
    return await (await world.channel()).exchange("e", "spiral")


@scenario(channel_error(404, "no exchange 'none' in vhost 'V'", Exchange.Declare))
async def passive_declare_of_a_missing_exchange(world: World) -> object:
    return await (await world.channel()).exchange("none", passive=True)


@scenario([("Exchange.DeclareOk",), ("Exchange.DeclareOk",), ("Exchange.DeclareOk",)])
async def predeclared_exchanges_are_there(world: World) -> object:
    channel = await world.channel()
    return [await channel.exchange(f"amq.{kind}", kind, durable=True) for kind in ("direct", "fanout", "topic")]


@scenario(channel_error(403, "exchange name 'amq.mine' contains reserved prefix 'amq.*'", Exchange.Declare))
async def reserved_exchange_name(world: World) -> object:
    return await (await world.channel()).exchange("amq.mine")


@scenario(channel_error(403, "operation not permitted on the default exchange", Exchange.Declare))
async def default_exchange_cannot_be_declared(world: World) -> object:
    return await (await world.channel()).exchange("")


@scenario(channel_error(403, "deletion of system exchange 'amq.topic' in vhost 'V' not allowed", Exchange.Delete))
async def predeclared_exchange_cannot_be_deleted(world: World) -> object:
    return await (await world.channel()).call(Exchange.Delete(exchange="amq.topic"))


@scenario(("Exchange.DeleteOk",))
async def deleting_a_missing_exchange_is_fine(world: World) -> object:
    return await (await world.channel()).call(Exchange.Delete(exchange="none"))


@scenario(channel_error(406, "exchange 'e' in vhost 'V' in use", Exchange.Delete))
async def deleting_a_bound_exchange_if_unused(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e")
    await channel.queue("q")
    await channel.bind("q", "e", "k")
    return await channel.call(Exchange.Delete(exchange="e", if_unused=True))


@scenario(channel_error(404, "no exchange 'e' in vhost 'V'", Exchange.Declare))
async def auto_delete_exchange_goes_with_its_last_binding(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e", auto_delete=True)
    await channel.queue("q")
    await channel.bind("q", "e", "k")
    await channel.call(Queue.Delete(queue="q"))
    return await channel.exchange("e", passive=True)
