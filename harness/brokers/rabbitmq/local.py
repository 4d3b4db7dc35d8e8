"""A private RabbitMQ from this machine's installation: any user, own ports, own data, ready in some two seconds.

Data are kept over :meth:`LocalRabbit.crash` and :meth:`LocalRabbit.restart`: confirmed persistent messages survive.
A quorum queue that was made less than a second before a crash may never come back (RabbitMQ 3.10, a single node).
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

from misstep.harness.brokers.port import Complaint, Credentials, Endpoint
from misstep.harness.brokers.rabbitmq.greeting import wait_for_greeting
from misstep.harness.brokers.rabbitmq.installation import Installation, find_installation, link_home
from misstep.harness.brokers.rabbitmq.management import Management
from misstep.harness.brokers.rabbitmq.space import VirtualHost
from misstep.harness.errors import BrokerFailed
from misstep.harness.services.guardian import Command, Guard, Process
from misstep.harness.services.logs import tail
from misstep.harness.services.ports import lease_port

HOST = "127.0.0.1"
ATTEMPTS = 3
WITHIN = 60.0
PORT_TAKEN = re.compile(r"eaddrinuse|address already in use|port \d+ is already", re.IGNORECASE)
PLAIN_ERROR = re.compile(r"\[error\] <[\d.]+> \w|^error", re.IGNORECASE)
FIRST, LAST = 10, 5
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node: AMQP, the management API, Erlang's distribution, and its port mapper."""

    amqp: int
    management: int
    distribution: int
    epmd: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node's folder and settings.

    Attributes:
        folder: Where everything of it is.
        ports: Where it listens.
        credentials: Its only user, an administrator.
        cookie: Erlang's shared secret.
    """

    folder: Path
    ports: Ports
    credentials: Credentials
    cookie: str = field(repr=False)

    def write(self, installation: Installation) -> None:
        """Write its home, its settings and its cookie."""
        link_home(installation, self.folder / "home")
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(self.cookie)
        cookie.chmod(0o400)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        settings = {
            "default_user": self.credentials.user,
            "default_pass": self.credentials.password,
            "loopback_users": "none",
            "management.tcp.ip": HOST,
            "management.tcp.port": str(self.ports.management),
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        (self.folder / "rabbitmq.conf").write_text("".join(lines))

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of the node's processes; nothing of another RabbitMQ's settings gets in."""
        folder, home, ports = self.folder, self.folder / "home", self.ports
        return {
            **{name: inherited[name] for name in INHERITED if name in inherited},
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(ports.epmd),
            "RABBITMQ_NODENAME": "misstep@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(ports.amqp),
            "RABBITMQ_DIST_PORT": str(ports.distribution),
            "RABBITMQ_HOME": str(home),
            "RABBITMQ_SCRIPTS_DIR": str(home / "sbin"),
            "RABBITMQ_PLUGINS_DIR": str(home / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }


class LocalRabbit:
    """One private RabbitMQ, under a guard.

    Attributes:
        version: ``RabbitMQ`` and its version, once it was started.
    """

    protocol = "amqp"

    def __init__(self, guard: Guard, *, installation: Installation | None = None) -> None:
        """Prepare it; nothing is started yet.

        Args:
            guard: Under which its processes run.
            installation: Which RabbitMQ; that of this machine by default.
        """
        self.version = "RabbitMQ"
        self._guard = guard
        self._installation = installation
        self._closing = ExitStack()
        self._node: Node | None = None
        self._management: Management | None = None
        self._epmd: Process | None = None
        self._server: Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def endpoint(self) -> Endpoint:
        """Where it serves AMQP; it stays the same over a crash."""
        return Endpoint(HOST, self._running.ports.amqp)

    @property
    def management(self) -> Management:
        """Its management API.

        Raises:
            BrokerFailed: It was not started.
        """
        if self._management is None:
            raise BrokerFailed("the local RabbitMQ was not started: await its start() first")
        return self._management

    @property
    def address(self) -> str:
        """Its URL, with credentials, for another process that is to share it; see :func:`shared`."""
        ports, user = self._running.ports, self._running.credentials
        return f"amqp://{quote(user.user)}:{quote(user.password)}@{HOST}:{ports.amqp}/?management={ports.management}"

    def complaints(self) -> tuple[Complaint, ...]:
        """Return nothing: it is a whole RabbitMQ."""
        return ()

    async def start(self) -> None:
        """Start it and wait until it serves AMQP and the management API.

        Raises:
            PartMissing: RabbitMQ or Erlang is not installed.
            BrokerFailed: It did not start; the message has its last log lines.
        """
        installation = self._installation or find_installation()
        for attempt in range(1, ATTEMPTS + 1):
            node = self._node = await self._make_node(installation)
            try:
                await self._start_epmd(installation)
                await self._start_server()
                break
            except BrokerFailed as error:
                await self.close()
                if attempt == ATTEMPTS or not PORT_TAKEN.search(str(error)):
                    raise
        url = f"http://{HOST}:{node.ports.management}"
        self._management = Management(url, node.credentials)
        self.version = f"RabbitMQ {await self._management.version()}"

    async def space(self, name: str) -> VirtualHost:
        """Make a fresh virtual host."""
        await self.management.create_vhost(name)
        return VirtualHost(name, self.endpoint, self._running.credentials, self.management)

    async def crash(self) -> None:
        """Kill it (SIGKILL); its data stay."""
        if self._server is not None:
            await self._server.kill()
            self._server = None

    async def restart(self) -> None:
        """Start it again on the same ports, with the data it had; every virtual host is back when this returns.

        Raises:
            BrokerFailed: It did not start.
        """
        await self.crash()
        await self._start_server()
        await self.management.version()

    async def close(self) -> None:
        """Kill it, and remove all that it left."""
        if self._management is not None:
            await self._management.close()
            self._management = None
        for process in (self._server, self._epmd):
            if process is not None and not self._guard.closed:
                await process.kill()
        self._server = self._epmd = self._node = None
        await asyncio.to_thread(self._closing.close)

    @property
    def _running(self) -> Node:
        if self._node is None:
            raise BrokerFailed("the local RabbitMQ was not started: await its start() first")
        return self._node

    async def _make_node(self, installation: Installation) -> Node:
        """Lease ports and write a folder, both of which :meth:`close` gives back."""
        folder = Path(tempfile.mkdtemp(prefix="misstep-rabbitmq-"))
        self._closing.callback(shutil.rmtree, folder, ignore_errors=True)
        await self._guard.adopt(folder)
        ports = Ports(*(self._closing.enter_context(lease_port(HOST)).port for _ in range(4)))
        credentials = Credentials("misstep", secrets.token_hex(16))
        node = Node(folder, ports, credentials, secrets.token_hex(16))
        await asyncio.to_thread(node.write, installation)
        return node

    async def _start_epmd(self, installation: Installation) -> None:
        """Start a port mapper of its own: a node that finds none starts one that outlives it."""
        node = self._running
        argv = (str(installation.epmd), "-port", str(node.ports.epmd), "-address", HOST)
        process = self._epmd = await self._spawn(argv, node.folder / "epmd.log")
        async with asyncio.timeout(WITHIN):
            while process.exited is None:
                try:
                    _, writer = await asyncio.open_connection(HOST, node.ports.epmd)
                except OSError:
                    await asyncio.sleep(0.005)
                    continue
                writer.close()
                return
        raise BrokerFailed(self._story("Erlang's port mapper", process))

    async def _start_server(self) -> None:
        """Start RabbitMQ and wait for AMQP, which it serves last of all."""
        node = self._running
        script = node.folder / "home" / "sbin" / "rabbitmq-server"
        process = self._server = await self._spawn((str(script),), node.folder / "rabbitmq.log")
        try:
            async with asyncio.timeout(WITHIN):
                said = await wait_for_greeting(self.endpoint, lambda: process.exited)
        except TimeoutError:
            raise BrokerFailed(self._story(f"RabbitMQ was not ready after {WITHIN:g} s; it", process)) from None
        if not said:
            raise BrokerFailed(self._story("RabbitMQ", process))

    async def _spawn(self, argv: tuple[str, ...], log: Path) -> Process:
        node = self._running
        try:
            return await self._guard.spawn(Command(argv, node.environment(os.environ), node.folder, log))
        except OSError as error:
            raise BrokerFailed(f"{argv[0]} could not be started: {error}") from error

    def _story(self, name: str, process: Process) -> str:
        """Tell how a process ended, with the first errors that it logged and its last lines."""
        lines = tail(process.log, 1000)
        errors = [line for line in lines[:-LAST] if PLAIN_ERROR.search(line)][:FIRST]
        shown = "".join(f"\n    | {line[:300]}" for line in errors + lines[-LAST:])
        return f"{name} {process.exited or 'still runs'}; first errors and last lines of {process.log.name}:{shown}"


def shared(address: str) -> tuple[str, str]:
    """Split the address of a local broker that another process owns into its URL and that of its management API.

    Args:
        address: What :attr:`LocalRabbit.address` gave its owner.
    """
    url, _, port = address.partition("?management=")
    return url, f"http://{HOST}:{port}"
