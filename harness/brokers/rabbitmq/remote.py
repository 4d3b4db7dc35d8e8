"""A RabbitMQ somewhere else, given by its URL: staging, or a local one that another process owns."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from misstep.harness.brokers.port import Complaint
from misstep.harness.brokers.rabbitmq.address import parse_address, split_credentials
from misstep.harness.brokers.rabbitmq.client import Client
from misstep.harness.brokers.rabbitmq.greeting import greet
from misstep.harness.brokers.rabbitmq.management import Management
from misstep.harness.brokers.rabbitmq.space import VirtualHost
from misstep.harness.errors import BrokerFailed, StageError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts that no proxy named in the environment leads to."""


class RemoteRabbit:
    """A broker that is not ours: it is used, and left as it was.

    Attributes:
        version: What it says it is, once :meth:`start` has asked.
        notices: What a report should say of runs here, once it was started; empty where each has a virtual host of its
            own.
    """

    protocol = "amqp"

    def __init__(self, url: str, management_url: str = "") -> None:
        """Prepare to use it.

        Args:
            url: ``amqp`` or ``amqps``, with user, password and virtual host.
            management_url: Its management API, with credentials where they differ; each run then has a fresh virtual
                host. Without it all runs share the virtual host of ``url``.

        Raises:
            BrokerFailed: A URL cannot be read.
        """
        self.address = parse_address(url)
        self.version = "AMQP broker"
        self.notices: tuple[str, ...] = ()
        self._management: Management | None = None
        self._made: set[str] = set()
        if management_url:
            plain, credentials = split_credentials(management_url, self.address.credentials)
            loopback = (urlsplit(plain).hostname or "") in LOOPBACK
            self._management = Management(plain, credentials, environment=not loopback)

    def __repr__(self) -> str:
        return f"<RemoteRabbit {self.address}>"

    def complaints(self) -> tuple[Complaint, ...]:
        """Return what sharing it with earlier runs means for a verdict."""
        return tuple(Complaint(notice) for notice in self.notices)

    async def start(self) -> None:
        """Prove that it can be used: that it answers, lets the user in, and knows the virtual host.

        Raises:
            BrokerFailed: It cannot; the message says what of it.
        """
        try:
            self.version = await greet(self.address.endpoint)
        except TimeoutError:
            raise BrokerFailed(f"what listens at {self.address} says nothing: is that the port of AMQP?") from None
        except (OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise BrokerFailed(
                f"no broker answers at {self.address}: {reason}. Is the URL right, and it up?"
            ) from error
        if self._management is not None:
            await self._management.version()
            return
        await self._prove_login()
        self.notices = (
            f"all runs share {self.address}: queues and messages of earlier runs are still there, bindings are not "
            "known, and runs at the same time disturb each other. A management URL gives each run a fresh virtual host",
        )

    async def space(self, name: str) -> VirtualHost:
        """Make a fresh virtual host by the management API; without one, use that of the URL."""
        endpoint, credentials = self.address.endpoint, self.address.credentials
        if self._management is None:
            return VirtualHost(self.address.vhost, endpoint, credentials, None, owned=False)
        unique = f"{name}-{secrets.token_hex(3)}"
        self._made.add(unique)
        await self._management.create_vhost(unique, credentials.user)
        return VirtualHost(unique, endpoint, credentials, self._management)

    async def crash(self) -> None:
        """Refuse: it is not ours to kill.

        Raises:
            StageError: Always.
        """
        raise StageError(f"the broker at {self.address} is not ours to kill: use the local stage for broker crashes")

    async def restart(self) -> None:
        """Refuse, as :meth:`crash` does.

        Raises:
            StageError: Always.
        """
        raise StageError(f"the broker at {self.address} is not ours to restart: use the local stage for broker crashes")

    async def close(self) -> None:
        """Delete the virtual hosts that were made here and are still there."""
        if self._management is None:
            return
        try:
            for name in self._made:
                await self._management.delete_vhost(name)
        finally:
            await self._management.close()

    async def _prove_login(self) -> None:
        """Log in and open the virtual host once."""
        client = Client(self.address.endpoint, self.address.credentials, self.address.vhost)
        try:
            await client.count(f"misstep-{secrets.token_hex(4)}")
        finally:
            await client.close()
