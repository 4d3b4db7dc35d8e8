"""Real clients through a link on real brokers, unaware of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import aio_pika
import pika
import pytest
from misstep.harness.wire.facts import (
    Bound,
    Closed,
    Confirmed,
    Consuming,
    DeclaredExchange,
    DeclaredQueue,
    Delivered,
    Opened,
    PassedThrough,
    Published,
    Returned,
    Settled,
)

from .conftest import Rig

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node_client() -> Path:
    """The Node client with amqplib installed beside it, in a cache outside of the tree."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "misstep" / "wire-node"
    cache.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "client.js"):
        shutil.copyfile(NODE / name, cache / name)
    if not (cache / "node_modules" / "amqplib").is_dir():
        install = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(install, cwd=cache, check=True, stdin=subprocess.DEVNULL)
    return cache / "client.js"


@pytest.mark.asyncio
async def test_aio_pika(rig: Rig) -> None:
    link = await rig.link()
    connection = await rig.connect(link)
    channel = await connection.channel()
    await channel.set_qos(10)
    exchange = await channel.declare_exchange("orders", aio_pika.ExchangeType.FANOUT, durable=True)
    queue = await channel.declare_queue("work", durable=True)
    await queue.bind(exchange)
    big = os.urandom(3 << 20)
    await exchange.publish(aio_pika.Message(big, headers={"n": 1}, message_id="m1", delivery_mode=2), "placed")
    await exchange.publish(aio_pika.Message(b""), "")
    other = await connection.channel(on_return_raises=True)
    with pytest.raises(aio_pika.exceptions.PublishError):
        await other.default_exchange.publish(aio_pika.Message(b"lost"), "nowhere")
    got: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
    tag = await queue.consume(got.put)
    first, second = await asyncio.wait_for(got.get(), 10), await asyncio.wait_for(got.get(), 10)
    assert (first.body, second.body) == (big, b"")
    await second.ack(multiple=True)
    await queue.cancel(tag)
    assert await queue.get(fail=False) is None
    await connection.close()

    assert rig.errors() == []
    assert [fact.client for fact in rig.told(Opened)] == ["aiormq"]
    assert [fact.exchange for fact in rig.told(DeclaredExchange)] == ["orders"]
    assert [(fact.queue, fact.durable) for fact in rig.told(DeclaredQueue)] == [("work", True)]
    assert [(fact.source, fact.target) for fact in rig.told(Bound)] == [("orders", "work")]
    assert [(fact.queue, fact.prefetch) for fact in rig.told(Consuming)] == [("work", 10)]
    published = rig.told(Published)
    assert [(fact.message.body, fact.persistent, fact.confirming) for fact in published[:2]] == [
        (big, True, True),
        (b"", False, True),
    ]
    assert published[0].message.properties["message_id"] == "m1"
    assert published[0].message.headers == {"n": 1}
    assert [fact.publish for fact in rig.told(Returned)] == [3]
    assert sorted(fact.publish for fact in rig.told(Confirmed)) == [1, 2, 3]
    assert [(fact.delivery, fact.queue, fact.message.body) for fact in rig.told(Delivered)] == [
        (1, "work", big),
        (2, "work", b""),
    ]
    assert [(fact.delivery, fact.outcome, fact.multiple) for fact in rig.told(Settled)] == [
        (1, "ack", True),
        (2, "ack", True),
    ]
    assert rig.told(PassedThrough) == []
    assert [fact.by for fact in rig.told(Closed) if not fact.origin.channel] == ["service"]
    assert link.pending() == 0
    assert link.counts.up > len(big)
    assert link.counts.down > len(big)


