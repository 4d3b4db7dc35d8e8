"""RabbitMQ in a container, by testcontainers.

The container's ports are leased beforehand, so that they stay the same over a crash. Whatever a killed harness leaves
is reaped by testcontainers' own Ryuk; where TESTCONTAINERS_RYUK_DISABLED is set, it stays, and is found by its label
``org.testcontainers.session-id``. The engine must be on this machine.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from misstep.harness.brokers.port import Complaint, Credentials, Endpoint
from misstep.harness.brokers.rabbitmq.greeting import wait_for_greeting
from misstep.harness.brokers.rabbitmq.management import Management
from misstep.harness.brokers.rabbitmq.space import VirtualHost
from misstep.harness.errors import BrokerFailed
from misstep.harness.services.containers import run_container
from misstep.harness.services.ports import lease_port

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

HOST = "127.0.0.1"
IMAGE = "rabbitmq:3-management"
WITHIN = 90.0
AMQP, MANAGEMENT = 5672, 15672


class DockerRabbit:
    """One RabbitMQ in a container.

    Attributes:
        version: ``RabbitMQ`` and its version, once it was started.
    """

    protocol = "amqp"

    def __init__(self, image: str = IMAGE) -> None:
        """Prepare it; nothing is started yet.

        Args:
            image: An image with RabbitMQ and its management plugin, which reads RABBITMQ_DEFAULT_USER and
                RABBITMQ_DEFAULT_PASS as the official one does.
        """
        self.image = image
        self.version = "RabbitMQ"
        self._credentials = Credentials("misstep", secrets.token_hex(16))
        self._container: DockerContainer | None = None
        self._management: Management | None = None
        self._leases = ExitStack()
        self._ports: dict[int, int] = {}

    @property
    def endpoint(self) -> Endpoint:
        """Where it serves AMQP; it stays the same over a crash."""
        return Endpoint(HOST, self._ports[AMQP])

    def complaints(self) -> tuple[Complaint, ...]:
        """Return nothing: it is a whole RabbitMQ."""
        return ()

    async def start(self) -> None:
        """Start the container and wait until it serves AMQP and the management API.

        Raises:
            PartMissing: No engine answers, testcontainers is not installed, or the image cannot be had.
            BrokerFailed: It did not start; the message has its last log lines.
        """
        self._ports = {inner: self._leases.enter_context(lease_port(HOST)).port for inner in (AMQP, MANAGEMENT)}
        environment = {
            "RABBITMQ_DEFAULT_USER": self._credentials.user,
            "RABBITMQ_DEFAULT_PASS": self._credentials.password,
        }
        # The data folder is named after the node, and the node after the host.
        self._container = await asyncio.to_thread(
            run_container, self.image, self._ports, environment, hostname="misstep"
        )
        self._management = Management(f"http://{HOST}:{self._ports[MANAGEMENT]}", self._credentials)
        await self._until_ready()
        self.version = f"RabbitMQ {await self._management.version()} ({self.image})"

    async def space(self, name: str) -> VirtualHost:
        """Make a fresh virtual host.

        Raises:
            BrokerFailed: It was not started, or refused.
        """
        if self._management is None:
            raise BrokerFailed("the broker in a container was not started: await its start() first")
        await self._management.create_vhost(name)
        return VirtualHost(name, self.endpoint, self._credentials, self._management)

    async def crash(self) -> None:
        """Kill everything in the container (SIGKILL); its data stay."""
        await asyncio.to_thread(self._inner().kill)

    async def restart(self) -> None:
        """Start the container again, with the data it had.

        Raises:
            BrokerFailed: It did not start.
        """
        await asyncio.to_thread(self._inner().start)
        await self._until_ready()

    async def close(self) -> None:
        """Remove the container with its volumes."""
        if self._management is not None:
            await self._management.close()
            self._management = None
        if self._container is not None:
            await asyncio.to_thread(self._container.stop, force=True, delete_volume=True)
            self._container = None
        self._leases.close()

    def _inner(self) -> Any:
        """Return the container as the Docker library knows it, which has no types."""
        if self._container is None:
            raise BrokerFailed("the broker in a container was not started: await its start() first")
        return self._container.get_wrapped_container()

    async def _until_ready(self) -> None:
        """Wait for AMQP: the published port accepts connections long before the broker does."""
        try:
            async with asyncio.timeout(WITHIN):
                await wait_for_greeting(self.endpoint, lambda: False)
                while not await self._answers():  # noqa: ASYNC110 (nothing is told of it)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            lines = (await asyncio.to_thread(self._inner().logs, tail=20)).decode(errors="replace")
            raise BrokerFailed(f"{self.image} was not ready after {WITHIN:g} s; its last lines:\n{lines}") from None

    async def _answers(self) -> bool:
        """Ask the management API, which an image may start after AMQP."""
        assert self._management is not None
        try:
            await self._management.version()
        except BrokerFailed:
            return False
        return True
