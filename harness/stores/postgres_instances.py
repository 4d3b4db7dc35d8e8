"""Where a PostgreSQL server comes from: this machine's installation, a container, or a URL."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from misstep.harness.doctor import POSTGRES, Machine
from misstep.harness.errors import PartMissing, StoreFailed
from misstep.harness.services.guardian import Command, Exit, Guard, Process
from misstep.harness.services.logs import tail
from misstep.harness.services.ports import lease_port
from misstep.harness.stores.postgres_url import PostgresUrl, parse_postgres

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

HOST = "127.0.0.1"
USER = "misstep"
WITHIN = 60.0
GRACE = 5.0
POLL_SECONDS = 0.01
UNPRIVILEGED = ("postgres", "nobody")
"""Who PostgreSQL runs as where the harness is root, whom it refuses; the first of these that the machine knows."""

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",  # files in its own folder: nothing is left in /dev/shm by a kill -9
    "fsync": "off",  # what a killed process wrote, the kernel keeps; only a power cut would lose it
    "full_page_writes": "off",
    "max_connections": "200",
    "timezone": "UTC",
}


class GivenPostgres:
    """A server that is already there."""

    def __init__(self, url: str) -> None:
        """Name it.

        Args:
            url: Of a database on it, and a user who may create databases.

        Raises:
            StoreFailed: It cannot be read.
        """
        self._url = parse_postgres(url)

    async def start(self) -> PostgresUrl:
        """Return its URL; whether it answers is seen when it is first asked."""
        return self._url

    async def close(self) -> None:
        """Leave it as it is."""


class LocalPostgres:
    """A private server of this machine's installation, under a guard."""

    def __init__(self, guard: Guard, *, machine: Machine | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            guard: Under which its processes run.
            machine: Where to look for PostgreSQL; this machine by default.
        """
        self._guard = guard
        self._machine = machine or Machine()
        self._closing = ExitStack()
        self._server: Process | None = None

    async def start(self) -> PostgresUrl:
        """Make a cluster in a folder of its own and serve it, on a private port.

        Raises:
            PartMissing: PostgreSQL is not installed, or root finds nobody to run it as.
            StoreFailed: It did not start; the message has its last log lines.
        """
        programs = find_programs(self._machine)
        user = unprivileged_user()
        folder = Path(tempfile.mkdtemp(prefix="misstep-postgres-"))
        self._closing.callback(shutil.rmtree, folder, ignore_errors=True)
        await self._guard.adopt(folder)
        port = self._closing.enter_context(lease_port(HOST)).port
        url = PostgresUrl(HOST, port, USER, secrets.token_hex(16), "postgres")
        secret = folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(url.password)
        if user is not None:
            for path in (folder, secret):
                shutil.chown(path, user)
        await self._initialise(programs, folder, user)
        await self._serve(programs, folder, user, port)
        return url

    async def close(self) -> None:
        """Stop it, so that it gives back its shared memory, and remove its folder."""
        if self._server is not None and not self._guard.closed:
            if self._server.exited is None:
                await self._server.signal(signal.SIGINT)  # "fast shutdown": SIGTERM would wait for every client
                await self._server.ends_within(GRACE)
            await self._server.kill()
        self._server = None
        await asyncio.to_thread(self._closing.close)

    async def _initialise(self, programs: Path, folder: Path, user: str | None) -> None:
        """Run initdb."""
        arguments = ["--pgdata", str(folder / "data"), "--username", USER, "--pwfile", str(folder / "password")]
        arguments += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync"]
        process = await self._spawn(programs / "initdb", arguments, folder, user)
        found = await process.wait()
        if found != Exit(code=0, signal=None):
            raise StoreFailed(_story("initdb", process))

    async def _serve(self, programs: Path, folder: Path, user: str | None, port: int) -> None:
        """Start the server, and wait until it listens."""
        settings = [f"-c{name}={value}" for name, value in {**SETTINGS, "port": str(port)}.items()]
        process = await self._spawn(programs / "postgres", ["-D", str(folder / "data"), *settings], folder, user)
        self._server = process
        ready = "database system is ready to accept connections"
        try:
            async with asyncio.timeout(WITHIN):
                while not any(ready in line for line in tail(process.log, 50)):
                    if process.exited is not None:
                        raise StoreFailed(_story("PostgreSQL", process))
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise StoreFailed(_story(f"PostgreSQL was not ready after {WITHIN:g} s; it", process)) from None

    async def _spawn(self, program: Path, arguments: list[str], folder: Path, user: str | None) -> Process:
        env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(folder), "TZ": "UTC"}
        command = Command((str(program), *arguments), env, folder, folder / f"{program.name}.log", user)
        try:
            return await self._guard.spawn(command)
        except OSError as error:
            raise StoreFailed(f"{program} could not be started as {user or 'this user'}: {error}") from error


class DockerPostgres:
    """A server in a container, by testcontainers."""

    def __init__(self, image: str = "postgres:16-alpine") -> None:
        """Prepare; nothing is started yet.

        Args:
            image: An image that reads POSTGRES_USER and POSTGRES_PASSWORD as the official one does.
        """
        self._image = image
        self._container: DockerContainer | None = None
        self._closing = ExitStack()

    async def start(self) -> PostgresUrl:
        """Start the container and wait until it serves.

        Raises:
            PartMissing: No engine answers, testcontainers is not installed, or the image cannot be had.
            StoreFailed: It did not start.
        """
        from misstep.harness.services.containers import run_container

        port = self._closing.enter_context(lease_port(HOST)).port
        url = PostgresUrl(HOST, port, USER, secrets.token_hex(16), "postgres")
        environment = {"POSTGRES_USER": USER, "POSTGRES_PASSWORD": url.password, "POSTGRES_DB": "postgres"}
        self._container = await asyncio.to_thread(run_container, self._image, {5432: port}, environment)
        await self._until_ready(url)
        return url

    async def close(self) -> None:
        """Remove the container with its volumes."""
        if self._container is not None:
            await asyncio.to_thread(self._container.stop, force=True, delete_volume=True)
            self._container = None
        self._closing.close()

    async def _until_ready(self, url: PostgresUrl) -> None:
        """Wait until it lets its user in: an image starts a first server without a port to make the cluster."""
        import psycopg

        try:
            async with asyncio.timeout(WITHIN):
                while True:
                    try:
                        await (await psycopg.AsyncConnection.connect(url.text())).close()
                        return
                    except psycopg.OperationalError:
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise StoreFailed(f"{self._image} did not serve {url} within {WITHIN:g} s") from None


def find_programs(machine: Machine) -> Path:
    """Return the folder of PostgreSQL's server programs.

    Raises:
        PartMissing: There is none.
    """
    folder = machine.beside(POSTGRES, "initdb", "postgres")
    if folder is None:
        raise PartMissing(
            'a store is postgres = "local", but PostgreSQL is not installed: no folder with both initdb and postgres '
            f"was found. {machine.install('postgresql', 'postgresql')} (it need not run as a service), or give a URL"
        )
    return folder


def unprivileged_user() -> str | None:
    """Return who a server is run as: nobody else, unless the harness is root.

    Raises:
        PartMissing: It is root, and no other user is known.
    """
    if os.geteuid() != 0:
        return None
    known = {record.pw_name for record in pwd.getpwall()}
    for name in UNPRIVILEGED:
        if name in known:
            return name
    raise PartMissing(f"PostgreSQL does not run as root, and there is none of the users {', '.join(UNPRIVILEGED)}")


def _story(name: str, process: Process) -> str:
    lines = "".join(f"\n    | {line}" for line in tail(process.log, 15))
    return f"{name} {process.exited or 'still runs'}; last lines of {process.log.name}:{lines}"
