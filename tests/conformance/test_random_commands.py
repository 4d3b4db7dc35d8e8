"""Random command sequences, on the model and on a real RabbitMQ step by step: both have to show the same throughout.

``MISSTEP_CONFORMANCE_EXAMPLES`` asks for more sequences than the default, drawn anew each
time, and for a failing one to be made smaller.
"""

from __future__ import annotations

import asyncio
import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer

from .commands import COMMANDS, Command, Troupe
from .conftest import RealRabbit
from .world import World

ASKED = os.environ.get("MISSTEP_CONFORMANCE_EXAMPLES")
PATIENCE = 5.0
"""Seconds that the real broker may take to show what the model shows."""


async def _same(model: Troupe, real: Troupe, step: str) -> None:
    expected = await model.observe()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while (seen := await real.observe()) != expected:
        if loop.time() > deadline:
            assert seen == expected, f"the real broker shows another state after {step}"


async def _play(commands: list[Command], kind: str, rabbit: RealRabbit) -> None:
    server = EmbeddedServer()
    await server.start()
    worlds = [World(server), World(rabbit, rabbit.lend())]
    server.add_vhost(worlds[0].vhost)
    model, real = (Troupe(world, kind) for world in worlds)
    try:
        await model.enter()
        await real.enter()
        await _same(model, real, "the beginning")
        for number, command in enumerate(commands, 1):
            step = f"step {number}, {command}"
            expected = await model.do(command)
            assert await real.do(command) == expected, f"the real broker answers {step} otherwise"
            await _same(model, real, step)
    finally:
        for world in worlds:
            await world.close()
        await server.close()
        rabbit.take_back(worlds[1].vhost)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
@settings(
    max_examples=int(ASKED or 20),
    derandomize=ASKED is None,
    deadline=None,
    database=None,
    phases=[Phase.generate, *([Phase.shrink] if ASKED else [])],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(commands=st.lists(COMMANDS, min_size=12, max_size=24))
def test_random_commands(real_rabbit: RealRabbit, kind: str, commands: list[Command]) -> None:
    asyncio.run(_play(commands, kind, real_rabbit))
