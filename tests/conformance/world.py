"""One broker and one virtual host of it, as a scenario sees them."""

from __future__ import annotations

from typing import Any, Protocol

from .client import RawChannel, RawClient, login


class Server(Protocol):
    port: int

    def add_vhost(self, name: str) -> None: ...

    def remove_vhost(self, name: str) -> None: ...


class World:
    """One broker and one virtual host of it, and every connection a scenario opens."""

    def __init__(self, server: Server, vhost: str = "conformance") -> None:
        self.server = server
        self.vhost = vhost
        self._clients: list[RawClient] = []

    async def dial(self) -> RawClient:
        client = RawClient(self.vhost)
        await client.dial(self.server.port)
        self._clients.append(client)
        return client

    async def connect(self, **settings: Any) -> RawClient:
        client = await self.dial()
        answer = await login(client, **settings)
        assert answer == ("Connection.OpenOk",), answer
        return client

    async def channel(self) -> RawChannel:
        return await (await self.connect()).channel()

    async def close(self) -> None:
        for client in self._clients:
            await client.cut()
