"""Each answer, given to a real client's traffic on real brokers, and what the broker and the client make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aio_pika
import pytest
from misstep.harness.wire.facts import Cancelled, Closed, Confirmed, Delivered, Fact, Published, Settled
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Drop, Hold, Inject, Kill, Replace
from misstep.harness.wire.link import Link

from .conftest import Rig, until

Handler = Callable[[aio_pika.abc.AbstractIncomingMessage], Awaitable[None]]


def only(kind: type, payload: bytes, action: Action, *, again: bool = False) -> Callable[[Fact], Action]:
    """Answer the first fact of ``kind`` about the message with this payload."""
    bodies: dict[int, bytes] = {}
    done: list[Fact] = []

    def answer(fact: Fact) -> Action:
        if isinstance(fact, Published):
            bodies[-fact.publish] = fact.message.body
        elif isinstance(fact, Delivered):
            bodies[fact.delivery] = fact.message.body
        if not isinstance(fact, kind) or (done and not again):
            return FORWARD
        number = -fact.publish if isinstance(fact, Published | Confirmed) else fact.delivery
        if bodies.get(number) != payload:
            return FORWARD
        done.append(fact)
        return action

    return answer


class Consumer:
    """A service that consumes ``work`` and acknowledges, one message after the other."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bool]] = []

    async def start(self, rig: Rig, link: Link, *, prefetch: int = 1, handler: Handler | None = None) -> None:
        self.connection = await rig.connect(link)
        channel = await self.connection.channel()
        await channel.set_qos(prefetch)
        queue = await channel.declare_queue("work", durable=True)

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            self.seen.append((message.body, bool(message.redelivered)))
            if handler is not None:
                await handler(message)
            else:
                await message.ack()

        await queue.consume(take)


async def send(rig: Rig, *bodies: bytes) -> None:
    channel = await rig.bypass()
    await channel.declare_queue("work", durable=True)
    for each in bodies:
        await channel.default_exchange.publish(aio_pika.Message(each), "work")


@pytest.mark.asyncio
async def test_redelivery_is_the_brokers_own(rig: Rig) -> None:
    def answer(fact: Fact) -> Action:
        if isinstance(fact, Settled) and fact.delivery == 2:
            return Replace(replace(fact, outcome="nack", requeue=True))
        return FORWARD

    await send(rig, b"a", b"b", b"c")
    consumer = Consumer()
    await consumer.start(rig, await rig.link(answer))
    await until(lambda: len(consumer.seen) == 4)
    assert consumer.seen == [(b"a", False), (b"b", False), (b"b", True), (b"c", False)]
    await until(lambda: len(rig.told(Settled)) == 4)
    await consumer.connection.close()
    assert await rig.ready("work") == 0


@pytest.mark.asyncio
async def test_a_held_delivery_arrives_after_others_only_with_a_wider_window(rig: Rig) -> None:
    await send(rig, b"a", b"b", b"c")
    link = await rig.link(only(Delivered, b"a", Hold("t")), widen=1)
    consumer = Consumer()
    await consumer.start(rig, link)
    await until(lambda: len(consumer.seen) == 2)
    assert link.held() == ("t",)
    assert link.release("t")
    await until(lambda: len(consumer.seen) == 3)
    assert [body for body, _ in consumer.seen] == [b"b", b"c", b"a"]
    await until(lambda: len(rig.told(Settled)) == 3)
    await consumer.connection.close()
    assert await rig.ready("work") == 0
    assert not link.release("t")


@pytest.mark.asyncio
async def test_a_prefetch_of_one_holds_everything_behind_a_held_delivery(rig: Rig) -> None:
    await send(rig, b"a", b"b")
    link = await rig.link(only(Delivered, b"a", Hold("t")))
    consumer = Consumer()
    await consumer.start(rig, link)
    await until(lambda: link.held() == ("t",))
    assert await rig.ready("work") == 1
    assert consumer.seen == []
    link.release("t")
    await until(lambda: len(consumer.seen) == 2)
    assert [body for body, _ in consumer.seen] == [b"a", b"b"]


