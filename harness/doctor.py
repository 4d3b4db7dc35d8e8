"""What this machine has: stages, brokers and tools; and the exact next step for whatever is missing.

Looking is light: no heavy import, no server started, and a second at most for anything that has to answer.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

Kind = Literal["stage", "machine", "tool", "package"]

PATIENCE = 1.0
PR_GET_CHILD_SUBREAPER = 37  # prctl(2)
DOCKER_SOCKET = "/var/run/docker.sock"

RABBITMQ: Final = (
    "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "usr/local/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
    "opt/rabbitmq*/sbin",
    "opt/homebrew/opt/rabbitmq/sbin",
)
"""Where RabbitMQ's own scripts are installed; the one in /usr/sbin switches the user, and cannot be used."""

POSTGRES: Final = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin")
"""Where PostgreSQL's programs are installed, which is often not on the PATH."""

PACKAGES: Final = (
    ("aio-pika", "examples", "run the example services"),
    ("fastapi", "examples", "run the example services"),
    ("uvicorn", "examples", "run the example services"),
    ("aiosqlite", "examples", "run the example services"),
    ("psycopg", "postgres", "ask PostgreSQL stores"),
    ("testcontainers", "docker", "start containers"),
    ("toxiproxy-python", "toxiproxy", "steer a real Toxiproxy"),
    ("uvloop", "speed", "pass bytes faster"),
)
"""Packages that nothing needs by itself: the name, the extra that brings it, and what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing that a machine has or lacks.

    Attributes:
        name: What it is.
        kind: A ``stage`` to run on, something of the ``machine`` itself, a ``tool``, or a Python ``package``.
        present: Whether it can be used as it is.
        detail: What was found, or what was looked for.
        next_step: What to do to get it; empty where it is present.
    """

    name: str
    kind: Kind
    present: bool
    detail: str
    next_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that is looked at.

    Attributes:
        root: The top of its file system.
        environment: Its environment variables.
        platform: What Python calls it.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    platform: str = sys.platform

    def program(self, name: str) -> Path | None:
        """Find a program on the PATH."""
        found = shutil.which(name, path=self.environment.get("PATH", ""))
        return Path(found) if found else None

    def beside(self, patterns: tuple[str, ...], *names: str) -> Path | None:
        """Find a folder that has all of some programs: on the PATH, else by patterns below the root, newest first."""
        on_path = [Path(entry) for entry in self.environment.get("PATH", "").split(os.pathsep) if entry]
        installed = [folder for pattern in patterns for folder in sorted(self.root.glob(pattern), key=age)]
        for folder in [*installed, *on_path]:
            if all(os.access(folder / name, os.X_OK) for name in names):
                return folder
        return None

    def install(self, debian: str, homebrew: str) -> str:
        """Return the command that installs a package here."""
        if self.platform == "darwin":
            return f"brew install {homebrew}"
        if self.program("apt-get"):
            return f"apt-get install --no-install-recommends {debian}"
        return f"install {debian} with this machine's package manager"


def age(folder: Path) -> tuple[int, ...]:
    """Return a key that sorts folders by the numbers in their names, newest version first."""
    return tuple(-int(number) for number in re.findall(r"\d+", str(folder)))


def examine(machine: Machine | None = None) -> tuple[Part, ...]:
    """Look at everything that misstep can use.

    Args:
        machine: The machine; the one that this runs on by default.
    """
    return tuple(parts(machine or Machine()))


def parts(machine: Machine) -> Iterator[Part]:
    """Yield every part; one that cannot be looked at is told as missing, with the reason."""
    checks: list[Callable[[Machine], Part]] = [
        processes, embedded, local, docker, remote, rabbitmq, erlang, docker_engine, postgres, toxiproxy, node
    ]  # fmt: skip
    for check in checks:
        try:
            yield check(machine)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            name = check.__name__.replace("_", " ")
            step = "run it by hand to see why it does not answer, or install it anew"
            detail = f"could not be examined: {error}"
            yield Part(name=name, kind="tool", present=False, detail=detail, next_step=step)
    for name, extra, purpose in PACKAGES:
        yield package(name, extra, purpose)


def processes(machine: Machine) -> Part:
    """Say whether services can be kept under a guard: needs Linux, with /proc and child subreapers."""
    present, detail = False, f"services can only be run on Linux as yet; this is {machine.platform}"
    if machine.platform == "linux":
        present = is_subreaper_known() and (machine.root / "proc/self/stat").exists()
        lacking = "/proc is not mounted, or Linux is older than 3.4"
        detail = "Linux, with /proc and child subreapers" if present else lacking
    step = "" if present else "run misstep in a Linux container or virtual machine, with /proc mounted"
    return Part(name="services under a guard", kind="machine", present=present, detail=detail, next_step=step)


def is_subreaper_known() -> bool:
    """Say whether the kernel knows child subreapers; see prctl(2)."""
    reaper = ctypes.c_int()
    return bool(ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(reaper), 0, 0, 0) == 0)


def embedded(machine: Machine) -> Part:
    """Look at the embedded stage, which needs nothing but a guard for its services."""
    guard = processes(machine)
    detail = "a model of RabbitMQ, in Python alone" if guard.present else guard.detail
    return Part(name="embedded", kind="stage", present=guard.present, detail=detail, next_step=guard.next_step)


def local(machine: Machine) -> Part:
    """Look at the local stage: a private RabbitMQ of this machine's installation."""
    return stage("local", [processes(machine), rabbitmq(machine), erlang(machine)])


def docker(machine: Machine) -> Part:
    """Look at the docker stage: a Docker engine, and testcontainers."""
    return stage("docker", [processes(machine), docker_engine(machine), package("testcontainers", "docker", "")])


