"""The harness's side of the guard: start processes under it, wait for them, and end them with all they started.

::

    async with Guard() as guard:
        process = await guard.spawn(Command(("sleep", "60"), env=dict(os.environ), cwd=folder, log=folder / "log"))
        ...
        await process.kill()

A ``Guard`` belongs to the event loop that it is used on. Its process starts with the first ``spawn``, and whatever
it started ends with it: at the end of the ``async with``, or when the harness is gone for any reason.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from misstep.harness.errors import PartMissing, StageError

PROGRAM = Path(__file__).with_name("guard.py")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start.

    Attributes:
        argv: The program and its arguments; a program without a slash is looked up in the PATH of ``env``.
        env: The whole environment. Both may hold secrets and are left out of ``repr``.
        cwd: The working directory.
        log: The file that standard output and standard error are appended to.
        user: The user to run as, with that user's groups (root may choose); None for the harness's own.
    """

    argv: tuple[str, ...] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    log: Path
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: exactly one of the two is given.

    Attributes:
        code: The exit status.
        signal: The number of the signal that killed it.
    """

    code: int | None
    signal: int | None

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with status {self.code}"
        try:
            return f"was killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"was killed by signal {self.signal}"


class Process:
    """A process under the guard, with everything that descends from it (its tree)."""

    def __init__(self, guard: Guard, name: str, command: Command, pid: int, ended: asyncio.Future[Exit]) -> None:
        self.command = command
        self.pid = pid
        self._guard = guard
        self._name = name
        self._ended = ended

    def __repr__(self) -> str:
        return f"<Process {self.pid} {self.command.argv[0]!r} {self.exited or 'runs'}>"

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return self.command.log

    @property
    def exited(self) -> Exit | None:
        """How it ended, or None while it runs."""
        if not self._ended.done() or self._ended.exception() is not None:
            return None
        return self._ended.result()

    async def wait(self) -> Exit:
        """Wait for its end; what it started may still run.

        Raises:
            StageError: The guard ended before it.
        """
        return await asyncio.shield(self._ended)

    async def ends_within(self, seconds: float) -> bool:
        """Wait for its end, but no longer than some seconds; say whether it ended."""
        await asyncio.wait([self._ended], timeout=seconds)
        return self._ended.done()

    async def signal(self, number: int, *, to: str = "group") -> list[int]:
        """Send a signal to its process ``group``, or to its whole ``tree``, and return the pids met."""
        return await self._guard.request("signal", self._name, signal=int(number), to=to)

    async def pause(self) -> None:
        """Stop the whole tree where it stands (SIGSTOP)."""
        await self.signal(signal.SIGSTOP, to="tree")

    async def resume(self) -> None:
        """Let a paused tree go on (SIGCONT)."""
        await self.signal(signal.SIGCONT, to="tree")

    async def tree(self) -> list[int]:
        """Return the pids of all living processes of its tree, its own first."""
        return await self._guard.request("tree", self._name)

    async def kill(self) -> Exit:
        """Kill the whole tree (SIGKILL), daemonised children too, and return when nothing of it is left."""
        await self._guard.request("end", self._name)
        return await self.wait()

    async def terminate(self, grace: float) -> Exit:
        """Ask the process group to end (SIGTERM), and kill what is left of the tree afterwards.

        Args:
            grace: Seconds that it may take before it is killed.
        """
        if self.exited is None:
            await self.signal(signal.SIGTERM)
            await self.resume()
            await self.ends_within(grace)
        return await self.kill()


class Guard:
    """The guard process, seen from the harness."""

    def __init__(self) -> None:
        self.pid: int | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._channel: _Channel | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    @classmethod
    @asynccontextmanager
    async def start(cls) -> AsyncIterator[Self]:
        """Start a guard at once, and end it with all that is under it at the end of the ``async with``."""
        async with cls() as guard:
            await guard._running()
            yield guard

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def spawn(self, command: Command) -> Process:
        """Start a process.

        Raises:
            OSError: It could not be started: of the subclass, errno and file name that ``exec`` gave.
            StageError: The guard ended.
            PartMissing: This is not Linux.
        """
        channel = await self._running()
        name = str(next(self._names))
        started, ended = channel.expect(name)
        channel.send(
            do="spawn",
            id=name,
            argv=list(command.argv),
            env=dict(command.env),
            cwd=str(command.cwd),
            log=str(command.log),
            user=command.user,
        )
        try:
            pid = await asyncio.shield(started)
        except asyncio.CancelledError:
            channel.send(do="end", id=name, request=0)
            raise
        return Process(self, name, command, pid, ended)

    async def adopt(self, folder: Path) -> None:
        """Have a folder removed, with everything in it, when the guard ends, however the harness may end.

        Raises:
            StageError: The guard ended.
        """
        channel = await self._running()
        channel.send(do="adopt", folder=str(folder))

    @property
    def closed(self) -> bool:
        """Whether it was closed, so that nothing under it is left."""
        return self._closed

    async def request(self, what: str, name: str, **more: object) -> list[int]:
        """Ask the guard something about one process; its answer is a list of pids."""
        channel = await self._running()
        return await channel.ask(do=what, id=name, **more)

    async def close(self) -> None:
        """End the guard and everything under it; return when all of it is gone."""
        self._closed = True
        channel, program = self._channel, self._program
        if channel is None or program is None:
            return
        channel.close()
        await channel.lost
        await asyncio.to_thread(program.wait)
        self._channel = self._program = self.pid = None

    async def _running(self) -> _Channel:
        """Return the channel to the guard, which is started first where it does not run yet."""
        async with self._starting:
            if self._closed:
                raise StageError("the guard is closed: nothing can be started or asked under it any more")
            return self._channel or await self._start()

    async def _start(self) -> _Channel:
        """Start the guard program with one end of a socket pair, and wait until it is ready."""
        if sys.platform != "linux":
            raise PartMissing(
                f"services cannot be run on {sys.platform!r}: misstep starts and ends processes on Linux only. "
                "Run it in a Linux container or virtual machine."
            )
        ours, theirs = socket.socketpair()
        with theirs:
            self._program = _launch(theirs)
        _, self._channel = await asyncio.get_running_loop().create_unix_connection(_Channel, sock=ours)
        self.pid = await self._channel.ready
        return self._channel


def _launch(channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the guard program in a session of its own, on its end of the channel."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROGRAM), str(channel.fileno()), str(os.getpid())],
        pass_fds=[channel.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


class _Channel(asyncio.Protocol):
    """JSON lines to and from the guard: what was asked, and who waits for it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.loop = loop
        self.ready: asyncio.Future[int] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport
        self._numbers = itertools.count(1)
        self._incoming = bytearray()
        self._starts: dict[str, asyncio.Future[int]] = {}
        self._ends: dict[str, asyncio.Future[Exit]] = {}
        self._answers: dict[int, asyncio.Future[list[int]]] = {}
        self._trace = ""

    def expect(self, name: str) -> tuple[asyncio.Future[int], asyncio.Future[Exit]]:
        """Return the futures of a process's pid and of its end."""
        self._starts[name] = self.loop.create_future()
        self._ends[name] = self.loop.create_future()
        return self._starts[name], self._ends[name]

    async def ask(self, **request: object) -> list[int]:
        """Send a numbered request and wait for its answer."""
        number = next(self._numbers)
        self._answers[number] = self.loop.create_future()
        self.send(request=number, **request)
        return await self._answers[number]

    def send(self, **request: object) -> None:
        """Send one request."""
        if self.lost.done():
            raise self._error()
        self._transport.write(json.dumps(request).encode() + b"\n")

    def close(self) -> None:
        """Order the guard to end everything, by an end of file; it closes its own end when it has."""
        if not self.lost.done():
            self._transport.write_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by type

    def data_received(self, data: bytes) -> None:
        """Take every full line as an event."""
        self._incoming += data
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        for line in lines:
            self._take(json.loads(line))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everyone who still waits that the guard is gone."""
        self.lost.set_result(None)
        waiting: tuple[asyncio.Future[Any], ...] = (
            self.ready,
            *self._starts.values(),
            *self._ends.values(),
            *self._answers.values(),
        )
        for future in waiting:
            if not future.done():
                future.set_exception(self._error())
                future.exception()  # nobody need wait for it: asyncio shall not complain

    def _error(self) -> StageError:
        trace = f":\n{self._trace}" if self._trace else " (killed, or closed)"
        return StageError(f"the guard process ended, and all services, brokers and stores under it{trace}")

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "ready":
                _give(self.ready, event["pid"])
            case "started":
                _give(self._starts.pop(event["id"]), event["pid"])
            case "failed":
                self._ends.pop(event["id"])
                future = self._starts.pop(event["id"])
                if not future.done():
                    text = event.get("detail") or os.strerror(event["errno"])
                    future.set_exception(OSError(event["errno"], text, event["file"]))
            case "exited":
                _give(self._ends.pop(event["id"]), Exit(event["code"], event["signal"]))
            case "answer":
                waiting = self._answers.pop(event["request"], None)
                if waiting is not None:
                    _give(waiting, event["pids"])
            case "fault":
                self._trace = event["trace"]


def _give(future: asyncio.Future[T], value: T) -> None:
    """Answer a future whose waiter may have been cancelled."""
    if not future.done():
        future.set_result(value)
