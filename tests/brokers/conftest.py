"""One private RabbitMQ for all tests of brokers, and a client to see it with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from misstep.harness.brokers.rabbitmq.local import LocalRabbit
from misstep.harness.services.guardian import Guard


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbit() -> AsyncIterator[LocalRabbit]:
    async with Guard() as guard, LocalRabbit(guard) as rabbit:
        yield rabbit
