"""A service as it runs: its processes, one incarnation after another."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from misstep.harness.choreography.words import Ready
from misstep.harness.errors import ServiceFailed
from misstep.harness.services.diagnosis import Failure, spawn_text, without_passwords
from misstep.harness.services.guardian import Command, Exit, Guard, Process
from misstep.harness.services.logs import LogWatch, tail
from misstep.harness.services.readiness import Condition, Consumers, Http, Line, Port, wait_for_all
from misstep.harness.services.sockets import Address, Sockets, sockets_of

TAIL_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A service with every template expanded: all that is needed to run it.

    Attributes:
        name: Its name.
        commands: The argument list of each process, by the process's name.
        env: The whole environment. Both may hold secrets and are left out of ``repr``.
        cwd: The working directory.
        ready: When it counts as ready.
        stop_within: Seconds that it may take to end after SIGTERM.
        host: The address that its own port is reached at.
        port: Its own port, which readiness by HTTP or TCP asks; None where it has none.
        links: The address of its link to the broker (named ``broker``) and to each store.
        real: Where broker and stores really are, to notice connections that bypass a link.
    """

    name: str
    commands: Mapping[str, tuple[str, ...]] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    ready: Ready = field(default_factory=Ready)
    stop_within: float = 5.0
    host: str = "127.0.0.1"
    port: int | None = None
    links: Mapping[str, Address] = field(default_factory=dict)
    real: Mapping[str, Collection[Address]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """The end of one process of a service.

    Attributes:
        service: The service's name.
        process: The process's name.
        incarnation: The incarnation that it belonged to.
        exit: How it ended.
        asked: Whether the harness had killed or stopped it.
    """

    service: str
    process: str
    incarnation: int
    exit: Exit
    asked: bool


class RunningService:
    """One service on the stage. It is started, killed, stopped and started again; each start is an incarnation.

    Attributes:
        launch: What is run.
    """

    def __init__(
        self,
        launch: Launch,
        guard: Guard,
        logs: Path,
        *,
        consumers: Callable[[], int] = lambda: 0,
        on_end: Callable[[ProcessEnd], None] = lambda end: None,
    ) -> None:
        """Prepare a service; nothing is started yet.

        Args:
            launch: What to run.
            guard: The guard that its processes run under.
            logs: The folder for ``SERVICE.PROCESS.INCARNATION.log``; it must exist.
            consumers: Counts the consumers that the wire sees on its broker link.
            on_end: Told of each process's end, at once.
        """
        self.launch = launch
        self._guard = guard
        self._logs = logs
        self._consumers = consumers
        self._on_end = on_end
        self._now = _Incarnation(0)
        if (launch.ready.http or launch.ready.tcp) and launch.port is None:
            raise ServiceFailed(
                f"service {launch.name!r} is to be ready by its port, but it has none: expected {{port}} in its "
                "command or environment"
            )

    def __repr__(self) -> str:
        return f"<RunningService {self.launch.name} {self.incarnation} {'runs' if self.running else 'does not run'}>"

    @property
    def incarnation(self) -> int:
        """The number of the last start, from 1; 0 before the first."""
        return self._now.number

    @property
    def running(self) -> bool:
        """Whether it was started and every process of it still runs."""
        return bool(self.processes) and all(process.exited is None for process in self.processes.values())

    @property
    def processes(self) -> Mapping[str, Process]:
        """The processes of the current incarnation, by name; none once it was killed or stopped."""
        return self._now.processes

    async def start(self) -> None:
        """Start the next incarnation and wait until it is ready.

        Raises:
            ServiceFailed: It could not be started, ended, or was not ready in time; nothing of it is left running.
        """
        await self.spawn()
        await self.until_ready()

    async def spawn(self) -> None:
        """Start the processes of the next incarnation, without waiting for readiness.

        Raises:
            ServiceFailed: A command could not be started; nothing of it is left running.
        """
        await self.kill()
        now = self._now = _Incarnation(self.incarnation + 1)
        for name, argv in self.launch.commands.items():
            command = self._command(name, argv)
            try:
                process = await self._guard.spawn(command)
            except OSError as error:
                await self.kill()
                text = (
                    f"service {self.launch.name!r} could not be started: process {name} is {' '.join(argv)!r}\n"
                    f"  likely cure: {spawn_text(command, error)}"
                )
                raise ServiceFailed(without_passwords(text)) from error
            now.processes[name] = process
            now.watchers.append(asyncio.create_task(self._watch(name, process, now)))

    async def until_ready(self) -> None:
        """Wait until the current incarnation is ready.

        Raises:
            ServiceFailed: It ended, or was not ready in time; nothing of it is left running.
        """
        now, unmet = self._now, list(self._conditions())
        waiting = asyncio.create_task(wait_for_all(unmet))
        ended = asyncio.create_task(now.ended.wait())
        try:
            await asyncio.wait((waiting, ended), timeout=self.launch.ready.within, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await self._fail("was ended while it started" if now.asked else "ended before it was ready", unmet)
            if not waiting.done():
                await self._fail(f"was not ready after {self.launch.ready.within:g} s", unmet)
            waiting.result()
        finally:
            waiting.cancel()
            ended.cancel()
            await asyncio.gather(waiting, ended, return_exceptions=True)

    async def kill(self) -> None:
        """Kill all its processes with all that they started (SIGKILL); return when nothing of it is left."""
        now = self._now
        now.asked = True
        await asyncio.gather(*(process.kill() for process in now.processes.values()))
        await now.forget()

    def kill_now(self) -> None:
        """Kill its process groups at once (SIGKILL), without waiting; :meth:`kill` or :meth:`spawn` ends the rest."""
        self._now.asked = True
        self._signal(signal.SIGKILL)

    def freeze(self, frozen: bool) -> None:
        """Suspend its process groups where they stand (SIGSTOP) at once, or let them go on (SIGCONT)."""
        self._signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self.processes.values():
            if process.exited is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    async def stop(self) -> tuple[ProcessEnd, ...]:
        """Ask it to end (SIGTERM), kill what is left after ``stop_within``, and say how each process ended.

        A process that had to be killed ended by SIGKILL.
        """
        now = self._now
        now.asked = True
        processes = dict(now.processes)
        exits = await asyncio.gather(*(process.terminate(self.launch.stop_within) for process in processes.values()))
        await now.forget()
        return tuple(
            ProcessEnd(self.launch.name, name, now.number, found, True)
            for name, found in zip(processes, exits, strict=True)
        )

    async def restart(self) -> None:
        """Kill it and start the next incarnation, ready when this returns.

        Raises:
            ServiceFailed: As :meth:`start` does.
        """
        await self.kill()
        await self.start()

    async def pause(self) -> None:
        """Stop all its processes where they stand (SIGSTOP)."""
        await asyncio.gather(*(process.pause() for process in self.processes.values()))

    async def resume(self) -> None:
        """Let paused processes go on (SIGCONT)."""
        await asyncio.gather(*(process.resume() for process in self.processes.values()))

    async def sockets(self) -> Sockets:
        """Read the TCP sockets of all its processes and what they started."""
        trees = await asyncio.gather(*(process.tree() for process in self.processes.values()))
        return sockets_of(pid for tree in trees for pid in tree)

    def log(self, process: str, incarnation: int | None = None) -> Path:
        """Return the log file of a process in an incarnation; the current one unless told otherwise."""
        number = self.incarnation if incarnation is None else incarnation
        return self._logs / f"{self.launch.name}.{process}.{number}.log"

    def tail(self, lines: int = TAIL_LINES) -> dict[str, list[str]]:
        """Return the last lines of each process's output in the current incarnation, by the log's file name."""
        return {self.log(name).name: tail(self.log(name), lines) for name in self.launch.commands}

    def _command(self, name: str, argv: tuple[str, ...]) -> Command:
        """Describe one process. Python's output is unbuffered: the last lines before a kill -9 are evidence."""
        env = {"PYTHONUNBUFFERED": "1", **self.launch.env}
        return Command(argv, env, self.launch.cwd, self.log(name))

    def _conditions(self) -> Sequence[Condition]:
        """Return what the declaration asks of a ready service."""
        ready, host, port = self.launch.ready, self.launch.host, self.launch.port
        found: list[Condition] = []
        if ready.consumers:
            found.append(Consumers(ready.consumers, self._consumers))
        if ready.log:
            found.append(Line([LogWatch(self.log(name), ready.log) for name in self.launch.commands]))
        if ready.tcp and port is not None:
            found.append(Port(host, port))
        if ready.http and port is not None:
            found.append(Http(host, port, ready.http))
        return found

    async def _watch(self, name: str, process: Process, incarnation: _Incarnation) -> None:
        """Tell of one process's end."""
        try:
            found = await process.wait()
        finally:
            incarnation.ended.set()
        self._on_end(ProcessEnd(self.launch.name, name, incarnation.number, found, incarnation.asked))

    async def _fail(self, what: str, unmet: Sequence[Condition]) -> None:
        """Gather what can be seen, kill what still runs, and raise."""
        launch = self.launch
        seen = await self.sockets() if self.running else None
        exits = {name: process.exited for name, process in self.processes.items()}
        failure = Failure(
            service=launch.name,
            incarnation=self.incarnation,
            what=what,
            unmet=[(condition.awaited, condition.seen) for condition in unmet],
            exits={name: found for name, found in exits.items() if found is not None},
            output=self.tail(),
            sockets=seen,
            port=launch.port,
            links=launch.links,
            real=launch.real,
        )
        await self.kill()
        raise ServiceFailed(str(failure))


@dataclass(slots=True)
class _Incarnation:
    """The processes of one start."""

    number: int
    processes: dict[str, Process] = field(default_factory=dict)
    watchers: list[asyncio.Task[None]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    asked: bool = False

    async def forget(self) -> None:
        """Drop the processes, all of which have ended, once everyone has been told."""
        await asyncio.gather(*self.watchers)
        self.processes.clear()
