"""What every store answers: a server that outlives runs, and the fresh stores that it makes, one for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from misstep.harness.brokers.port import Endpoint


class Store(Protocol):
    """One stage's own database."""

    @property
    def paramstyle(self) -> Literal["qmark", "format"]:
        """How a query marks its parameters (PEP 249): ``?`` or ``%s``."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where a service's link dials; None for a store that is no TCP server (a file)."""

    def parts(self, host: str = "", port: int = 0) -> Mapping[str, str]:
        """Return what ``{stores.NAME.…}`` means: ``url``, and ``path`` or ``host``, ``port``, ``user``, ``password``, ``database``.

        Args:
            host: The host of the link that a service is to use; empty for the store itself.
            port: The link's port.
        """

    async def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Ask the store, without locking a service out, and return the rows.

        Raises:
            StoreFailed: It could not be asked; the message has the query and the store's own words.
        """

    async def columns(self, sql: str, params: Sequence[object] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask the store and return the names of the columns with the rows.

        Raises:
            StoreFailed: As for :meth:`query`.
        """

    async def discard(self) -> None:
        """Throw the store away with all that is in it."""


class StoreServer(Protocol):
    """Makes fresh stores; one for each store of a choreography, for one invocation."""

    async def start(self) -> None:
        """Start the server, where it is a server.

        Raises:
            PartMissing: This machine does not have it.
            StoreFailed: It did not start.
        """

    async def fresh(self, name: str, folder: Path) -> Store:
        """Make a new store, with the declared schema.

        Args:
            name: Unique within the invocation.
            folder: Where the files of a store that is a file go.

        Raises:
            StoreFailed: It could not be made.
        """

    async def close(self) -> None:
        """Stop the server and remove everything it left."""
