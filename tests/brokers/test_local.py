"""The private RabbitMQ: virtual hosts, crashes that keep what is durable, and nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import pytest
import pytest_asyncio
from misstep.harness.brokers.port import Broker, Space
from misstep.harness.brokers.rabbitmq.installation import Installation, find_installation, needed_plugins
from misstep.harness.brokers.rabbitmq.local import LocalRabbit, Node, Ports, shared
from misstep.harness.doctor import Machine
from misstep.harness.errors import BrokerFailed, PartMissing
from misstep.harness.services.guardian import Guard

pytestmark = pytest.mark.asyncio(loop_scope="session")
names = (f"test-{number}" for number in itertools.count())


@pytest_asyncio.fixture(loop_scope="session")
async def space(rabbit: LocalRabbit) -> AsyncIterator[Space]:
    space = await rabbit.space(next(names))
    yield space
    await space.discard()


async def declare(space: Space) -> None:
    """Declare a durable queue bound to a topic exchange, with one persistent message in it, and a passing queue."""
    async with await aio_pika.connect(space.url(space.endpoint.host, space.endpoint.port)) as connection:
        channel = await connection.channel()
        events = await channel.declare_exchange("events", "topic", durable=True)
        orders = await channel.declare_queue("orders", durable=True)
        await orders.bind(events, "order.#")
        await channel.declare_queue("passing", durable=False)
        message = aio_pika.Message(b"1", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await events.publish(message, "order.placed")


async def test_is_a_broker(rabbit: LocalRabbit, space: Space) -> None:
    broker: Broker = rabbit
    assert broker.protocol == "amqp"
    assert broker.version.startswith("RabbitMQ ")
    assert broker.version.split()[1][0].isdigit()
    assert space.name in await rabbit.management.vhosts()


async def test_a_space_tells_of_queues_and_routes(space: Space) -> None:
    await declare(space)
    await space.publish("events", "order.paid", b"2", headers={}, properties={})
    states = {state.name: state for state in await space.queues()}
    assert (states["orders"].ready, states["passing"].ready) == (2, 0)
    routes = {(route.source, route.queue, route.key, route.kind) for route in await space.routes()}
    assert ("events", "orders", "order.#", "topic") in routes


async def test_a_discarded_space_is_gone_with_its_connections(rabbit: LocalRabbit) -> None:
    space = await rabbit.space(next(names))
    await declare(space)
    connection = await aio_pika.connect(space.url(space.endpoint.host, space.endpoint.port))
    closed = asyncio.Event()
    connection.close_callbacks.add(lambda *_: closed.set())
    await space.discard()
    async with asyncio.timeout(20):
        await closed.wait()
    assert space.name not in await rabbit.management.vhosts()
    await space.discard()


async def test_what_is_durable_survives_a_crash(rabbit: LocalRabbit, space: Space) -> None:
    await declare(space)
    endpoint = rabbit.endpoint
    await rabbit.crash()
    with socket.socket() as probe:
        assert probe.connect_ex((endpoint.host, endpoint.port)) != 0
    with pytest.raises(BrokerFailed):
        await space.queues()

    await rabbit.restart()

    assert rabbit.endpoint == endpoint
    states = {state.name: state.ready for state in await space.queues()}
    assert states == {"orders": 1}


async def test_a_space_is_asked_again_after_a_crash_that_nobody_noticed(rabbit: LocalRabbit, space: Space) -> None:
    await declare(space)
    assert len(await space.queues()) == 2
    await space.publish("", "orders", b"2", headers={}, properties={})
    await rabbit.crash()
    await rabbit.restart()
    await space.publish("", "orders", b"3", headers={}, properties={})
    assert [(state.name, state.ready) for state in await space.queues()] == [("orders", 3)]


async def test_its_address_is_enough_to_share_it(rabbit: LocalRabbit) -> None:
    url, management = shared(rabbit.address)
    assert management == rabbit.management.url
    async with await aio_pika.connect(url) as connection:
        assert not connection.is_closed


async def test_secrets_are_not_shown(rabbit: LocalRabbit, tmp_path: Path) -> None:
    url, _ = shared(rabbit.address)
    password = url.split(":")[2].split("@")[0]
    node = rabbit._running
    assert len(password) == 32
    assert password not in f"{rabbit!r} {node!r} {rabbit.management!r} {node.credentials} {vars(rabbit)}"
    assert node.cookie not in repr(node)


async def test_a_start_that_fails_shows_why(tmp_path: Path) -> None:
    whole = find_installation()
    (tmp_path / "plugins").mkdir()
    for name in ("sbin", "escript"):
        (tmp_path / name).symlink_to(whole.home / name)
    for plugin in (whole.home / "plugins").iterdir():
        if not plugin.name.startswith("ranch-"):
            (tmp_path / "plugins" / plugin.name).symlink_to(plugin)
    async with Guard() as guard:
        rabbit = LocalRabbit(guard, installation=Installation(tmp_path, whole.epmd))
        with pytest.raises(BrokerFailed, match=r"first errors and last lines of rabbitmq\.log:\n(.*\n)*.*ranch"):
            await rabbit.start()
        with pytest.raises(BrokerFailed, match="await its start"):
            _ = rabbit.endpoint


async def test_says_what_is_missing(tmp_path: Path) -> None:
    bare = Machine(root=tmp_path, environment={"PATH": str(tmp_path)})
    with pytest.raises(PartMissing, match="no RabbitMQ is installed"):
        find_installation(bare)
    script = tmp_path / "usr/lib/rabbitmq/lib/rabbitmq_server-9.9.9/sbin/rabbitmq-server"
    script.parent.mkdir(parents=True)
    script.touch(mode=0o755)
    with pytest.raises(PartMissing, match="there is no `erl` in PATH"):
        find_installation(bare)


async def test_only_needed_plugins_are_linked() -> None:
    found = {path.name.rpartition("-")[0] for path in needed_plugins(find_installation().home / "plugins")}
    assert {"rabbit", "rabbit_common", "rabbitmq_management", "ranch", "cowboy"} <= found
    assert not {"rabbitmq_mqtt", "rabbitmq_stomp", "rabbitmq_shovel"} & found


async def test_nothing_of_another_rabbitmq_gets_in(rabbit: LocalRabbit) -> None:
    node = Node(Path("/f"), Ports(1, 2, 3, 4), rabbit._running.credentials, "cookie")
    environment = node.environment({"PATH": "/bin", "RABBITMQ_LOGS": "/var/log/x", "RABBITMQ_SERVER_START_ARGS": "-x"})
    assert environment["RABBITMQ_LOGS"] == "-"
    assert "RABBITMQ_SERVER_START_ARGS" not in environment


HARNESS = """
import asyncio, sys
from misstep.harness.brokers.rabbitmq.local import LocalRabbit
from misstep.harness.services.guardian import Guard

async def main():
    async with Guard() as guard, LocalRabbit(guard) as rabbit:
        ports = rabbit._running.ports
        print(guard.pid, rabbit._running.folder, ports.amqp, ports.management, ports.epmd, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_killed_harness_leaves_no_broker_no_port_and_no_file() -> None:
    with subprocess.Popen([sys.executable, "-c", HARNESS], stdout=subprocess.PIPE, text=True) as harness:  # noqa: ASYNC220
        assert harness.stdout is not None
        pid, folder, *ports = (await asyncio.to_thread(harness.stdout.readline)).split()
        assert os.path.isdir(folder)  # noqa: ASYNC240
        harness.send_signal(signal.SIGKILL)
    guard = os.pidfd_open(int(pid)) if os.path.exists(f"/proc/{pid}") else None  # noqa: ASYNC240
    if guard is not None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(guard, ended.set)
        async with asyncio.timeout(30):
            await ended.wait()
        loop.remove_reader(guard)
        os.close(guard)
    assert not os.path.exists(folder)  # noqa: ASYNC240
    for port in map(int, ports):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
