"""The ``embedded`` stage's broker: the model of RabbitMQ, served by the harness itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from misstep.harness.brokers.port import Complaint, Credentials, Endpoint, QueueState, Route
from misstep.harness.brokers.rabbitmq.client import Client
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer
from misstep.harness.brokers.rabbitmq.model.broker import VERSION

GUEST = Credentials("guest", "guest")


class EmbeddedBroker:
    """The model as a broker of the harness; nothing need be installed for it."""

    protocol = "amqp"
    version = f"model of RabbitMQ {VERSION}"

    def __init__(self) -> None:
        self.server = EmbeddedServer()
        self._told = 0

    def complaints(self) -> tuple[Complaint, ...]:
        """Return what the model refused, since it does not know it, and where it broke; either proves nothing."""
        defects, self.server.defects[:] = list(self.server.defects), []
        refusals = self.server.model.refusals[self._told :]
        self._told += len(refusals)
        return (
            *(Complaint(f"the model broke: {type(error).__name__}: {error}", unknown=True) for error in defects),
            *(
                Complaint(f"{each.method} asks for {each.feature}: {each.text}; use --stage local", unknown=True)
                for each in refusals
            ),
        )

    async def start(self) -> None:
        """Listen on a free loopback port."""
        await self.server.start()

    async def space(self, name: str) -> EmbeddedSpace:
        """Make a fresh virtual host."""
        self.server.add_vhost(name)
        return EmbeddedSpace(name, self.server)

    async def crash(self) -> None:
        """Lose every connection and all that is not durable."""
        self.server.crash()

    async def restart(self) -> None:
        """Serve again, with the durable state."""
        self.server.resume()

    async def close(self) -> None:
        """Close every connection and the port."""
        await self.server.close()


class EmbeddedSpace:
    """One virtual host of the model."""

    def __init__(self, name: str, server: EmbeddedServer) -> None:
        self.name = name
        self.endpoint = Endpoint("127.0.0.1", server.port)
        self._server = server
        self._client = Client(self.endpoint, GUEST, name)

    def url(self, host: str, port: int) -> str:
        """Return the URL that a service is given for its link."""
        return f"amqp://{GUEST.user}:{GUEST.password}@{host}:{port}/{self.name}"

    async def queues(self, names: Collection[str] | None = None) -> tuple[QueueState, ...]:
        """Read the model's own tables: exact, also for what is unacked."""
        states = self._server.model.queues(self.name)
        return states if names is None else tuple(state for state in states if state.name in names)

    async def routes(self) -> tuple[Route, ...]:
        """Read the model's own bindings."""
        return self._server.model.routes(self.name)

    async def publish(
        self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
    ) -> None:
        """Publish one message and wait for its confirm."""
        await self._client.publish(exchange, key, body, headers=headers, properties=properties)

    async def discard(self) -> None:
        """Delete the virtual host; connections to it are closed."""
        await self._client.close()
        self._server.remove_vhost(self.name)