def blocking(url: str) -> dict[str, object]:
    """Do with pika what a blocking service does."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("jobs", durable=True)
    channel.basic_qos(prefetch_count=1)
    for number in range(3):
        channel.basic_publish("", "jobs", f"{number}".encode(), pika.BasicProperties(headers={"n": number}))
    unroutable = False
    try:
        channel.basic_publish("", "nowhere", b"", mandatory=True)
    except pika.exceptions.UnroutableError:
        unroutable = True
    method, _, body = channel.basic_get("jobs")
    channel.basic_nack(method.delivery_tag, requeue=True)
    seen = []
    for method, _, payload in channel.consume("jobs", inactivity_timeout=10):
        seen.append((payload, method.redelivered))
        channel.basic_ack(method.delivery_tag)
        if len(seen) == 3:
            break
    channel.cancel()
    empty = channel.basic_get("jobs")
    connection.close()
    return {"unroutable": unroutable, "polled": body, "seen": seen, "empty": empty[0]}


@pytest.mark.asyncio
async def test_pika(rig: Rig) -> None:
    link = await rig.link()
    found = await asyncio.to_thread(blocking, rig.url(link))
    assert found == {
        "unroutable": True,
        "polled": b"0",
        "seen": [(b"0", True), (b"1", False), (b"2", False)],
        "empty": None,
    }
    assert rig.errors() == []
    assert [fact.outcome for fact in rig.told(Settled)] == ["nack", "ack", "ack", "ack"]
    assert [fact.consumer == "" for fact in rig.told(Delivered)] == [True, False, False, False]
    assert len(rig.told(Confirmed)) == 4


@pytest.mark.asyncio
async def test_node(rig: Rig, node_client: Path) -> None:
    link = await rig.link()
    process = await asyncio.create_subprocess_exec(
        "node", node_client, rig.url(link), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    found = json.loads(out)
    assert found["seen"] == [[1, False, 1], [1 << 20, False, 2], [1 << 20, True, 2], [0, False, 3]] or found[
        "seen"
    ] == [
        [1, False, 1],
        [1 << 20, False, 2],
        [0, False, 3],
        [1 << 20, True, 2],
    ]
    assert (found["returned"], found["polled"], found["nothing"]) == (["nobody"], "polled", False)
    assert rig.errors() == []
    queue = rig.told(DeclaredQueue)[0].queue
    assert queue.startswith("amq.gen")
    assert [fact.target for fact in rig.told(Bound)] == [queue]
    assert {fact.queue for fact in rig.told(Delivered)} == {queue, "polled"}
    assert rig.told(PassedThrough) == []
    assert len(rig.told(Confirmed)) == 5


@pytest.mark.asyncio
async def test_several_connections_and_channels_at_once(rig: Rig) -> None:
    link = await rig.link()
    link.incarnation = 4
    connections = [await rig.connect(link) for _ in range(3)]

    async def chat(number: int, connection: aio_pika.abc.AbstractConnection) -> list[bytes]:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"q{number}", durable=True)
        for each in range(20):
            await channel.default_exchange.publish(aio_pika.Message(f"{number}.{each}".encode() * 5000), queue.name)
        return [(await queue.get(timeout=10)).body for _ in range(20)]

    chats = [chat(number, connections[number % 3]) for number in range(9)]
    for number, bodies in enumerate(await asyncio.gather(*chats)):
        assert bodies == [f"{number}.{each}".encode() * 5000 for each in range(20)]
    for connection in connections:
        await connection.close()
    assert rig.errors() == []
    assert {(fact.origin.connection, fact.origin.incarnation) for fact in rig.told(Published)} == {
        (1, 4),
        (2, 4),
        (3, 4),
    }
    assert sorted(fact.publish for fact in rig.told(Published)) == list(range(1, 181))


@pytest.mark.asyncio
async def test_transactions_pass_through(rig: Rig) -> None:
    """The model refuses them and RabbitMQ has them: the link tells both of them as what they are."""
    link = await rig.link()
    connection = await rig.connect(link)
    channel = await connection.channel(publisher_confirms=False)
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(aio_pika.Message(b"x"), "nowhere")
    except aio_pika.exceptions.AMQPError:
        assert rig.told(Closed)[0].code == 540
    else:
        assert [fact.transactional for fact in rig.told(Published)] == [True]
        assert {fact.what for fact in rig.told(PassedThrough)} == {
            "tx.select",
            "tx.select-ok",
            "tx.commit",
            "tx.commit-ok",
        }
    assert "tx.select" in {fact.what for fact in rig.told(PassedThrough)}
    assert link.counts.not_understood == len(rig.told(PassedThrough))
    await connection.close()
