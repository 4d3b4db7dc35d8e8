"""SQLite files, one for each stage."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from misstep.harness.errors import StoreFailed
from misstep.harness.stores.port import Rows

BUSY = 5.0
"""Seconds that a query waits for a service that holds the file locked."""


class SqliteServer:
    """Makes fresh files; there is no server.

    Args:
        name: The store's name.
        file: What the file is called.
        schema: SQL that each new file is given.
    """

    def __init__(self, name: str, file: str, schema: str = "") -> None:
        self._name = name
        self._file = file
        self._schema = schema

    async def start(self) -> None:
        """Do nothing: there is no server."""

    async def fresh(self, name: str, folder: Path) -> SqliteStore:
        """Make a new file in a folder of its own.

        Raises:
            StoreFailed: The schema is wrong, or the folder cannot be written.
        """
        path = folder / self._name / Path(self._file).name
        try:
            path.parent.mkdir(parents=True)
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(self._schema)
        except (OSError, sqlite3.Error) as error:
            raise StoreFailed(f"stores.{self._name}: {path} could not be made: {error}") from error
        return SqliteStore(self._name, path)

    async def close(self) -> None:
        """Do nothing: files go with their stage."""


class SqliteStore:
    """One file."""

    paramstyle: Literal["qmark"] = "qmark"
    endpoint = None

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self.path = path

    def parts(self, host: str = "", port: int = 0) -> Mapping[str, str]:
        """Return the file's ``path`` and its ``url``, as SQLAlchemy writes it."""
        return {"path": str(self.path), "url": f"sqlite:///{self.path}"}

    async def query(self, sql: str, params: Sequence[object] = ()) -> Rows:
        """Ask the file, read-only, in a thread of its own.

        Raises:
            StoreFailed: SQLite refused the query; the message has both.
        """
        return await asyncio.to_thread(self._query, sql, params)

    async def discard(self) -> None:
        """Remove the file, with its journal."""
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _query(self, sql: str, params: Sequence[object]) -> Rows:
        try:
            uri = f"file:{quote(str(self.path))}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as connection:
                cursor = connection.execute(sql, tuple(params))
                columns = tuple(each[0] for each in cursor.description or ())
                return Rows(columns, tuple(cursor.fetchall()))
        except sqlite3.Error as error:
            raise StoreFailed(f"stores.{self._name} was asked {sql!r} and answered: {error}") from error
