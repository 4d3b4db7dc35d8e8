"""The embedded server: a crash, a resurrection, and the clients people use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pika
import pytest
import pytest_asyncio
from misstep.harness.brokers.port import QueueState, Route
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer
from misstep.harness.errors import BrokerFailed

from .client import RawClient, login
from .scenario import Play
from .world import World


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    server = EmbeddedServer()
    await server.start()
    world = World(server)
    server.add_vhost(world.vhost)
    yield world
    await world.close()
    await server.close()


def _server(world: World) -> EmbeddedServer:
    assert isinstance(world.server, EmbeddedServer)
    return world.server


async def _fill(world: World) -> RawClient:
    """Make one of everything durable and one of everything transient, with a message of each kind in each queue."""
    channel = await (await world.channel()).with_confirms()
    for name, durable in (("kept", True), ("lost", False)):
        await channel.queue(name, durable=durable)
        await channel.exchange(f"{name}-exchange", durable=durable)
        await channel.bind(name, f"{name}-exchange", "k")
        await channel.confirmed("", name, b"persistent", delivery_mode=2)
        await channel.confirmed("", name, b"transient", delivery_mode=1)
    await channel.bind("kept", "lost-exchange", "k")
    await channel.queue("mine", durable=True, exclusive=True)
    return channel.client


@pytest.mark.asyncio
async def test_a_crash_keeps_what_is_durable_and_nothing_else(world: World) -> None:
    client = await _fill(world)
    server = _server(world)
    server.crash()
    await client.wait_ended()
    server.resume()
    assert [(one.name, one.ready) for one in server.model.queues(world.vhost)] == [("kept", 1)]
    assert server.model.routes(world.vhost) == (Route("kept-exchange", "kept", "k", "direct"),)
    channel = await world.channel()
    assert await channel.get_all("kept") == ["persistent"]


@pytest.mark.asyncio
async def test_what_was_out_at_a_crash_comes_again(world: World) -> None:
    client = await _fill(world)
    await client.channels[1].get("kept", no_ack=False)
    server = _server(world)
    server.crash()
    server.resume()
    channel = await world.channel()
    assert await channel.get_all("kept") == ["persistent*"]


@pytest.mark.asyncio
async def test_nobody_is_served_while_it_is_down(world: World) -> None:
    server = _server(world)
    port = server.port
    server.crash()
    with pytest.raises(ConnectionError):
        await login(await world.dial())
    server.resume()
    assert server.port == port
    assert await login(await world.dial()) == ("Connection.OpenOk",)


@pytest.mark.asyncio
async def test_a_crash_says_nothing(world: World) -> None:
    client = await world.connect()
    _server(world).crash()
    await client.wait_ended()
    assert not client.own


@pytest.mark.asyncio
async def test_a_server_that_was_not_started_has_no_port() -> None:
    with pytest.raises(BrokerFailed, match="await its start"):
        _ = EmbeddedServer().port


async def _ready(world: World) -> None:
    channel = await (await world.channel()).with_confirms()
    await channel.queue("q")
    await channel.confirmed("", "q", b"1", b"2", b"3")


async def _unacked(world: World) -> None:
    await _ready(world)
    channel = await world.channel()
    await channel.prefetch(2)
    await channel.consume("q")
    await channel.deliveries(2)


async def _owned(world: World) -> None:
    await (await world.channel()).queue("q", exclusive=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("play", "state"),
    [
        (_ready, QueueState("q", 3, 0, 0)),
        (_unacked, QueueState("q", 1, 2, 1)),
        (_owned, QueueState("q", 0, 0, 0, exclusive=True)),
    ],
)
async def test_the_model_says_how_a_queue_stands(world: World, play: Play, state: QueueState) -> None:
    await play(world)
    assert _server(world).model.queues(world.vhost) == (state,)


@pytest.mark.asyncio
async def test_the_model_says_when_a_timer_moves_a_message_on(world: World) -> None:
    channel = await (await world.channel()).with_confirms()
    arguments = {"x-message-ttl": 60_000, "x-dead-letter-exchange": "dlx"}
    await channel.queue("waits", arguments=arguments)
    await channel.queue("drops", arguments={"x-message-ttl": 60_000})
    for queue in ("waits", "drops"):
        await channel.confirmed("", queue, b"1")
    waits, drops = _server(world).model.queues(world.vhost)
    assert waits.ttl_due is not None
    assert 0 < waits.ttl_due <= 60
    assert (waits.dead_letters, waits.arguments) == (True, arguments)
    assert (drops.ttl_due, drops.dead_letters) == (None, False)


@pytest.mark.asyncio
async def test_aio_pika_works_unaware(world: World) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{world.server.port}/{world.vhost}"
    connection = await aio_pika.connect_robust(url)
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=5)
        exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await channel.declare_queue("q", durable=True)
        await queue.bind(exchange, "order.*")
        for number in range(20):
            await exchange.publish(aio_pika.Message(str(number).encode(), message_id=str(number)), "order.placed")
        seen = []
        async with queue.iterator() as messages:
            async for message in messages:
                async with message.process():
                    seen.append(int(message.body))
                if len(seen) == 20:
                    break
    assert seen == list(range(20))


@pytest.mark.asyncio
async def test_aio_pika_comes_back_after_a_crash(world: World) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{world.server.port}/{world.vhost}"
    connection = await aio_pika.connect_robust(url, reconnect_interval=0.05)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("q", durable=True)
        came: asyncio.Queue[bytes] = asyncio.Queue()

        async def keep(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            came.put_nowait(message.body)

        await queue.consume(keep, no_ack=True)
        _server(world).crash()
        _server(world).resume()
        other = await (await world.channel()).with_confirms()
        await other.count("q", consumers=1)
        await other.confirmed("", "q", b"again")
        assert await asyncio.wait_for(came.get(), 20) == b"again"


def _blocking(port: int, vhost: str) -> list[bytes]:
    parameters = pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{port}/{vhost}")
    connection = pika.BlockingConnection(parameters)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    for number in range(20):
        channel.basic_publish("", "q", str(number).encode(), mandatory=True)
    seen: list[bytes] = []
    for method, _, body in channel.consume("q"):
        channel.basic_ack(method.delivery_tag)
        seen.append(body)
        if len(seen) == 20:
            break
    channel.cancel()
    connection.close()
    return seen


@pytest.mark.asyncio
async def test_pika_works_unaware(world: World) -> None:
    seen = await asyncio.to_thread(_blocking, world.server.port, world.vhost)
    assert seen == [str(number).encode() for number in range(20)]
