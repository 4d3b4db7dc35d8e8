"""What the tests of the outside share: a store on SQLite, and servers that misbehave."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio
from misstep.harness.errors import StoreFailed
from misstep.harness.stores.port import Rows

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Ledger:
    """A real database in memory that can be asked as stores are."""

    def __init__(self, script: str) -> None:
        self.connection = sqlite3.connect(":memory:")
        self.connection.executescript(script)

    async def query(self, store: str, sql: str, parameters: Sequence[object]) -> Rows:
        try:
            cursor = self.connection.execute(sql, tuple(parameters))
        except sqlite3.Error as error:
            raise StoreFailed(f"{store}: {error}") from error
        return Rows(tuple(column[0] for column in cursor.description), tuple(cursor.fetchall()))


@pytest.fixture
def ledger() -> AsyncIterator[Callable[[str], Ledger]]:
    opened: list[Ledger] = []

    def open_ledger(script: str) -> Ledger:
        opened.append(Ledger(script))
        return opened[-1]

    yield open_ledger
    for one in opened:
        one.connection.close()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as opened:
        yield opened


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """Serve TCP with a function of one's own; yields host:port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request's head, then break the connection off as a killed process does."""
    await reader.readuntil(b"\r\n\r\n")
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read for ever and answer nothing."""
    while await reader.read(2**16):
        pass


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens on: bound, so that nobody else gets it, and never listened to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]
