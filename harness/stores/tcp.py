"""Any other store that is reached by TCP: its links are passed through, and it is never asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from misstep.harness.brokers.port import Endpoint
from misstep.harness.errors import StoreFailed
from misstep.harness.stores.port import Rows


class TcpServer:
    """A server that is already there, and that all stages share."""

    def __init__(self, name: str, target: str) -> None:
        """Name it.

        Args:
            name: The store's name.
            target: ``host:port``, or a URL with both.

        Raises:
            StoreFailed: The target names no host and port.
        """
        parts = urlsplit(target if "://" in target else f"//{target}")
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port:
            raise StoreFailed(f"stores.{name}.tcp has no host and port: expected host:port, or a URL with both")
        self._store = TcpStore(name, target, Endpoint(host, port))

    async def start(self) -> None:
        """Do nothing: it runs already."""

    async def fresh(self, name: str, folder: Path) -> TcpStore:
        """Return the one store that there is; what is in it, misstep neither knows nor clears."""
        return self._store

    async def close(self) -> None:
        """Leave it as it is."""


class TcpStore:
    """One address."""

    paramstyle: Literal["qmark"] = "qmark"

    def __init__(self, name: str, target: str, endpoint: Endpoint) -> None:
        self._name = name
        self._target = target
        self.endpoint = endpoint

    def parts(self, host: str = "", port: int = 0) -> Mapping[str, str]:
        """Return ``host``, ``port``, and ``url``: the target with both in the place of its own."""
        host, port = host or self.endpoint.host, port or self.endpoint.port
        own = urlsplit(self._target if "://" in self._target else f"//{self._target}")
        login, at, _ = own.netloc.rpartition("@")
        url = own._replace(netloc=f"{login}{at}{host}:{port}").geturl()
        return {"host": host, "port": str(port), "url": url.removeprefix("//")}

    async def query(self, sql: str, params: Sequence[object] = ()) -> Rows:
        """Refuse: what it speaks is not known.

        Raises:
            StoreFailed: Always.
        """
        raise StoreFailed(
            f"stores.{self._name} is a tcp store and cannot be asked {sql!r}: expected a sqlite or postgres store; "
            "a probe by http or command can look at it instead"
        )

    async def discard(self) -> None:
        """Leave it as it is."""
