"""One private RabbitMQ for all planted bugs that are tried on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from misstep.harness.brokers.rabbitmq.local import LocalRabbit
from misstep.harness.services.guardian import Guard

from .planted import Kind


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit() -> AsyncIterator[LocalRabbit]:
    async with Guard() as guard, LocalRabbit(guard) as rabbit:
        yield rabbit


@pytest.fixture
def broker(request: pytest.FixtureRequest, kind: Kind) -> str:
    """The address of the broker that local stages share; nothing is started where none is asked for."""
    return request.getfixturevalue("rabbit").address if kind == "local" else ""
