"""Every scenario, on the broker model and on a real RabbitMQ: both have to show the same."""

from __future__ import annotations

import pytest

from . import (  # noqa: F401 - they register their scenarios
    scenes_bindings,
    scenes_connections,
    scenes_consuming,
    scenes_dead_letters,
    scenes_declaring,
    scenes_exchanges,
    scenes_exclusive,
    scenes_limits,
    scenes_publishing,
    scenes_quorum,
    scenes_settling,
)
from .scenario import SCENARIOS
from .world import World


@pytest.mark.asyncio
@pytest.mark.parametrize("name", list(SCENARIOS))
async def test_scenario(world: World, name: str) -> None:
    one = SCENARIOS[name]
    assert await one.play(world) == one.expected


def test_that_there_are_enough_scenarios() -> None:
    assert len(SCENARIOS) >= 80
