"""Greeting, login, tuning, channels, errors that end a connection, heartbeats."""

from __future__ import annotations

import pytest
from pamqp import frame
from pamqp.commands import Basic, Channel, Connection, Exchange, Tx

from .client import PREAMBLE, login
from .scenario import channel_error, connection_error, scenario
from .world import World


@scenario((("Connection.OpenOk",), 2047, 131072, 60))
async def login_opens_the_virtual_host(world: World) -> object:
    client = await world.dial()
    answer = await login(client)
    tune = client.tune
    return answer, tune.channel_max, tune.frame_max, tune.heartbeat


@scenario(("ProtocolHeader",))
async def wrong_greeting_is_answered_with_the_right_one(world: World) -> object:
    client = await world.dial()
    client.write(b"HTTP/1.1")
    answer = await client.next()
    await client.wait_ended()
    return answer


@scenario(
    connection_error(403, "Login was refused using authentication mechanism PLAIN. For details see the broker logfile.")
)
async def wrong_password_is_refused(world: World) -> object:
    return await login(await world.dial(), password="nope")


@scenario(0)
async def wrong_password_ends_the_transport_of_a_client_that_cannot_be_told(world: World) -> object:
    client = await world.dial()
    client.write(PREAMBLE)
    await client.next()
    client.write(frame.marshal(Connection.StartOk({}, "PLAIN", "\0guest\0nope"), 0))
    await client.wait_ended()
    return len(client.own)


@scenario(connection_error(530, "vhost nowhere not found", Connection.Open))
async def missing_virtual_host_is_refused(world: World) -> object:
    return await login(await world.dial(), vhost="nowhere")


@scenario(0)
async def frame_max_above_the_proposal_is_refused(world: World) -> object:
    client = await world.dial()
    with pytest.raises(ConnectionResetError):
        await login(client, frame_max=1_000_000)
    return len(client.own)


@scenario(connection_error(530, "number of channels opened (2) has reached the negotiated channel_max (2)"))
async def one_channel_more_than_agreed_ends_the_connection(world: World) -> object:
    client = await world.connect(channel_max=2)
    await client.channel(1)
    await client.channel(2)
    return await client.raw_channel(3).call(Channel.Open())


@scenario(connection_error(504, "expected 'channel.open'", Exchange.Declare))
async def method_on_a_channel_that_is_not_open_ends_the_connection(world: World) -> object:
    client = await world.connect()
    return await client.raw_channel(5).call(Exchange.Declare(exchange="e"))


@scenario(connection_error(504, "second 'channel.open' seen", Channel.Open))
async def opening_a_channel_twice_ends_the_connection(world: World) -> object:
    channel = await world.channel()
    return await channel.call(Channel.Open())


@scenario((("Channel.CloseOk",), ("Channel.OpenOk",)))
async def closing_a_channel_is_answered_and_it_can_be_opened_again(world: World) -> object:
    client = await world.connect()
    channel = await client.channel(3)
    closed = await channel.call(Channel.Close(200, "", 0, 0))
    return closed, await channel.call(Channel.Open())


@scenario(("Connection.CloseOk",))
async def closing_the_connection_is_answered(world: World) -> object:
    client = await world.connect()
    return await client.call(Connection.Close(200, "bye", 0, 0))


@scenario(
    (
        channel_error(406, "unknown delivery tag 1", Basic.Ack),
        channel_error(404, "no exchange 'never' in vhost 'V'", Exchange.Declare),
    )
)
async def after_a_channel_error_frames_are_ignored_until_close_ok(world: World) -> object:
    client = await world.connect()
    channel = await client.channel()
    channel.send(Basic.Ack(delivery_tag=1), Basic.Ack(delivery_tag=2), Exchange.Declare(exchange="never"))
    closed = await channel.closed()
    other = await client.channel(9)
    return closed, await other.exchange("never", passive=True)


