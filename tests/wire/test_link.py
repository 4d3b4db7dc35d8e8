"""The link's own business: sockets, errors, TLS, flow control; with any session and no broker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aio_pika
import pytest
import pytest_asyncio
import uvloop
from misstep.harness.brokers.port import Endpoint
from misstep.harness.brokers.rabbitmq.embedded_broker import EmbeddedBroker
from misstep.harness.stage.loop import StageLoop
from misstep.harness.wire.amqp.connection import Connection
from misstep.harness.wire.amqp.session import AmqpSession, amqp
from misstep.harness.wire.facts import Closed, Confirmed, Fact, Message, Opened, Origin, Published
from misstep.harness.wire.interceptor import FORWARD, Action, Control, Cut, Drop, Heard, Hold, Kill, Replace, misfit
from misstep.harness.wire.link import Link
from misstep.harness.wire.relay import Relay
from misstep.harness.wire.session import Fail, Hear, Numbers, Session

from .conftest import Rig, until

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    """A rig on the embedded broker alone: what is tested here does not depend on the broker."""
    broker = EmbeddedBroker()
    await broker.start()
    rig = Rig(await broker.space("link"))
    yield rig
    for link in rig.links:
        await link.close()
    if rig.direct is not None:
        await rig.direct.close()
    await broker.close()


@contextlib.asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Endpoint]:
    """Serve ``handler`` on a free port; its connections end with it."""
    serves: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serves[asyncio.current_task()] = writer
        with contextlib.suppress(ConnectionError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()
    for writer in serves.values():
        writer.transport.abort()
    await asyncio.gather(*(task for task in serves if task), return_exceptions=True)
    await server.wait_closed()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def connected(link: Link | Relay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(link.host, link.port)


def closed_port() -> Endpoint:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return Endpoint("127.0.0.1", listener.getsockname()[1])


async def opened(rig: Rig, endpoint: Endpoint) -> Link:
    link = Link("payment", endpoint, amqp(), rig.hear, rig.kills.append)
    await link.open()
    rig.links.append(link)
    return link


@pytest.mark.asyncio
async def test_a_link_is_a_control(rig: Rig) -> None:
    control: Control = await rig.link()
    assert control.held() == ()
    assert not control.release("none")
    assert not control.inject(1)
    assert control.cut() == 0


@pytest.mark.asyncio
async def test_an_upstream_that_refuses_resets_the_client_and_is_told(rig: Rig) -> None:
    link = await opened(rig, closed_port())
    reader, writer = await connected(link)
    writer.write(b"AMQP\x00\x00\x09\x01")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert link.counts.unreachable == 1
    assert [(fact.by, fact.clean) for fact in rig.told(Closed)] == [("broker", False)]
    writer.close()


@pytest.mark.asyncio
async def test_a_cut_is_a_reset_at_both_ends(rig: Rig) -> None:
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                pass
            ends.put_nowait("closed")
        except ConnectionResetError:
            ends.put_nowait("reset")

    async with serving(watch) as endpoint:
        link = await opened(rig, endpoint)
        reader, writer = await connected(link)
        writer.write(b"AMQP\x00\x00\x09\x01")
        await until(lambda: link.counts.up == 8)
        assert link.cut() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await asyncio.wait_for(ends.get(), 10) == "reset"
        writer.close()


@pytest.mark.asyncio
async def test_a_broker_that_does_not_answer_does_not_keep_a_fault_waiting_for_ever(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("misstep.harness.wire.link.AWAIT", 0.05)
    monkeypatch.setattr("misstep.harness.wire.link.DRAIN", 0.05)
    link = await rig.link(lambda fact: Kill(after=True) if isinstance(fact, Published) else FORWARD)
    connection = await rig.connect(link)
    channel = await connection.channel()
    (wire,) = link._wires.values()
    wire.path.broker.hold_back(stopped=True)  # what the broker answers is not read any more
    sending = asyncio.ensure_future(channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere"))
    await until(lambda: rig.kills == ["payment"])
    assert "did not take a publish" in str(link.errors[0])
    await until(lambda: link.counts.undrained == 1)
    with pytest.raises((aio_pika.exceptions.AMQPError, ConnectionError, asyncio.CancelledError)):
        await sending
    link.errors.clear()


@pytest.mark.asyncio
async def test_errors_of_those_who_hear_are_kept_and_the_bytes_pass(rig: Rig) -> None:
    def broken(fact: Fact) -> Action:
        if isinstance(fact, Opened):
            raise RuntimeError("interceptor broke")
        return Hold("t") if isinstance(fact, Closed) else FORWARD

    link = await rig.link(broken)
    connection = await rig.connect(link)
    await connection.close()
    await until(lambda: len(link.errors) == 2)
    assert str(link.errors[0]) == "interceptor broke"
    assert "is no answer to Closed: it answers Published, Confirmed, Delivered, Settled" in str(link.errors[1])
    link.errors.clear()


@pytest.mark.asyncio
async def test_a_listener_that_fails_is_kept_and_a_kill_that_fails_too(rig: Rig) -> None:
    def deaf(fact: Fact, control: Control) -> Heard:
        if isinstance(fact, Opened):
            raise RuntimeError("listener broke")
        return Heard(fact, control)

    def powerless(service: str) -> None:
        raise ProcessLookupError(service)

    def kill(heard: Heard) -> Action:
        return Kill() if isinstance(heard.fact, Published) else FORWARD

    link = Link("payment", rig.space.endpoint, amqp(), deaf, powerless, interceptors=[kill])
    await link.open()
    connection = await rig.connect(link)
    channel = await connection.channel(publisher_confirms=False)
    await channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere")
    await until(lambda: len(link.errors) == 2)
    assert [str(error) for error in link.errors] == ["listener broke", "payment"]
    await until(lambda: not connection.connected.is_set())
    await link.close()


@pytest.mark.asyncio
async def test_the_first_answer_counts_and_all_hear(rig: Rig) -> None:
    heard: list[str] = []

    def interceptor(name: str, action: Action) -> Callable[[Heard], Action]:
        def hear(each: Heard) -> Action:
            if isinstance(each.fact, Published):
                heard.append(name)
                return action
            return FORWARD

        return hear

    link = await rig.link()
    link.interceptors += [interceptor("a", FORWARD), interceptor("b", Drop()), interceptor("c", Kill())]
    channel = await (await rig.connect(link)).channel(publisher_confirms=False)
    await channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere")
    await until(lambda: len(heard) == 3)
    assert heard == ["a", "b", "c"]
    assert rig.kills == []
    link.interceptors.clear()
    await channel.declare_queue("q", auto_delete=True)
    assert heard == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_an_interceptor_may_use_the_control_at_once(rig: Rig) -> None:
    """What is released or cut while a fact is being told takes effect without a second event."""

    def answer(fact: Fact) -> Action:
        if isinstance(fact, Published) and fact.publish == 1:
            return Hold("t")
        if isinstance(fact, Published) and fact.publish == 2:
            link.release("t")
        if isinstance(fact, Published) and fact.publish == 3:
            link.cut()
        return FORWARD

    link = await rig.link(answer)
    await rig.declare("q")
    connection = await rig.connect(link)
    channel = await connection.channel(publisher_confirms=False)
    for number in range(3):
        await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), "q")
    await until(lambda: not connection.connected.is_set())
    await rig.until_ready("q", 3)
    queue = await rig.declare("q")
    assert [(await queue.get(timeout=5)).body for _ in range(3)] == [b"0", b"1", b"2"]


@pytest.mark.asyncio
async def test_activity_is_timed_by_the_given_clock(rig: Rig) -> None:
    now = 5.0
    link = Link("payment", rig.space.endpoint, amqp(), rig.hear, rig.kills.append, clock=lambda: now)
    await link.open()
    assert link.last_activity == 5.0
    now = 9.0
    connection = await rig.connect(link)
    assert link.last_activity == 9.0
    now = 12.0
    await connection.close()
    assert link.last_activity == 12.0
    await link.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run([*command, *names], check=True, capture_output=True)
    return key, cert


def pump(endpoint: Endpoint) -> Handler:
    """Return a handler that passes bytes both ways between a client and ``endpoint``."""

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await echo(reader, writer)
        writer.close()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        await asyncio.gather(one_way(reader, up_writer), one_way(up_reader, writer))

    return handle


@pytest.mark.asyncio
async def test_tls_is_spoken_to_the_broker_alone(rig: Rig, certificate: tuple[Path, Path]) -> None:
    key, cert = certificate
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert, key)
    async with serving(pump(rig.space.endpoint), server) as endpoint:
        link = await opened(rig, replace(endpoint, tls=ssl.create_default_context(cafile=str(cert))))
        connection = await rig.connect(link)
        channel = await connection.channel()
        queue = await channel.declare_queue("q", auto_delete=True)
        await channel.default_exchange.publish(aio_pika.Message(b"x" * 500_000), "q")
        assert (await queue.get(timeout=10)).body == b"x" * 500_000
        await connection.close()
        distrustful = await opened(rig, replace(endpoint, tls=ssl.create_default_context()))
        with pytest.raises(ConnectionError):
            await rig.connect(distrustful)
        assert distrustful.counts.unreachable == 1
    await until(lambda: len(rig.told(Closed)) == 2)


@pytest.mark.asyncio
async def test_the_upstream_is_asked_for_at_each_connection(rig: Rig) -> None:
    endpoints = [closed_port(), rig.space.endpoint]
    link = Link("payment", lambda: endpoints.pop(0), amqp(), rig.hear, rig.kills.append)
    await link.open()
    with pytest.raises(ConnectionError):
        await rig.connect(link)
    connection = await rig.connect(link)
    await connection.close()
    await link.close()


@pytest.mark.asyncio
async def test_closing_a_link_resets_what_is_open(rig: Rig) -> None:
    async with serving(silence) as endpoint:
        link = await opened(rig, endpoint)
        reader, writer = await connected(link)
        await until(lambda: link.counts.connections == 1)
        await link.close()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        with pytest.raises(ConnectionRefusedError):
            await connected(link)
        writer.close()


@pytest.mark.asyncio
async def test_a_relay_passes_bytes_both_ways_and_ends_as_its_ends_do() -> None:
    async with serving(echo) as endpoint:
        relay = Relay("payment", endpoint)
        await relay.open()
        reader, writer = await connected(relay)
        writer.write(b"x" * 3_000_000)
        assert await reader.readexactly(3_000_000) == b"x" * 3_000_000
        assert (relay.counts.up, relay.counts.down) == (3_000_000, 3_000_000)
        assert relay.pending() == 0
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        control: Control = relay
        assert (control.held(), control.release("t"), control.inject(1)) == ((), False, False)
        await relay.close()


@pytest.mark.asyncio
async def test_a_relay_can_be_paused_cut_and_refused() -> None:
    async with serving(echo) as endpoint:
        relay = Relay("payment", endpoint)
        await relay.open()
        reader, writer = await connected(relay)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        relay.pause(True)
        writer.write(b"b")
        late_reader, late_writer = await connected(relay)
        late_writer.write(b"c")
        await until(lambda: relay.counts.connections == 2)
        waiting = [asyncio.ensure_future(each.readexactly(1)) for each in (reader, late_reader)]
        assert not (await asyncio.wait(waiting, timeout=0.05))[0]
        relay.pause(False)
        assert [await asyncio.wait_for(each, 10) for each in waiting] == [b"b", b"c"]
        assert relay.cut(1) == 1
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        late_writer.write(b"d")
        assert await late_reader.readexactly(1) == b"d"
        relay.refuse(True)
        refused, refused_writer = await connected(relay)
        with pytest.raises(ConnectionResetError):
            await refused.readexactly(1)
        assert (relay.counts.refused, relay.cut()) == (1, 1)
        for each in (writer, late_writer, refused_writer):
            each.close()
        await relay.close()


@pytest.mark.asyncio
async def test_a_relay_to_nobody_resets_and_counts() -> None:
    relay = Relay("payment", closed_port())
    await relay.open()
    reader, writer = await connected(relay)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert relay.counts.unreachable == 1
    writer.close()
    await relay.close()


async def _one_that_does_not_read() -> int:
    async with serving(silence) as endpoint:
        relay = Relay("payment", endpoint)
        await relay.open()
        _, writer = await connected(relay)
        writer.transport.set_write_buffer_limits(0)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 1 << 28:
                writer.write(b"x" * (1 << 20))
                sent += 1 << 20
                await asyncio.wait_for(writer.drain(), 0.3)
        held = sum(path.buffered for path in relay._paths)
        writer.transport.abort()
        await relay.close()
        assert sent < 1 << 28
        return held


@pytest.mark.asyncio
async def test_a_slow_reader_slows_the_writer_down() -> None:
    assert await _one_that_does_not_read() < 4 << 20


def test_flow_control_and_resets_on_uvloop() -> None:
    async def play() -> int:
        async with serving(echo) as endpoint:
            relay = Relay("payment", endpoint)
            await relay.open()
            reader, writer = await connected(relay)
            writer.write(b"x" * 3_000_000)
            assert len(await reader.readexactly(3_000_000)) == 3_000_000
            relay.cut()
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
            writer.close()
            await relay.close()
        return await _one_that_does_not_read()

    assert uvloop.run(play()) < 4 << 20


def test_a_link_on_uvloop() -> None:
    async def play(rig: Rig) -> None:
        link = await rig.link(lambda fact: Cut() if isinstance(fact, Confirmed) and fact.publish == 2 else FORWARD)
        connection = await rig.connect(link)
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(b"a"), "nowhere", mandatory=False)
        with pytest.raises((aio_pika.exceptions.AMQPError, ConnectionError, asyncio.CancelledError)):
            await channel.default_exchange.publish(aio_pika.Message(b"b"), "nowhere", mandatory=False)
        await link.close()

    with StageLoop() as loop:
        broker = EmbeddedBroker()
        loop.call(broker.start())
        rig = Rig(loop.call(broker.space("uvloop")))
        uvloop.run(play(rig))
        loop.call(broker.close())
    assert rig.errors() == []
    assert [type(fact).__name__ for fact in rig.facts][-2:] == ["Confirmed", "Closed"]


def test_a_replacement_of_another_kind_is_a_misfit() -> None:
    published = Published(Origin("payment", 1), 1, Message("", "q", b""))
    confirmed = Confirmed(Origin("payment", 1), 1)
    assert misfit(Replace(published), published) == ""
    assert "is no answer to Confirmed" in misfit(Replace(published), confirmed)
    assert "expected an Action" in misfit(None, confirmed)  # type: ignore[arg-type]
    assert misfit(Cut(), confirmed) == ""


@pytest.mark.asyncio
async def test_a_session_that_fails_ends_its_connection_and_the_error_is_kept(rig: Rig) -> None:
    class Broken(AmqpSession):
        def from_broker(self, data: bytes) -> None:
            raise RuntimeError("the session broke")

    def broken(origin: Origin, numbers: Numbers, hear: Hear, fail: Fail) -> Session:
        return Broken(Connection(origin, numbers, hear, fail))

    link = Link("payment", rig.space.endpoint, broken, rig.hear, rig.kills.append)
    await link.open()
    reader, writer = await connected(link)
    writer.write(b"AMQP\x00\x00\x09\x01")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    assert [str(error) for error in link.errors] == ["the session broke"]
    assert link.pending() == 0
    writer.close()
    await link.close()
