"""The feature table: the page shows it, and what it says is refused is refused, loudly."""

from __future__ import annotations

from pathlib import Path

import pytest
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer
from misstep.harness.brokers.rabbitmq.model.features import FEATURES, markdown
from pamqp.commands import Basic, Queue, Tx

from .scenario import Play
from .world import World

PAGE = Path(__file__).parents[2] / "docs" / "amqp-features.md"


async def _headers_exchange(world: World) -> object:
    return await (await world.channel()).exchange("e", "headers")


async def _predeclared_headers_exchange(world: World) -> object:
    channel = await world.channel()
    await channel.queue("q")
    return await channel.call(Queue.Bind(queue="q", exchange="amq.headers"))


async def _priorities(world: World) -> object:
    return await (await world.channel()).queue("q", arguments={"x-max-priority": 5})


async def _stream(world: World) -> object:
    return await (await world.channel()).queue("q", durable=True, arguments={"x-queue-type": "stream"})


async def _transaction(world: World) -> object:
    return await (await world.channel()).call(Tx.Select())


async def _reply_to(world: World) -> object:
    return await (await world.channel()).call(Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True))


REFUSED: dict[Play, tuple[str, str]] = {
    _headers_exchange: ("headers exchange", "Exchange.Declare"),
    _predeclared_headers_exchange: ("headers exchange", "Queue.Bind"),
    _priorities: ("priorities", "Queue.Declare"),
    _stream: ("streams", "Queue.Declare"),
    _transaction: ("transactions", "Tx.Select"),
    _reply_to: ("direct reply-to", "Basic.Consume"),
}


def test_the_page_shows_the_table() -> None:
    assert PAGE.read_text() == markdown()


def test_every_feature_that_is_refused_with_540_is_tested() -> None:
    named = {feature.name for feature in FEATURES if feature.status == "refused" and "503" not in feature.note}
    assert {feature for feature, _ in REFUSED.values()} == named


@pytest.mark.asyncio
@pytest.mark.parametrize("play", REFUSED)
async def test_what_is_not_modelled_ends_the_connection_and_is_kept_for_the_report(play: Play) -> None:
    server = EmbeddedServer()
    await server.start()
    world = World(server)
    server.add_vhost(world.vhost)
    answer = await play(world)
    await world.close()
    await server.close()
    feature, method = REFUSED[play]
    assert isinstance(answer, tuple)
    assert answer[:2] == ("Connection.Close", 540)
    assert "docs/amqp-features.md" in answer[2]
    assert [(one.feature, one.method) for one in server.model.refusals] == [(feature, method)]
