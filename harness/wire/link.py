"""A link: one service's path to a broker, through a proxy that hears each message and lets interceptors answer.

The link is the asyncio shell of a :class:`~misstep.harness.wire.session.Session`: it accepts, dials, reads and writes,
and makes the faults that the session says are due. It runs on the stage's event loop, and all its calls are made
there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from misstep.harness.errors import StageError
from misstep.harness.wire.facts import Fact, Origin, PassedThrough
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Forward, Heard, Interceptor, Kill, Listener, misfit
from misstep.harness.wire.session import Numbers, Session, SessionFactory, Side
from misstep.harness.wire.streams import Path, Upstream

T = TypeVar("T")

DRAIN: Final = 2.0
"""Seconds that the broker has to show, after a fault, that it has read what was sent before."""

SLICE: Final = 1 << 14
"""Bytes that a session gets at once: the other side has the first of many messages while the last are decoded."""

AWAIT: Final = 5.0
"""Seconds that the broker has to confirm a publish that a fault waits for."""


@dataclass(slots=True)
class Counts:
    """What a link has seen.

    Attributes:
        up: Bytes that the service sent.
        down: Bytes that the broker sent.
        facts: Facts that were told.
        not_understood: How many of those say that something passed through undecoded.
        connections: Connections that were accepted.
        refused: Connections that were reset at once, since the link was refusing.
        unreachable: Connections that were reset since the upstream did not answer.
        undrained: Faults after which the broker did not show that it had read what was sent before.
    """

    up: int = 0
    down: int = 0
    facts: int = 0
    not_understood: int = 0
    connections: int = 0
    refused: int = 0
    unreachable: int = 0
    undrained: int = 0


@dataclass(slots=True, eq=False)
class _Wire:
    """One connection of a link: its path and its session.

    Attributes:
        ordinal: Its number on the link.
        path: Its two sockets.
        session: Its session.
        dialling: The task that connects the upstream.
        timer: What happens if the broker does not answer in time.
        feeding: Whether the session is at work, so that its connection cannot be cut under its hands.
        cutting: Whether it is to be cut when that is over.
        ended: Whether a fault ended it; only the broker's end is open then, until it is drained.
    """

    ordinal: int
    path: Path
    session: Session
    dialling: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    feeding: bool = False
    cutting: bool = False
    ended: bool = False


class Link:
    """One service's path to a broker; a :class:`~misstep.harness.wire.interceptor.Control` of itself.

    Attributes:
        service: The service whose link it is.
        host: Where it listens.
        port: The port it listens on, once it is open.
        interceptors: Those who answer facts, in order; may change at any time.
        incarnation: Which start of the service is running; connections keep the one they were opened under.
        counts: What it has seen.
        refusing: Whether new connections are reset at once.
        errors: What went wrong in a listener, an interceptor or here. A run with an error proves nothing.
        last_activity: When a frame that means activity last passed, by the link's clock.
    """

    def __init__(
        self,
        service: str,
        upstream: Upstream,
        session: SessionFactory,
        listener: Listener,
        on_kill: Callable[[str], None],
        *,
        interceptors: Iterable[Interceptor] = (),
        clock: Callable[[], float] = time.monotonic,
        host: str = "127.0.0.1",
    ) -> None:
        self.service = service
        self.host = host
        self.port = 0
        self.interceptors = list(interceptors)
        self.incarnation = 1
        self.counts = Counts()
        self.errors: list[Exception] = []
        self._upstream = upstream
        self._make_session = session
        self._listener = listener
        self._on_kill = on_kill
        self._clock = clock
        self._numbers = Numbers()
        self._server: asyncio.Server | None = None
        self._wires: dict[Path, _Wire] = {}
        self.refusing = False
        self._frozen = False
        self._feeding: _Wire | None = None
        self.last_activity = clock()

    async def open(self) -> None:
        """Listen on a free port.

        Raises:
            OSError: There is none.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Path(self).service, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Reset all connections and listen no more."""
        if self._server is not None:
            self._server.close()
        wires = list(self._wires.values())
        for wire in wires:
            self._forget(wire)
            wire.path.reset()
        await asyncio.gather(*(wire.dialling for wire in wires if wire.dialling), return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    # Control

    def release(self, ticket: str) -> bool:
        """Send on what is held under ``ticket``; False when its connection is gone, so there is nothing to send."""
        released = [
            self._change(wire, partial(wire.session.release, ticket))
            for wire in list(self._wires.values())
            if ticket in wire.session.held()
        ]
        return any(released)

    def inject(self, delivery: int) -> bool:
        """Deliver an artificial copy of an earlier delivery to the same consumer; False when that consumer is gone."""
        return any(self._change(wire, partial(wire.session.inject, delivery)) for wire in list(self._wires.values()))

    def cut(self, connection: int | None = None) -> int:
        """Reset one connection, or all of the link; return how many were open."""
        found = [each for each in self._wires.values() if not each.ended and connection in (None, each.ordinal)]
        for wire in found:
            if wire.feeding:
                wire.cutting = True
            else:
                self._end(wire)
        return len(found)

    def refuse(self, refused: bool) -> None:
        """While refused, new connections are accepted and reset at once, as from a host that is down."""
        self.refusing = refused

    def held(self) -> tuple[str, ...]:
        """Return the tickets that are held now."""
        return tuple(ticket for wire in self._wires.values() for ticket in wire.session.held())

    # What is asked about it

    def pending(self) -> int:
        """Count what is on its way: messages held or waiting, publishes not yet confirmed, bytes not yet written."""
        return sum(wire.session.pending() + bool(wire.path.buffered) for wire in self._wires.values())

    # What the path tells

    def begun(self, path: Path) -> None:
        """Take a new connection of the service."""
        if self.refusing:
            self.counts.refused += 1
            path.reset()
            return
        self.counts.connections += 1
        origin = Origin(self.service, self.counts.connections, 0, self.incarnation)
        session = self._make_session(origin, self._numbers, self._hear, self.errors.append)
        wire = self._wires[path] = _Wire(self.counts.connections, path, session)
        wire.dialling = asyncio.get_running_loop().create_task(self._dial(wire))

    async def _dial(self, wire: _Wire) -> None:
        try:
            await wire.path.dial(self._upstream)
        except OSError:
            if wire.path in self._wires:
                self.counts.unreachable += 1
                wire.path.reset()
                self._lose(wire, "broker")

    def received(self, path: Path, side: Side, data: bytes) -> None:
        """Feed the session what came, and send on what it gives."""
        wire = self._wires.get(path)
        if wire is None:
            return
        session = wire.session
        before = session.stirred
        for at in range(0, len(data), SLICE):
            if path not in self._wires:
                return
            piece = data[at : at + SLICE]
            if side == "service":
                self.counts.up += len(piece)
                if not self._frozen:
                    self._work(wire, partial(session.from_service, piece))
            else:
                self.counts.down += len(piece)
                self._work(wire, partial(session.from_broker, piece))
        if session.stirred != before:
            self.last_activity = self._clock()

    def ended(self, path: Path, side: Side, error: Exception | None) -> None:
        """Note that one end was closed or reset, and do the same to the other."""
        wire = self._wires.get(path)
        if wire is None:
            return
        if side == "service":
            if wire.session.awaited:
                return  # the fault comes once the broker has the publish
            path.broker.close()
        elif error is None:
            path.service.close()
        else:
            path.service.reset()
        self._lose(wire, side)

    # Facts and answers

    def _hear(self, fact: Fact) -> Action:
        """Tell a fact to the listener and the interceptors; return the first answer that counts."""
        self.counts.facts += 1
        if type(fact) is PassedThrough:
            self.counts.not_understood += 1
        try:
            heard = self._listener(fact, self)
        except Exception as error:
            self.errors.append(error)
            return FORWARD
        answer: Action = FORWARD
        for interceptor in tuple(self.interceptors) if self.interceptors else ():
            action = self._answer(interceptor, heard)
            if answer is FORWARD:
                answer = action
        if answer is FORWARD and self._feeding is not None and self._feeding.cutting:
            self._feeding.cutting = False
            return Cut(after=True)
        return answer

    def _answer(self, interceptor: Interceptor, heard: Heard) -> Action:
        try:
            action = interceptor(heard)
        except Exception as error:
            self.errors.append(error)
            return FORWARD
        if isinstance(action, Forward):
            return FORWARD
        problem = misfit(action, heard.fact)
        if problem:
            self.errors.append(StageError(f"interceptor {interceptor!r}: {problem}"))
            return FORWARD
        return action

    def _change(self, wire: _Wire, change: Callable[[], bool]) -> bool:
        """Change something in a session, and send on what comes of it, unless it is at work and will do so itself."""
        return change() if wire.feeding else bool(self._work(wire, change))

    def _work(self, wire: _Wire, work: Callable[[], T]) -> T | None:
        """Let a session work, and send on what it gives; one that fails is in no known state: its connection ends."""
        self._feeding, wire.feeding = wire, True
        try:
            return work()
        except Exception as error:
            self.errors.append(error)
            wire.cutting = True
            return None
        finally:
            self._feeding, wire.feeding = None, False
            self._settle(wire)

    def _settle(self, wire: _Wire) -> None:
        """Send on what a session has given, and make the fault that it says is due."""
        session = wire.session
        wire.path.broker.write(session.take_for_broker())
        if wire.ended:
            session.take_for_service()
            if session.drained:
                self._finish(wire)
            return
        wire.path.service.write(session.take_for_service())
        fault = session.due
        if isinstance(fault, Kill):
            self._kill()
        elif fault is not None or wire.cutting:
            self._end(wire)
        elif session.awaited and wire.timer is None:
            self._frozen = isinstance(session.awaited, Kill)
            wire.timer = asyncio.get_running_loop().call_later(AWAIT, self._unanswered, wire)

    # Faults

    def _unanswered(self, wire: _Wire) -> None:
        wire.timer = None
        fault = wire.session.awaited
        self.errors.append(
            StageError(
                f"{self.service}: the broker did not take a publish within {AWAIT} s, so {fault} could not come after "
                "it; look at the broker's log for an alarm that blocks publishers"
            )
        )
        if isinstance(fault, Kill):
            self._kill()
        else:
            self._end(wire)

    def _kill(self) -> None:
        """Have the service killed before anything else happens, then end all its connections."""
        try:
            self._on_kill(self.service)
        except Exception as error:
            self.errors.append(error)
        self._frozen = False
        for wire in list(self._wires.values()):
            self._end(wire)

    def _end(self, wire: _Wire) -> None:
        """Reset the service's end now, and the broker's once it has read what was sent before."""
        if wire.ended:
            return
        wire.ended, wire.cutting = True, False
        wire.path.service.reset()
        wire.session.end()
        wire.path.broker.write(wire.session.take_for_broker())
        if wire.session.drained:
            self._finish(wire)
            return
        if wire.timer is not None:
            wire.timer.cancel()
        wire.timer = asyncio.get_running_loop().call_later(DRAIN, self._undrained, wire)

    def _undrained(self, wire: _Wire) -> None:
        self.counts.undrained += 1
        self._finish(wire)

    def _finish(self, wire: _Wire) -> None:
        wire.path.reset()
        self._forget(wire)

    def _lose(self, wire: _Wire, side: Side) -> None:
        """Let the session note that one side is gone; a fault that waited for it is made now."""
        awaited = wire.session.awaited
        wire.session.lost(side)
        self._forget(wire)
        if isinstance(awaited, Kill):
            self._kill()
        elif awaited is not None:
            wire.path.reset()

    def _forget(self, wire: _Wire) -> None:
        if wire.timer is not None:
            wire.timer.cancel()
        self._wires.pop(wire.path, None)
