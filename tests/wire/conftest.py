"""Both brokers with a fresh virtual host for each test, and links in front of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import aio_pika
import pytest
import pytest_asyncio
from misstep.harness.brokers.port import Space
from misstep.harness.brokers.rabbitmq.embedded_broker import EmbeddedBroker
from misstep.harness.brokers.rabbitmq.local import LocalRabbit
from misstep.harness.services.guardian import Guard
from misstep.harness.stage.loop import StageLoop
from misstep.harness.wire.amqp.session import amqp
from misstep.harness.wire.facts import Fact
from misstep.harness.wire.interceptor import FORWARD, Action, Control, Heard
from misstep.harness.wire.link import Link

F = TypeVar("F")
Condition = Callable[[], bool]
_names = itertools.count(1)


async def until(condition: Condition, what: str = "it to come true") -> None:
    """Poll a condition; fail after ten seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 10
    while not condition():
        assert loop.time() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.005)


@dataclass
class Rig:
    """A space of a broker, with links whose facts and kills are kept."""

    space: Space
    facts: list[Fact] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    direct: aio_pika.abc.AbstractConnection | None = None

    async def link(
        self, answer: Callable[[Fact], Action] | None = None, *, service: str = "payment", widen: int = 0
    ) -> Link:
        """Open a link whose one interceptor is ``answer``."""
        interceptors = [lambda heard: answer(heard.fact)] if answer else []
        link = Link(
            service, self.space.endpoint, amqp(widen=widen), self.hear, self.kills.append, interceptors=interceptors
        )
        await link.open()
        self.links.append(link)
        return link

    def hear(self, fact: Fact, control: Control) -> Heard:
        self.facts.append(fact)
        return Heard(fact, control)

    def url(self, link: Link) -> str:
        return self.space.url(link.host, link.port)

    async def connect(self, link: Link) -> aio_pika.abc.AbstractConnection:
        return await aio_pika.connect(self.url(link))

    async def bypass(self) -> aio_pika.abc.AbstractChannel:
        """Open a channel to the broker itself."""
        if self.direct is None:
            endpoint = self.space.endpoint
            self.direct = await aio_pika.connect(self.space.url(endpoint.host, endpoint.port))
        return await self.direct.channel()

    async def declare(self, queue: str) -> aio_pika.abc.AbstractQueue:
        """Declare a durable queue at the broker itself, and return it for looking into."""
        return await (await self.bypass()).declare_queue(queue, durable=True)

    async def ready(self, queue: str) -> int:
        """Count the messages that wait in a queue."""
        channel = await self.bypass()
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0

    async def until_ready(self, queue: str, count: int) -> None:
        """Wait until so many messages wait in a queue."""
        for _ in range(2000):
            if await self.ready(queue) == count:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{queue} has {await self.ready(queue)} messages, never {count}")

    def told(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def errors(self) -> list[Exception]:
        return [error for link in self.links for error in link.errors]


@pytest.fixture(scope="session")
def rabbit() -> Iterator[tuple[StageLoop, LocalRabbit]]:
    """A private RabbitMQ, on a loop of its own, for all tests."""
    with StageLoop() as loop:
        guard = Guard()
        broker = LocalRabbit(guard)
        try:
            loop.call(broker.start())
            yield loop, broker
        finally:
            loop.call(broker.close())
            loop.call(guard.close())


@pytest_asyncio.fixture(params=["embedded", "rabbitmq"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A rig on either broker."""
    name = f"wire-{next(_names)}"
    if request.param == "embedded":
        embedded = EmbeddedBroker()
        await embedded.start()
        rig = Rig(await embedded.space(name))
    else:
        loop, broker = request.getfixturevalue("rabbit")
        rig = Rig(await asyncio.wrap_future(loop.submit(broker.space(name))))
    yield rig
    for link in rig.links:
        await link.close()
    if rig.direct is not None:
        await rig.direct.close()
    if request.param == "embedded":
        await embedded.close()
    else:
        await asyncio.wrap_future(loop.submit(rig.space.discard()))


def forward(_: Fact) -> Action:
    """Answer nothing."""
    return FORWARD
