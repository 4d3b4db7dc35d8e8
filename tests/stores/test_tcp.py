"""Stores that are only passed through."""

from __future__ import annotations

from pathlib import Path

import pytest
from misstep.harness.errors import StoreFailed
from misstep.harness.stores.port import StoreServer
from misstep.harness.stores.tcp import TcpServer

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("redis://user:secret@cache.example:6379/0", "redis://user:secret@127.0.0.1:99/0"),
        ("cache.example:6379", "127.0.0.1:99"),
    ],
)
async def test_its_address_is_that_of_the_link(target: str, url: str) -> None:
    server: StoreServer = TcpServer("cache", target)
    await server.start()
    store = await server.fresh("run", Path())
    assert store.endpoint is not None
    assert (store.endpoint.host, store.endpoint.port) == ("cache.example", 6379)
    assert store.parts("127.0.0.1", 99) == {"host": "127.0.0.1", "port": "99", "url": url}
    assert store.parts()["url"] == target
    with pytest.raises(StoreFailed, match="a tcp store and cannot be asked 'select 1'"):
        await store.query("select 1")
    await store.discard()
    await server.close()


@pytest.mark.parametrize("target", ["cache.example", "redis://cache.example", "cache.example:port", ""])
async def test_a_target_without_a_port(target: str) -> None:
    with pytest.raises(StoreFailed, match="expected host:port"):
        TcpServer("cache", target)
