"""A broker given by its URL: a private one plays the one somewhere else."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from misstep.harness.brokers.port import Broker
from misstep.harness.brokers.rabbitmq.local import LocalRabbit, shared
from misstep.harness.brokers.rabbitmq.remote import RemoteRabbit
from misstep.harness.errors import BrokerFailed, StageError

pytestmark = pytest.mark.asyncio(loop_scope="session")
names = (f"remote-{number}" for number in itertools.count())


@asynccontextmanager
async def remote(url: str, management: str = "") -> AsyncIterator[RemoteRabbit]:
    broker = RemoteRabbit(url, management)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.close()


async def test_a_management_url_gives_each_run_a_fresh_virtual_host(rabbit: LocalRabbit) -> None:
    async with remote(*shared(rabbit.address)) as broker:
        port: Broker = broker
        assert port.version == rabbit.version
        assert broker.notices == ()
        name = next(names)
        first, second = await broker.space(name), await broker.space(name)
        assert first.name != second.name
        async with await aio_pika.connect(first.url(rabbit.endpoint.host, rabbit.endpoint.port)) as connection:
            await (await connection.channel()).declare_queue("orders")
        assert [state.name for state in await first.queues()] == ["orders"]
        assert await second.queues() == ()
        await first.discard()
        assert first.name not in await rabbit.management.vhosts()
        assert second.name in await rabbit.management.vhosts()
    assert second.name not in await rabbit.management.vhosts(), "what was made is not left on somebody's broker"


async def test_without_one_the_virtual_host_of_the_url_is_used_and_left(rabbit: LocalRabbit) -> None:
    url, _ = shared(rabbit.address)
    vhost = next(names)
    await rabbit.management.create_vhost(vhost)
    async with remote(f"{url}{vhost}") as broker:
        assert "queues and messages of earlier runs are still there" in broker.notices[0]
        space = await broker.space("run")
        assert space.name == vhost
        async with await aio_pika.connect(space.url(rabbit.endpoint.host, rabbit.endpoint.port)) as connection:
            await (await connection.channel()).declare_queue("orders", durable=True)
        await space.publish("", "orders", b"1", headers={}, properties={})
        assert [(state.name, state.ready) for state in await space.queues(["orders", "unknown"])] == [("orders", 1)]
        await space.discard()
    assert vhost in await rabbit.management.vhosts()
    await rabbit.management.delete_vhost(vhost)


async def test_it_is_not_ours_to_kill(rabbit: LocalRabbit) -> None:
    async with remote(*shared(rabbit.address)) as broker:
        with pytest.raises(StageError, match="not ours to kill: use the local stage"):
            await broker.crash()
        with pytest.raises(StageError, match="not ours to restart"):
            await broker.restart()


async def test_secrets_are_not_shown() -> None:
    broker = RemoteRabbit("amqps://ann:hunter2@broker.example/shop", "https://boss:hunter3@broker.example:15671")
    shown = f"{broker!r} {broker.address} {broker.address!r} {vars(broker)}"
    assert "hunter" not in shown
    assert "amqps://ann:***@broker.example:5671 (virtual host 'shop')" in shown
    await broker.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("kafka://user:hunter2@host:9092", "begins with 'kafka://': expected amqp://user:password@host:port/vhost"),
        ("amqp://user:hunter2@host:port/x", "cannot be read"),
        ("amqp:///vhost", "expected amqp://user:password@host:port/vhost"),
        ("amqps://user:hunter2@host/?cacertfile=/no/such/file", "'cacertfile': '/no/such/file'"),
    ],
)
async def test_a_url_that_cannot_be_used(url: str, expected: str) -> None:
    with pytest.raises(BrokerFailed) as caught:
        RemoteRabbit(url)
    assert expected in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_says_what_of_it_cannot_be_used(rabbit: LocalRabbit) -> None:
    url, management = shared(rabbit.address)
    host = f"127.0.0.1:{rabbit.endpoint.port}"
    with pytest.raises(BrokerFailed, match="no broker answers at amqp://guest:"):
        async with remote("amqp://127.0.0.1:1/"):
            pass
    async with await asyncio.start_server(answer_http, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BrokerFailed, match=f"no broker answers at amqp://guest:.*{port}.*not AMQP"):
            async with remote(f"amqp://127.0.0.1:{port}"):
                pass
    with pytest.raises(BrokerFailed, match="refused user 'misstep'"):
        async with remote(f"amqp://misstep:wrong@{host}/"):
            pass
    with pytest.raises(BrokerFailed, match="virtual host 'nowhere' was refused"):
        async with remote(f"{url}nowhere"):
            pass
    with pytest.raises(BrokerFailed, match="user 'misstep' or its password is wrong"):
        async with remote(url, management.replace("http://", "http://misstep:wrong@")):
            pass
    with pytest.raises(BrokerFailed, match="got no answer"):
        async with remote(url, "http://127.0.0.1:1"):
            pass


async def test_speaks_tls(rabbit: LocalRabbit, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {key} -out {certificate}"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    await asyncio.to_thread(subprocess.run, [*command.split(), *names], check=True, capture_output=True)
    async with tls_in_front(rabbit.endpoint.port, key, certificate) as port:
        plain, _ = shared(rabbit.address)
        url = plain.replace("amqp://", "amqps://").replace(f"127.0.0.1:{rabbit.endpoint.port}", f"localhost:{port}")
        async with remote(f"{url}?cacertfile={certificate}") as broker:
            assert broker.version == rabbit.version
            space = await broker.space("run")
            assert await space.queues(["unknown"]) == ()
            assert space.url("127.0.0.1", 1).startswith("amqp://"), "a service talks plainly to its link"
            await space.discard()
        async with remote(f"{url}?verify=verify_none") as broker:
            assert broker.version == rabbit.version
        with pytest.raises(BrokerFailed, match="certificate verify failed"):
            async with remote(url):
                pass


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(8)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@asynccontextmanager
async def tls_in_front(port: int, key: Path, certificate: Path) -> AsyncIterator[int]:
    """Terminate TLS in front of a plain port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
