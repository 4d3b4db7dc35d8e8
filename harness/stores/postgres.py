"""PostgreSQL databases, one for each stage, on whichever server there is.

A fresh store is a copy of a template database that was given the schema once: some tens of milliseconds each. Where the
server comes from is an :class:`Instance`: a private one of this machine, one in a container, or one given by its URL.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from misstep.harness.brokers.port import Endpoint
from misstep.harness.errors import PartMissing, StoreFailed
from misstep.harness.stores.port import Rows
from misstep.harness.stores.postgres_url import PostgresUrl

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

LONGEST_NAME = 63
"""Bytes of a PostgreSQL identifier that count."""

READ_ONLY = "-c default_transaction_read_only=on -c statement_timeout=10s -c lock_timeout=5s"


class Instance(Protocol):
    """A PostgreSQL server."""

    async def start(self) -> PostgresUrl:
        """Start it where it is ours, and return how a user who may create databases reaches it.

        Raises:
            PartMissing: This machine does not have it.
            StoreFailed: It did not start.
        """

    async def close(self) -> None:
        """Stop it where it is ours, and remove everything it left."""


class PostgresServer:
    """Makes fresh databases on one server."""

    def __init__(self, name: str, instance: Instance, schema: str = "") -> None:
        """Prepare; nothing is started or asked yet.

        Args:
            name: The store's name.
            instance: The server.
            schema: SQL that each new database is given.
        """
        self._name = name
        self._instance = instance
        self._schema = schema
        self._url: PostgresUrl | None = None
        self._template = ""
        self._made: dict[str, PostgresStore] = {}

    async def start(self) -> None:
        """Start the server, and make the template.

        Raises:
            PartMissing: This machine does not have the server, or psycopg is not installed.
            StoreFailed: It did not start, the user may not create databases, or the schema is wrong.
        """
        _psycopg()
        self._url = await self._instance.start()
        template = f"misstep_template_{secrets.token_hex(4)}"
        await self._command(f'create database "{template}"')
        self._template = template
        if self._schema:
            await _execute(f"stores.{self._name}.schema", self._reached.to(database=template), self._schema)

    async def fresh(self, name: str, folder: Path) -> PostgresStore:
        """Make a new database, a copy of the template.

        Raises:
            StoreFailed: It could not be made.
        """
        database = database_name(name)
        await self._command(f'create database "{database}" template "{self._template}"')
        store = PostgresStore(self._name, self._reached.to(database=database), self._drop)
        self._made[database] = store
        return store

    async def close(self) -> None:
        """Drop what was made and is still there, and stop the server where it is ours."""
        try:
            for store in list(self._made.values()):
                await store.discard()
            if self._template:
                await self._drop(self._template)
        finally:
            self._url = None
            self._template = ""
            await self._instance.close()

    async def _drop(self, database: str) -> None:
        self._made.pop(database, None)
        if self._url is not None:
            await self._command(f'drop database if exists "{database}" with (force)')

    async def _command(self, sql: str) -> None:
        await _execute(f"stores.{self._name}", self._reached, sql)

    @property
    def _reached(self) -> PostgresUrl:
        if self._url is None:
            raise StoreFailed(f"stores.{self._name}: its server was not started, or was closed: await start() first")
        return self._url


class Drop(Protocol):
    """Drops a database."""

    async def __call__(self, database: str) -> None:
        """Drop it, connections and all; one that is gone is no error."""


class PostgresStore:
    """One database. It is asked on one connection, which is opened again when it is lost."""

    paramstyle: Literal["format"] = "format"

    def __init__(self, name: str, url: PostgresUrl, drop: Drop) -> None:
        self._name = name
        self._url = url
        self._drop = drop
        self._lock = asyncio.Lock()
        self._connection: psycopg.AsyncConnection[Any] | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Where a service's link dials."""
        return Endpoint(self._url.host, self._url.port)

    def parts(self, host: str = "", port: int = 0) -> Mapping[str, str]:
        """Return ``url``, ``host``, ``port``, ``user``, ``password`` and ``database``."""
        seen = self._url.to(host=host, port=port) if host else self._url
        return {
            "url": seen.text(),
            "host": seen.host,
            "port": str(seen.port),
            "user": seen.user,
            "password": seen.password,
            "database": seen.database,
        }

    async def query(self, sql: str, params: Sequence[object] = ()) -> Rows:
        """Ask the database in a read-only transaction, which waits for nobody.

        Raises:
            StoreFailed: PostgreSQL refused the query, or does not answer; the message has both.
        """
        psycopg = _psycopg()
        async with self._lock:
            try:
                connection = await self._connected()
                cursor = await connection.execute(sql, tuple(params) or None)
                columns = tuple(column.name for column in cursor.description or ())
                rows = await cursor.fetchall() if columns else []
            except psycopg.Error as error:
                raise StoreFailed(f"stores.{self._name} was asked {sql!r} and answered: {error}".strip()) from error
        return Rows(columns, tuple(map(tuple, rows)))

    async def discard(self) -> None:
        """Drop the database; connections to it are ended."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        await self._drop(self._url.database)

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """Return the connection, opened anew where there is none that works."""
        if self._connection is None or self._connection.closed:
            self._connection = await _connect(self._url, options=READ_ONLY)
        return self._connection


def database_name(name: str) -> str:
    """Turn any name into a database's: what is not a letter or digit becomes an underscore, long ones a digest."""
    plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
    if plain == name and len(plain) <= LONGEST_NAME:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{plain[: LONGEST_NAME - 9]}_{digest}"


async def _execute(place: str, url: PostgresUrl, sql: str) -> None:
    """Run SQL outside a transaction, on a connection of its own."""
    psycopg = _psycopg()
    try:
        async with await _connect(url) as connection:
            await connection.execute(sql)
    except psycopg.Error as error:
        shown = sql if len(sql) <= 200 else f"{sql[:200]}…"
        raise StoreFailed(f"{place}: {url} was given {shown!r} and answered: {str(error).strip()}") from error


async def _connect(url: PostgresUrl, options: str = "") -> psycopg.AsyncConnection[Any]:
    more = {"options": options} if options else {}
    connection: psycopg.AsyncConnection[Any] = await _psycopg().AsyncConnection.connect(
        url.text(), autocommit=True, connect_timeout=10, **more
    )
    return connection


def _psycopg() -> Any:
    """Load psycopg, which is an extra.

    Raises:
        PartMissing: It is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise PartMissing(
            f"stores of PostgreSQL are asked through psycopg, which cannot be loaded ({error}): "
            "pip install 'misstep[postgres]'"
        ) from error
    return psycopg