@scenario(
    (
        channel_error(404, "no exchange 'none' in vhost 'V'", Exchange.Declare),
        ("Channel.OpenOk",),
        ("Exchange.DeclareOk",),
    )
)
async def channel_is_usable_again_after_its_error(world: World) -> object:
    channel = await world.channel()
    first = await channel.exchange("none", passive=True)
    return first, await channel.call(Channel.Open()), await channel.exchange("amq.topic", passive=True)


@scenario(connection_error(505, "expected method frame, got non method frame instead"))
async def content_header_without_a_method_ends_the_connection(world: World) -> object:
    channel = await world.channel()
    channel.content(b"lost")
    return await channel.closed()


@scenario(
    connection_error(505, "expected content header for class 60, got non content header frame instead", Basic.Publish)
)
async def method_in_the_middle_of_content_ends_the_connection(world: World) -> object:
    channel = await world.channel()
    channel.send(Basic.Publish(exchange="", routing_key="q"), Channel.Close(200, "", 0, 0))
    return await channel.closed()


@scenario(connection_error(501, "type 3, all octets = <<>>: {frame_too_large,5000,4088}"))
async def frame_beyond_frame_max_ends_the_connection(world: World) -> object:
    client = await world.connect(frame_max=4096)
    channel = await client.channel()
    client.frame_max = 131072
    channel.publish("", "q", b"\x00" * 5000)
    answer = await channel.closed()
    return answer


@scenario(("Connection.Close", 504))
async def publish_on_channel_zero_ends_the_connection(world: World) -> object:
    client = await world.connect()
    return (await client.call(Basic.Publish(exchange="", routing_key="q")))[:2]


@scenario((10000, 3))
async def bodies_are_split_to_the_frame_size_agreed_on(world: World) -> object:
    client = await world.connect(frame_max=4096)
    channel = await client.channel()
    await channel.queue("q")
    channel.publish("", "q", b"x" * 10_000)
    one = await channel.fetch("q")
    return len(one.body), one.frames


@scenario((True, 24))
async def megabytes_come_through_whole(world: World) -> object:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    data = bytes(range(256)) * 12_000
    await channel.confirmed("", "q", data)
    one = await channel.fetch("q")
    return one.body == data, one.frames


@scenario((b"", 0))
async def empty_body_has_no_body_frame(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    channel.publish("", "q", b"")
    one = await channel.fetch("q")
    return one.body, one.frames


@scenario(True)
async def heartbeats_are_sent_when_agreed_on(world: World) -> object:
    client = await world.connect(heartbeat=1)
    await client.until(lambda: client.heartbeats >= 1)
    return client.heartbeats >= 1


@scenario(("Queue.DeclareOk", "mine", 0, 0))
async def silent_client_is_given_up(world: World) -> object:
    client = await world.connect(heartbeat=1)
    channel = await client.channel()
    await channel.queue("mine", exclusive=True)
    await client.wait_ended()
    other = await world.channel()
    return await other.queue("mine", exclusive=True)


@scenario(("Connection.Close", 320))
async def deleted_virtual_host_closes_its_connections(world: World) -> object:
    client = await world.connect()
    world.server.remove_vhost(world.vhost)
    answer = await client.next()
    world.server.add_vhost(world.vhost)
    return answer[:2]


@scenario((("Channel.FlowOk", True), connection_error(540, "active=false", Channel.Flow)))
async def flow_can_be_asked_for_but_not_stopped(world: World) -> object:
    channel = await world.channel()
    return await channel.call(Channel.Flow(True)), await channel.call(Channel.Flow(False))


@scenario(connection_error(540, "prefetch_size!=0 (10)", Basic.Qos))
async def prefetch_size_is_not_implemented(world: World) -> object:
    channel = await world.channel()
    return await channel.call(Basic.Qos(prefetch_size=10))


@scenario(True)
async def commit_without_a_transaction_is_an_error(world: World) -> object:
    channel = await world.channel()
    answer = await channel.call(Tx.Commit())
    return answer[0].endswith("Close")
