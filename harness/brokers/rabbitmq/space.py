"""A virtual host of a real RabbitMQ, as the space of one stage."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote

from misstep.harness.brokers.port import Credentials, Endpoint, QueueState, Route
from misstep.harness.brokers.rabbitmq.client import Client
from misstep.harness.brokers.rabbitmq.management import Management


class VirtualHost:
    """One virtual host, made for one stage and thrown away with it.

    Args:
        name: The virtual host.
        endpoint: Where the broker listens.
        credentials: Who the services, and the harness, are to be.
        management: The management API, where the broker has one; without it only queues that are asked for by name are
            known, and no bindings.
        owned: Whether the virtual host was made for this stage, so that it goes with it.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        credentials: Credentials,
        management: Management | None,
        *,
        owned: bool = True,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self._credentials = credentials
        self._management = management
        self._owned = owned
        self._client = Client(endpoint, credentials, name)
        self._arguments: dict[str, Mapping[str, object]] = {}

    def url(self, host: str, port: int) -> str:
        """Return the URL that a service is given for its link; the link itself speaks TLS where the broker wants it."""
        user, password = quote(self._credentials.user, safe=""), quote(self._credentials.password, safe="")
        return f"amqp://{user}:{password}@{host}:{port}/{quote(self.name, safe='')}"

    async def queues(self, names: Collection[str] | None = None) -> tuple[QueueState, ...]:
        """Count queues by passive declares, exact at once; all that the management API lists where none is named."""
        if names is None:
            names = await self._listed()
        found = []
        for name in names:
            count = await self._client.count(name)
            if count is not None:
                found.append(self._state(name, count.ready, count.consumers))
        return tuple(found)

    async def routes(self) -> tuple[Route, ...]:
        """Ask the management API for all bindings; none without it."""
        if self._management is None:
            return ()
        kinds = {each["name"]: each["type"] for each in await self._management.exchanges(self.name)}
        return tuple(
            Route(
                source=each["source"],
                queue=each["destination"],
                key=each["routing_key"],
                kind=kinds.get(each["source"], ""),
                to_exchange=each["destination_type"] == "exchange",
            )
            for each in await self._management.bindings(self.name)
        )

    async def publish(
        self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
    ) -> None:
        """Publish one message and wait for its confirm; see :meth:`Client.publish`."""
        await self._client.publish(exchange, key, body, headers=headers, properties=properties)

    async def discard(self) -> None:
        """Close the harness's own connection, and delete the virtual host where it was made for this stage."""
        await self._client.close()
        if self._owned and self._management is not None:
            await self._management.delete_vhost(self.name)

    async def _listed(self) -> list[str]:
        if self._management is None:
            return list(self._arguments)
        listed = await self._management.queues(self.name)
        self._arguments = {each["name"]: each.get("arguments") or {} for each in listed}
        return list(self._arguments)

    def _state(self, name: str, ready: int, consumers: int) -> QueueState:
        arguments = self._arguments.get(name, {})
        dead = "x-dead-letter-exchange" in arguments
        ttl = arguments.get("x-message-ttl")
        due = float(ttl) / 1000 if dead and ready and isinstance(ttl, int | float) else None
        return QueueState(name, ready, None, consumers, ttl_due=due, dead_letters=dead, arguments=arguments)