@pytest.mark.asyncio
async def test_the_client_never_has_more_than_its_window(rig: Rig) -> None:
    at_once = 0
    most = 0

    async def slowly(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(20):
            await asyncio.sleep(0)
        at_once -= 1
        await message.ack()

    await send(rig, *(b"%d" % number for number in range(20)))
    link = await rig.link(lambda fact: Inject(1) if isinstance(fact, Delivered) else FORWARD, widen=5)
    consumer = Consumer()
    await consumer.start(rig, link, prefetch=1, handler=slowly)
    await until(lambda: len(consumer.seen) == 40)
    assert most == 1
    assert sorted(body for body, _ in consumer.seen) == sorted(2 * [b"%d" % number for number in range(20)])


@pytest.mark.asyncio
async def test_copies_at_once_are_acknowledged_here(rig: Rig) -> None:
    await send(rig, b"a", b"b")
    consumer = Consumer()
    await consumer.start(rig, await rig.link(only(Delivered, b"a", Inject(2))), prefetch=10)
    await until(lambda: len(consumer.seen) == 4)
    assert sorted(consumer.seen) == [(b"a", False)] * 3 + [(b"b", False)]
    await until(lambda: len(rig.told(Settled)) == 4)
    await consumer.connection.close()
    assert await rig.ready("work") == 0
    assert rig.errors() == []


@pytest.mark.asyncio
async def test_a_copy_later_and_none_when_the_consumer_is_gone(rig: Rig) -> None:
    await send(rig, b"a")
    link = await rig.link()
    consumer = Consumer()
    await consumer.start(rig, link)
    await until(lambda: len(rig.told(Settled)) == 1)
    assert link.inject(1)
    await until(lambda: len(consumer.seen) == 2)
    assert [(fact.delivery, fact.copy) for fact in rig.told(Delivered)] == [(1, False), (2, True)]
    await consumer.connection.close()
    await until(lambda: rig.told(Closed) != [])
    assert not link.inject(1)


@pytest.mark.asyncio
async def test_a_dropped_delivery_comes_again_only_with_its_connection(rig: Rig) -> None:
    await send(rig, b"a", b"b")
    consumer = Consumer()
    await consumer.start(rig, await rig.link(only(Delivered, b"a", Drop())), prefetch=10)
    await until(lambda: consumer.seen == [(b"b", False)])
    await until(lambda: len(rig.told(Settled)) == 1)
    assert await rig.ready("work") == 0
    await consumer.connection.close()
    await rig.until_ready("work", 1)


@pytest.mark.asyncio
async def test_a_replaced_delivery_is_what_the_client_gets(rig: Rig) -> None:
    def answer(fact: Fact) -> Action:
        if not isinstance(fact, Delivered):
            return FORWARD
        return Replace(replace(fact, message=replace(fact.message, body=b"!" * 400_000)))

    await send(rig, b"a")
    consumer = Consumer()
    await consumer.start(rig, await rig.link(answer))
    await until(lambda: consumer.seen == [(b"!" * 400_000, False)])


@pytest.mark.asyncio
async def test_a_dropped_publish_is_never_confirmed_and_the_others_are(rig: Rig) -> None:
    link = await rig.link(only(Published, b"2", Drop()))
    channel = await (await rig.connect(link)).channel()
    queue = await channel.declare_queue("work", durable=True)
    sends = [
        asyncio.ensure_future(channel.default_exchange.publish(aio_pika.Message(b"%d" % number), queue.name))
        for number in range(1, 6)
    ]
    await asyncio.wait([each for at, each in enumerate(sends) if at != 1], timeout=10)
    assert [each.done() for each in sends] == [True, False, True, True, True]
    sends[1].cancel()
    assert [(await queue.get(timeout=5)).body for _ in range(4)] == [b"1", b"3", b"4", b"5"]
    assert sorted(fact.publish for fact in rig.told(Confirmed)) == [1, 3, 4, 5]
    assert link.pending() == 0


@pytest.mark.asyncio
async def test_a_held_publish_arrives_behind_later_ones(rig: Rig) -> None:
    link = await rig.link(only(Published, b"a", Hold("t")))
    channel = await (await rig.connect(link)).channel()
    queue = await channel.declare_queue("work", durable=True)
    first = asyncio.ensure_future(channel.default_exchange.publish(aio_pika.Message(b"a"), "work"))
    await until(lambda: link.held() == ("t",))
    await channel.default_exchange.publish(aio_pika.Message(b"b"), "work")
    assert not first.done()
    assert link.pending() == 1
    assert link.release("t")
    await asyncio.wait_for(first, 10)
    assert [(await queue.get(timeout=5)).body for _ in range(2)] == [b"b", b"a"]


@pytest.mark.asyncio
async def test_a_held_confirm_keeps_the_publisher_waiting(rig: Rig) -> None:
    link = await rig.link(lambda fact: Hold("t") if isinstance(fact, Confirmed) else FORWARD)
    channel = await (await rig.connect(link)).channel()
    await channel.declare_queue("work", durable=True)
    first = asyncio.ensure_future(channel.default_exchange.publish(aio_pika.Message(b"a"), "work"))
    await until(lambda: link.held() == ("t",))
    assert await rig.ready("work") == 1
    assert not first.done()
    link.release("t")
    await asyncio.wait_for(first, 10)


@pytest.mark.asyncio
async def test_killed_before_its_ack_it_has_published_and_not_acknowledged(rig: Rig) -> None:
    """The publish left without waiting for a confirm, the ack right behind it: one is there, the other is not."""
    for number in range(5):
        rig.facts.clear()
        rig.kills.clear()
        await send(rig, b"placed")
        await rig.declare("taken")
        link = await rig.link(lambda fact: Kill() if isinstance(fact, Settled) else FORWARD)
        connection = await rig.connect(link)
        channel = await connection.channel(publisher_confirms=False)

        async def handle(
            message: aio_pika.abc.AbstractIncomingMessage, channel: aio_pika.abc.AbstractChannel = channel
        ) -> None:
            await channel.default_exchange.publish(aio_pika.Message(b"taken"), "taken")
            await message.ack()

        await (await channel.declare_queue("work", durable=True)).consume(handle)
        await until(lambda: rig.kills == ["payment"])
        await rig.until_ready("work", 1)
        await rig.until_ready("taken", number + 1)
        got = await (await rig.declare("work")).get(timeout=5)
        assert got.redelivered
        await got.ack()
        assert len(rig.told(Published)) == 1
        assert [fact.by for fact in rig.told(Closed)] == ["misstep"]
        assert rig.errors() == []


@pytest.mark.asyncio
@pytest.mark.parametrize("confirming", [True, False])
async def test_killed_after_a_publish_the_broker_has_it_and_no_more(rig: Rig, confirming: bool) -> None:
    await send(rig, b"placed")
    await rig.declare("taken")
    link = await rig.link(only(Published, b"1", Kill(after=True)))
    connection = await rig.connect(link)
    channel = await connection.channel(publisher_confirms=confirming)

    async def handle(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        sends = [channel.default_exchange.publish(aio_pika.Message(b"%d" % n), "taken") for n in (1, 2)]
        await asyncio.gather(*sends)
        await message.ack()

    await (await channel.declare_queue("work", durable=True)).consume(handle)
    await until(lambda: rig.kills == ["payment"])
    assert await rig.ready("taken") == 1
    await rig.until_ready("work", 1)
    assert rig.told(Settled) == []
    assert len(rig.told(Confirmed)) == confirming


@pytest.mark.asyncio
async def test_killed_before_a_publish_the_broker_never_has_it(rig: Rig) -> None:
    await rig.declare("taken")
    link = await rig.link(only(Published, b"2", Kill()))
    channel = await (await rig.connect(link)).channel(publisher_confirms=False)
    for number in (1, 2, 3):
        await channel.default_exchange.publish(aio_pika.Message(b"%d" % number), "taken")
    await until(lambda: rig.kills == ["payment"])
    await rig.until_ready("taken", 1)


@pytest.mark.asyncio
async def test_a_kill_ends_all_connections_of_the_service_and_no_other(rig: Rig) -> None:
    await send(rig, b"placed")
    link, other = (
        await rig.link(lambda fact: Kill() if isinstance(fact, Settled) else FORWARD),
        await rig.link(service="other"),
    )
    bystander, second = await rig.connect(other), await rig.connect(link)
    consumer = Consumer()
    await consumer.start(rig, link)
    await until(lambda: second.connected.is_set() is False and consumer.connection.connected.is_set() is False)
    assert rig.kills == ["payment"]
    assert bystander.connected.is_set()
    await rig.until_ready("work", 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("after", [False, True])
async def test_a_cut_at_the_ack_redelivers_or_not(rig: Rig, after: bool) -> None:
    await send(rig, b"a")
    link = await rig.link(lambda fact: Cut(after) if isinstance(fact, Settled) else FORWARD)
    consumer = Consumer()
    await consumer.start(rig, link)
    await until(lambda: not consumer.connection.connected.is_set())
    assert rig.kills == []
    await rig.until_ready("work", 0 if after else 1)
    again = await rig.connect(link)
    assert again.connected.is_set()
    await again.close()


@pytest.mark.asyncio
async def test_links_are_cut_and_refuse_from_outside(rig: Rig) -> None:
    link = await rig.link()
    first, second = await rig.connect(link), await rig.connect(link)
    assert link.cut(1) == 1
    await until(lambda: not first.connected.is_set())
    assert second.connected.is_set()
    link.refuse(True)
    with pytest.raises(ConnectionError):
        await rig.connect(link)
    assert link.counts.refused == 1
    assert link.cut() == 1
    await until(lambda: not second.connected.is_set())
    link.refuse(False)
    third = await rig.connect(link)
    assert [fact.by for fact in rig.told(Closed)] == ["misstep", "misstep"]
    await third.close()


@pytest.mark.asyncio
async def test_a_deleted_queue_cancels_its_consumer(rig: Rig) -> None:
    await send(rig, b"a")
    consumer = Consumer()
    await consumer.start(rig, await rig.link())
    await until(lambda: len(rig.told(Settled)) == 1)
    await (await rig.declare("work")).delete(if_unused=False, if_empty=False)
    await until(lambda: [fact.by for fact in rig.told(Cancelled)] == ["broker"])
