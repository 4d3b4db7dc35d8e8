"""Both brokers: a model of its own and a fresh virtual host of one real RabbitMQ for every scenario."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer
from misstep.harness.brokers.rabbitmq.local import LocalRabbit, shared
from misstep.harness.services.guardian import Guard

from .world import World


class RealRabbit:
    """A real RabbitMQ with the user that the model has, asked without an event loop: each scenario has its own.

    Making a virtual host takes it a tenth of a second or two, so those that could be emptied are lent again.
    """

    def __init__(self, address: str) -> None:
        url, management = shared(address)
        parts = urlsplit(url)
        assert parts.port is not None
        self.port = parts.port
        auth = (parts.username or "", parts.password or "")
        self._api = httpx.Client(base_url=f"{management}/api", auth=auth, timeout=30, trust_env=False)
        self._put("/users/guest", password="guest", tags="")
        self._free: list[str] = []
        self._made = 0

    def _put(self, path: str, **data: str) -> None:
        self._api.put(path, json=data).raise_for_status()

    def add_vhost(self, name: str) -> None:
        self._put(f"/vhosts/{name}")
        self._put(f"/permissions/{name}/guest", configure=".*", write=".*", read=".*")

    def remove_vhost(self, name: str) -> None:
        self._api.delete(f"/vhosts/{name}").raise_for_status()

    def lend(self) -> str:
        """Return an empty virtual host."""
        if self._free:
            return self._free.pop()
        self._made += 1
        name = f"conformance-{self._made}"
        self.add_vhost(name)
        return name

    def take_back(self, name: str) -> None:
        """Empty a virtual host that nobody is connected to any more; one that will not be empty is not lent again."""
        for queue in self._names("queues", name):
            self._api.delete(f"/queues/{name}/{queue}")
        for exchange in self._names("exchanges", name):
            if exchange and not exchange.startswith("amq."):
                self._api.delete(f"/exchanges/{name}/{exchange}").raise_for_status()
        if not self._names("queues", name):
            self._free.append(name)

    def _names(self, kind: str, vhost: str) -> list[str]:
        answer = self._api.get(f"/{kind}/{vhost}", params={"columns": "name"}).raise_for_status()
        return [one["name"] for one in answer.json()]

    def close(self) -> None:
        self._api.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_rabbit() -> AsyncIterator[LocalRabbit]:
    async with Guard() as guard, LocalRabbit(guard) as rabbit:
        yield rabbit


@pytest.fixture(scope="session")
def real_rabbit(local_rabbit: LocalRabbit) -> Iterator[RealRabbit]:
    rabbit = RealRabbit(local_rabbit.address)
    yield rabbit
    rabbit.close()


@pytest.fixture(params=["embedded", "rabbitmq"])
def server(request: pytest.FixtureRequest) -> EmbeddedServer | RealRabbit:
    """One of both; not async, since the real one was started in a loop of its own."""
    if request.param == "embedded":
        return EmbeddedServer()
    rabbit: RealRabbit = request.getfixturevalue("real_rabbit")
    return rabbit


@pytest_asyncio.fixture
async def world(server: EmbeddedServer | RealRabbit) -> AsyncIterator[World]:
    if isinstance(server, RealRabbit):
        world = World(server, server.lend())
        yield world
        await world.close()
        server.take_back(world.vhost)
        return
    await server.start()
    world = World(server)
    server.add_vhost(world.vhost)
    yield world
    await world.close()
    await server.close()
