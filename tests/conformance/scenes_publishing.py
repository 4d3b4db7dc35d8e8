"""Publishing: errors, confirms, returns, properties."""

from __future__ import annotations

import datetime

from pamqp import commands
from pamqp.commands import Basic, Tx

from .scenario import channel_error, connection_error, scenario
from .shown import headers
from .world import World


@scenario(channel_error(404, "no exchange 'none' in vhost 'V'", Basic.Publish))
async def publishing_to_a_missing_exchange(world: World) -> object:
    channel = await world.channel()
    channel.publish("none", "k")
    return await channel.closed()


@scenario(channel_error(403, "cannot publish to internal exchange 'e' in vhost 'V'", Basic.Publish))
async def publishing_to_an_internal_exchange(world: World) -> object:
    channel = await world.channel()
    await channel.exchange("e", internal=True)
    channel.publish("e", "k")
    return await channel.closed()


@scenario(connection_error(540, "immediate=true", Basic.Publish))
async def immediate_is_not_implemented(world: World) -> object:
    channel = await world.channel()
    channel.send(Basic.Publish(exchange="", routing_key="q", immediate=True))
    channel.content(b"m")
    return await channel.closed()


@scenario(["ack", "ack"])
async def unroutable_message_is_confirmed(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    return await channel.confirmed("", "nobody", b"1", b"2")


@scenario(("ack", [("Basic.Return", 312, "NO_ROUTE", "amq.topic", "nobody.listens", "back")]))
async def unroutable_mandatory_message_is_returned_before_its_confirm(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    channel.publish("amq.topic", "nobody.listens", b"back", mandatory=True)
    confirm = await channel.confirm()
    return confirm, [channel.shown(one) for one in channel.returned]


@scenario(("7", {"a": 1}))
async def returned_message_keeps_its_properties(world: World) -> object:
    channel = await world.channel()
    channel.publish("", "nobody", b"back", mandatory=True, message_id="7", headers={"a": 1})
    await channel.client.until(lambda: bool(channel.returned))
    properties = channel.returned[0].properties
    assert properties is not None
    return properties.message_id, properties.headers


@scenario(("ack", 0, "in"))
async def routed_mandatory_message_is_not_returned(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    channel.publish("", "q", b"in", mandatory=True)
    return await channel.confirm(), len(channel.returned), await channel.get("q")


@scenario([2, False])
async def confirms_count_from_one(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    channel.publish("", "q", b"unconfirmed")
    await channel.with_confirms()
    await channel.confirmed("", "q", b"1")
    channel.publish("", "q", b"2")
    await channel.client.until(lambda: bool(channel.confirms))
    return [value for _, value in channel.confirms[0].method]


@scenario((("Confirm.SelectOk",), ("Confirm.SelectOk",)))
async def confirm_select_twice_is_fine(world: World) -> object:
    channel = await world.channel()
    return await channel.call(commands.Confirm.Select()), await channel.call(commands.Confirm.Select())


@scenario(
    {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": "2",
        "priority": "3",
        "correlation_id": "c-1",
        "reply_to": "answers",
        "message_id": "m-1",
        "timestamp": "2024-02-29 12:00:00+00:00",
        "message_type": "order.placed",
        "user_id": "guest",
        "app_id": "orders",
    }
)
async def properties_come_through_unchanged(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    channel.publish(
        "",
        "q",
        b"{}",
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        priority=3,
        correlation_id="c-1",
        reply_to="answers",
        message_id="m-1",
        timestamp=datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.UTC),
        message_type="order.placed",
        user_id="guest",
        app_id="orders",
    )
    properties = (await channel.fetch("q")).properties
    assert properties is not None
    return {name: str(value) for name, value in properties if value not in (None, "", {})}


@scenario(
    {"big": 1099511627776, "flag": True, "int": 5, "list": [1, "a"], "none": None, "table": {"x": {}}, "text": "ü"}
)
async def headers_come_through_unchanged(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    table = {"text": "ü", "int": 5, "big": 2**40, "flag": True, "none": None, "list": [1, "a"], "table": {"x": {}}}
    channel.publish("", "q", headers=table)
    return headers(await channel.fetch("q"))


@scenario(channel_error(406, "user_id property set to 'root' but authenticated user was 'guest'", Basic.Publish))
async def foreign_user_id_is_refused(world: World) -> object:
    channel = await world.channel()
    channel.publish("", "q", user_id="root")
    return await channel.closed()


@scenario(channel_error(406, "invalid expiration 'soon': no_integer", Basic.Publish))
async def expiration_that_is_no_number(world: World) -> object:
    channel = await world.channel()
    channel.publish("", "q", expiration="soon")
    return await channel.closed()


@scenario(channel_error(406, "invalid expiration '10s': {leftover_string,\"s\"}", Basic.Publish))
async def expiration_with_a_unit(world: World) -> object:
    channel = await world.channel()
    channel.publish("", "q", expiration="10s")
    return await channel.closed()


@scenario(channel_error(406, "invalid expiration '-1': {value_negative,-1}", Basic.Publish))
async def negative_expiration(world: World) -> object:
    channel = await world.channel()
    channel.publish("", "q", expiration="-1")
    return await channel.closed()


@scenario(True)
async def transaction_and_confirms_exclude_each_other(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    answer = await channel.call(Tx.Select())
    return answer[0].endswith("Close")


@scenario([("Basic.Deliver", "tag", 1, "1", "amq.topic", "order.placed")])
async def message_is_delivered_with_its_exchange_and_key(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    await channel.bind("q", "amq.topic", "order.#")
    await channel.consume("q", "tag", no_ack=True)
    channel.publish("amq.topic", "order.placed", b"1")
    return [channel.shown(one) for one in await channel.deliveries(1)]
