"""Which queues a message reaches."""

from __future__ import annotations

from pamqp.commands import Exchange, Queue

from .client import RawChannel
from .scenario import channel_error, scenario
from .world import World


async def _reached(channel: RawChannel, exchange: str, key: str, *queues: str) -> list[str]:
    await channel.confirmed(exchange, key, b"m")
    return [queue for queue in queues if await channel.get(queue) is not None]


async def _bound(world: World, kind: str, **keys: str) -> RawChannel:
    channel = await (await world.channel()).with_confirms()
    await channel.exchange("e", kind)
    for queue, key in keys.items():
        await channel.queue(queue)
        await channel.bind(queue, "e", key)
    return channel


@scenario(["a"])
async def default_exchange_reaches_the_queue_of_that_name(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("a")
    await channel.queue("b")
    return await _reached(channel, "", "a", "a", "b")


@scenario((["a", "b"], []))
async def direct_exchange_compares_keys(world: World) -> object:
    channel = await _bound(world, "direct", a="x", b="x", c="y")
    return await _reached(channel, "e", "x", "a", "b", "c"), await _reached(channel, "e", "z", "a", "b", "c")


@scenario(["a", "b"])
async def fanout_exchange_ignores_keys(world: World) -> object:
    channel = await _bound(world, "fanout", a="x", b="")
    return await _reached(channel, "e", "whatever", "a", "b")


@scenario(
    {"order.placed": ["a", "b"], "order": ["c"], "order.placed.eu": ["d"], "order.": ["a"], ".placed": ["b"], "": []}
)
async def topic_star_is_one_word(world: World) -> object:
    channel = await _bound(world, "topic", a="order.*", b="*.placed", c="*", d="order.*.eu")
    keys = ("order.placed", "order", "order.placed.eu", "order.", ".placed", "")
    return {key: await _reached(channel, "e", key, "a", "b", "c", "d") for key in keys}


@scenario(
    {
        "": ["a"],
        "order": ["a", "b", "f"],
        "order.placed.eu": ["a", "b", "c", "d", "e", "f"],
        "order.eu": ["a", "b", "c", "d", "f"],
        "eu": ["a", "c", "f"],
        "a.placed.b.c": ["a", "e", "f"],
    }
)
async def topic_hash_is_any_number_of_words(world: World) -> object:
    channel = await _bound(world, "topic", a="#", b="order.#", c="#.eu", d="order.#.eu", e="#.placed.#", f="#.*")
    keys = ("", "order", "order.placed.eu", "order.eu", "eu", "a.placed.b.c")
    return {key: await _reached(channel, "e", key, "a", "b", "c", "d", "e", "f") for key in keys}


@scenario({"order.placed": ["a"], "order.placed.": [], "order": [], "": ["b"]})
async def topic_without_wildcards_is_exact(world: World) -> object:
    channel = await _bound(world, "topic", a="order.placed", b="")
    keys = ("order.placed", "order.placed.", "order", "")
    return {key: await _reached(channel, "e", key, "a", "b") for key in keys}


@scenario(["1"])
async def queue_bound_twice_gets_one_copy(world: World) -> object:
    channel = await _bound(world, "topic", a="order.*")
    await channel.bind("a", "e", "#")
    await channel.bind("a", "e", "#")
    await channel.confirmed("e", "order.placed", b"1")
    return await channel.get_all("a")


@scenario((("Queue.UnbindOk",), [], ["a"]))
async def unbinding_ends_the_route(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    await channel.bind("a", "e", "y")
    answer = await channel.call(Queue.Unbind(queue="a", exchange="e", routing_key="x"))
    return answer, await _reached(channel, "e", "x", "a"), await _reached(channel, "e", "y", "a")


@scenario(("Queue.UnbindOk",))
async def unbinding_what_was_never_bound(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.call(Queue.Unbind(queue="a", exchange="e", routing_key="nope"))


@scenario(("Queue.UnbindOk",))
async def unbinding_a_missing_queue(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.call(Queue.Unbind(queue="none", exchange="e", routing_key="x"))


@scenario(("Queue.UnbindOk",))
async def unbinding_from_a_missing_exchange(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.call(Queue.Unbind(queue="a", exchange="none", routing_key="x"))


@scenario(channel_error(404, "no exchange 'none' in vhost 'V'", Queue.Bind))
async def binding_to_a_missing_exchange(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.bind("a", "none", "x")


@scenario(channel_error(404, "no queue 'none' in vhost 'V'", Queue.Bind))
async def binding_a_missing_queue(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.bind("none", "e", "x")


@scenario(channel_error(403, "operation not permitted on the default exchange", Queue.Bind))
async def binding_to_the_default_exchange(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    return await channel.bind("a", "", "x")


@scenario([])
async def bindings_go_with_the_queue(world: World) -> object:
    channel = await _bound(world, "direct", a="x")
    await channel.call(Queue.Delete(queue="a"))
    await channel.queue("a")
    return await _reached(channel, "e", "x", "a")


@scenario((("Exchange.BindOk",), ["a"], [], ("Exchange.UnbindOk",), []))
async def exchange_bound_to_an_exchange(world: World) -> object:
    channel = await _bound(world, "fanout", a="")
    await channel.exchange("up", "topic")
    bound = await channel.call(Exchange.Bind(destination="e", source="up", routing_key="order.#"))
    yes, no = await _reached(channel, "up", "order.placed", "a"), await _reached(channel, "up", "x", "a")
    unbound = await channel.call(Exchange.Unbind(destination="e", source="up", routing_key="order.#"))
    return bound, yes, no, unbound, await _reached(channel, "up", "order.placed", "a")


@scenario(["1"])
async def circle_of_exchanges_delivers_once(world: World) -> object:
    channel = await _bound(world, "fanout", a="")
    await channel.exchange("f", "fanout")
    await channel.call(Exchange.Bind(destination="f", source="e"))
    await channel.call(Exchange.Bind(destination="e", source="f"))
    await channel.confirmed("e", "k", b"1")
    return await channel.get_all("a")


@scenario((["a"], ["spare"]))
async def alternate_exchange_gets_what_nobody_takes(world: World) -> object:
    channel = await _bound(world, "fanout", spare="")
    await channel.exchange("main", "direct", arguments={"alternate-exchange": "e"})
    await channel.queue("a")
    await channel.bind("a", "main", "x")
    return await _reached(channel, "main", "x", "a", "spare"), await _reached(channel, "main", "y", "a", "spare")


@scenario(["ack"])
async def missing_alternate_exchange_drops(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.exchange("main", "direct", arguments={"alternate-exchange": "none"})
    return await channel.confirmed("main", "y", b"1")


@scenario([(b"m", ["CC"]), (b"m", ["CC"]), (b"m", ["CC"])])
async def further_keys_from_the_headers(world: World) -> object:
    channel = await _bound(world, "direct", a="x", b="y", c="z")
    await channel.confirmed("e", "x", b"m", headers={"CC": ["y"], "BCC": ["z"]})
    found = [await channel.fetch(queue) for queue in ("a", "b", "c")]
    return [(one.body, sorted(one.properties.headers or {})) for one in found if one.properties]
