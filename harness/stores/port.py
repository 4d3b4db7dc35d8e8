"""What every store answers: a server that outlives runs, and the fresh stores that it makes, one for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from misstep.harness.brokers.port import Endpoint


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query brought.

    Attributes:
        columns: The names of its columns.
        rows: Its rows, in the order that the store gave them.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


class Store(Protocol):
    """One stage's own database."""

    @property
    def paramstyle(self) -> Literal["qmark", "format"]:
        """How a query marks its parameters (PEP 249): ``?`` or ``%s``."""

    @property
    def endpoint(self) -> Endpoint | None:
        """Where a service's link dials; None for a store that is no TCP server (a file)."""

    def parts(self, host: str = "", port: int = 0) -> Mapping[str, str]:
        """Return what ``{stores.NAME.…}`` means: ``url``, and ``path`` or ``host``, ``port``, ``user``,
        ``password``, ``database``.

        Args:
            host: The host of the link that a service is to use; empty for the store itself.
            port: The link's port.
        """

    async def query(self, sql: str, params: Sequence[object] = ()) -> Rows:
        """Ask the store, without locking a service out.

        Raises:
            StoreFailed: It could not be asked; the message has the query and the store's own words.
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
