"""A service's own database: a SQLite file by default, PostgreSQL where the URL says so.

Each service keeps one connection and one transaction at a time. SQL is written once, with ``?`` for parameters and
``{serial}`` for a key that counts up.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import psycopg

Row = tuple[Any, ...]


class StoreUnavailable(Exception):
    """The database does not answer, or is locked: worth another try, as often as it takes."""


class Transaction(Protocol):
    """What is done inside happens as a whole, or not at all."""

    async def execute(self, sql: str, *parameters: Any) -> list[Row]:
        """Run a statement; return its rows, if it has any."""


class Store(Protocol):
    """A database with transactions."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin; commit at the end of the block, roll back when it raises or is cancelled."""

    async def close(self) -> None:
        """Close the connection."""


async def open_store(url: str, schema: str) -> Store:
    """Open a database and create the tables that it lacks.

    Args:
        url: ``postgresql://…``, or a file for SQLite, with or without ``sqlite:///`` before it.
        schema: Statements that end in a semicolon, and may be run again.
    """
    if url.startswith(("postgresql://", "postgres://")):
        postgres = PostgresStore(url)
        await postgres.create(schema.replace("{serial}", "bigint generated always as identity primary key"))
        return postgres
    return SqliteStore(url.removeprefix("sqlite:///"), schema.replace("{serial}", "integer primary key autoincrement"))


class SqliteStore:
    """A SQLite file. A statement takes microseconds and a commit less than a millisecond, so no thread is used."""

    def __init__(self, path: str, schema: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._lock = asyncio.Lock()
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = full")
        self._connection.executescript(schema)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin with the write lock, so that a read inside cannot be outdated by another process's write."""
        async with self._lock:
            try:
                self._connection.execute("begin immediate")
                yield self
                self._connection.execute("commit")
            except sqlite3.OperationalError as error:
                raise StoreUnavailable(str(error)) from error
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")

    async def execute(self, sql: str, *parameters: Any) -> list[Row]:
        """Run a statement; return its rows, if it has any."""
        return self._connection.execute(sql, parameters).fetchall()

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()


class PostgresStore:
    """A PostgreSQL database; connected again when the connection was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._lock = asyncio.Lock()

    async def create(self, schema: str) -> None:
        """Run the schema, one process at a time: PostgreSQL's ``if not exists`` can lose a race against itself."""
        async with self.transaction() as tx:
            await tx.execute("select pg_advisory_xact_lock(7011)")
            for statement in filter(str.strip, schema.split(";")):
                await tx.execute(statement)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Begin, on a new connection if need be."""
        import psycopg  # imported here: whoever stays with SQLite need not have it

        async with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, connect_timeout=5
                    )
                async with self._connection.transaction():
                    yield self
            except psycopg.OperationalError as error:
                await self.close()
                raise StoreUnavailable(str(error)) from error

    async def execute(self, sql: str, *parameters: Any) -> list[Row]:
        """Run a statement; return its rows, if it has any."""
        assert self._connection is not None
        cursor = await self._connection.execute(sql.replace("?", "%s"), parameters)
        return await cursor.fetchall() if cursor.description else []

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
