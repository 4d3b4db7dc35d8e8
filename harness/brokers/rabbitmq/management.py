"""The part of RabbitMQ's management HTTP API that stages need; see ``/api/index.html`` of any RabbitMQ with it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from misstep.harness.brokers.port import Credentials
from misstep.harness.errors import BrokerFailed

if TYPE_CHECKING:
    import httpx

PATIENCE = 20.0
"""Seconds that an answer may take: making a virtual host takes some on a busy machine."""


class Management:
    """A client of one broker's management API.

    Args:
        url: Where the API is, without ``/api``: ``http://127.0.0.1:15672``.
        credentials: A user with the tag ``administrator``, or at least ``policymaker`` to read.
        tls: The TLS settings for ``https``; the usual ones where None.
        environment: Whether proxies named in the environment are used; never for a broker on this machine.
    """

    def __init__(
        self, url: str, credentials: Credentials, *, tls: ssl.SSLContext | None = None, environment: bool = False
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        self._user = credentials.user
        self._http: httpx.AsyncClient = httpx.AsyncClient(
            base_url=f"{self.url}/api",
            auth=(credentials.user, credentials.password),
            verify=tls if tls is not None else url.startswith("https:"),
            trust_env=environment,
            timeout=PATIENCE,
        )

    def __repr__(self) -> str:
        return f"<Management {self.url} as {self._user!r}>"

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def version(self) -> str:
        """Return the broker's version, such as ``3.10.8``.

        Raises:
            BrokerFailed: As every call here does: the API did not answer, or refused; the message says what and why.
        """
        overview = await self._get("/overview")
        return str(overview["rabbitmq_version"])

    async def create_vhost(self, name: str, *users: str) -> None:
        """Make a virtual host, with every right in it for this client's own user and for others."""
        await self._ask("PUT", f"/vhosts/{_quote(name)}", json={})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        for user in dict.fromkeys((self._user, *users)):
            await self._ask("PUT", f"/permissions/{_quote(name)}/{_quote(user)}", json=rights)

    async def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it; one that is gone already is no error."""
        await self._ask("DELETE", f"/vhosts/{_quote(name)}", missing_ok=True)

    async def vhosts(self) -> list[str]:
        """List the virtual hosts."""
        return [each["name"] for each in await self._list("/vhosts")]

    async def queues(self, vhost: str) -> list[dict[str, Any]]:
        """List a virtual host's queues; counts in it lag by seconds."""
        return await self._list(f"/queues/{_quote(vhost)}")

    async def exchanges(self, vhost: str) -> list[dict[str, Any]]:
        """List a virtual host's exchanges."""
        return await self._list(f"/exchanges/{_quote(vhost)}")

    async def bindings(self, vhost: str) -> list[dict[str, Any]]:
        """List a virtual host's bindings, those of the default exchange included."""
        return await self._list(f"/bindings/{_quote(vhost)}")

    async def _list(self, path: str) -> list[dict[str, Any]]:
        found = await self._get(path)
        if not isinstance(found, list):
            raise BrokerFailed(f"{self.url}/api{path} answered {str(found)[:200]!r}: expected a list")
        return found

    async def _get(self, path: str) -> Any:
        answer = await self._ask("GET", path)
        try:
            return answer.json()
        except ValueError as error:
            raise BrokerFailed(
                f"{self.url}/api{path} answered {answer.text[:200]!r}: expected the JSON of a management API"
            ) from error

    async def _ask(
        self, method: str, path: str, *, json: Mapping[str, object] | None = None, missing_ok: bool = False
    ) -> httpx.Response:
        import httpx

        where = f"{method} {self.url}/api{path}"
        try:
            answer = await self._http.request(method, path, json=json)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise BrokerFailed(f"{where} got no answer: {reason}. Is the management plugin on?") from error
        if answer.status_code == 401:
            raise BrokerFailed(f"{where} was refused: user {self._user!r} or its password is wrong, or lacks a tag")
        if answer.is_error and not (missing_ok and answer.status_code == 404):
            raise BrokerFailed(f"{where} answered {answer.status_code}: {answer.text[:300]}")
        return answer


def _quote(name: str) -> str:
    return quote(name, safe="")