def stage(name: str, needed: list[Part]) -> Part:
    """Return a stage that is there when all it needs is."""
    missing = [part for part in needed if not part.present]
    detail = "; ".join(part.detail for part in missing or needed[1:])
    step = "; then ".join(part.next_step for part in missing if part.next_step)
    return Part(name=name, kind="stage", present=not missing, detail=detail, next_step=step)


def remote(machine: Machine) -> Part:
    """Look at the remote stage, which only a choreography can say more about."""
    guard = processes(machine)
    detail = "broker_url in choreography.toml says where the broker is" if guard.present else guard.detail
    return Part(name="remote", kind="stage", present=guard.present, detail=detail, next_step=guard.next_step)


def rabbitmq(machine: Machine) -> Part:
    """Look for RabbitMQ's own scripts."""
    folder = find_rabbitmq(machine)
    if folder is None:
        detail = "no rabbitmq_server-*/sbin/rabbitmq-server was found"
        step = machine.install("rabbitmq-server", "rabbitmq")
        return Part(name="RabbitMQ", kind="tool", present=False, detail=detail, next_step=step)
    return Part(name="RabbitMQ", kind="tool", present=True, detail=str(folder))


def find_rabbitmq(machine: Machine) -> Path | None:
    """Return the home of the newest RabbitMQ, the folder with ``sbin`` and ``plugins``; None where there is none."""
    own = machine.environment.get("RABBITMQ_HOME")
    homes = [Path(own)] if own else []
    homes += [folder.parent for pattern in RABBITMQ for folder in sorted(machine.root.glob(pattern), key=age)]
    return next((home for home in homes if os.access(home / "sbin/rabbitmq-server", os.X_OK)), None)


def erlang(machine: Machine) -> Part:
    """Look for Erlang, which RabbitMQ runs on."""
    return program(machine, "Erlang", "erl", machine.install("erlang-base", "erlang"))


def postgres(machine: Machine) -> Part:
    """Look for PostgreSQL's programs; both are needed for a private instance."""
    folder = machine.beside(POSTGRES, "initdb", "postgres")
    if folder is None:
        detail = "no folder with both initdb and postgres was found"
        step = f"{machine.install('postgresql', 'postgresql')}; stores of SQLite need nothing"
        return Part(name="PostgreSQL", kind="tool", present=False, detail=detail, next_step=step)
    said = first_line([str(folder / "postgres"), "--version"])
    return Part(name="PostgreSQL", kind="tool", present=True, detail=f"{said}, {folder}")


def toxiproxy(machine: Machine) -> Part:
    """Look for a real Toxiproxy."""
    step = (
        "go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0, and put the binary on the PATH as "
        "toxiproxy-server; the built-in proxy needs nothing"
    )
    return program(machine, "Toxiproxy", "toxiproxy-server", step, "--version")


def node(machine: Machine) -> Part:
    """Look for Node, which one example is written for."""
    return program(machine, "Node", "node", machine.install("nodejs", "node"), "--version")


def program(machine: Machine, name: str, command: str, step: str, *question: str) -> Part:
    """Look for a program on the PATH, and ask it for its version where it answers at once."""
    found = machine.program(command)
    if found is None:
        return Part(name=name, kind="tool", present=False, detail=f"no {command} on the PATH", next_step=step)
    said = f"{first_line([str(found), *question])}, " if question else ""
    return Part(name=name, kind="tool", present=True, detail=f"{said}{found}")


def first_line(command: list[str]) -> str:
    """Return the first line that a program prints.

    Raises:
        OSError: It cannot be run.
        subprocess.SubprocessError: It does not answer in time.
    """
    answer = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5 * PATIENCE, check=False
    )
    return next(iter((answer.stdout or answer.stderr).strip().splitlines()), "no answer")


def docker_engine(machine: Machine) -> Part:
    """Ask the Docker engine for its version."""
    address = machine.environment.get("DOCKER_HOST") or f"unix://{machine.root / DOCKER_SOCKET.lstrip('/')}"
    try:
        said = ask_docker(address)
    except (OSError, ValueError, http.client.HTTPException) as error:
        detail = f"nothing answers at {address}: {error}"
        step = docker_step(machine, error)
        return Part(name="Docker engine", kind="tool", present=False, detail=detail, next_step=step)
    return Part(name="Docker engine", kind="tool", present=True, detail=f"Docker {said}, {address}")


def docker_step(machine: Machine, error: Exception) -> str:
    """Return what to do about an engine that does not answer."""
    if isinstance(error, PermissionError):
        return "add this user to the group docker, and log in again"
    if machine.program("dockerd"):
        return "start the engine: systemctl start docker, or dockerd"
    return machine.install("docker.io", "--cask docker")


def ask_docker(address: str) -> str:
    """Ask an engine for its version.

    Raises:
        OSError: It does not answer.
        ValueError: What answers is no engine.
        http.client.HTTPException: What answers does not speak HTTP.
    """
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=PATIENCE)
    try:
        if parts.scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(PATIENCE)
            connection.sock.connect(parts.path)
        connection.request("GET", "/version")
        said = json.loads(connection.getresponse().read())
        if not isinstance(said, dict) or "Version" not in said:
            raise ValueError("what answers is no Docker engine")
        return str(said["Version"])
    finally:
        connection.close()


def package(name: str, extra: str, purpose: str) -> Part:
    """Look for a Python package, without loading it."""
    try:
        return Part(name=name, kind="package", present=True, detail=version(name))
    except PackageNotFoundError:
        detail = f"not installed; needed to {purpose}" if purpose else f"{name} is not installed"
        step = f"pip install 'misstep[{extra}]'"
        return Part(name=name, kind="package", present=False, detail=detail, next_step=step)
