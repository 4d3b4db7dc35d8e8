"""Is anything left to happen? Judged from what the broker says, what the links have seen, and what clean runs taught.

A run is quiet when nothing moves, and has not for as long as a service may fall silent before it wakes up by itself.

What moves:

* a message ready in a queue that a service consumes, or consumed and may come back to, since it is up,
* a delivery that a service has not settled, a publication that waits for its confirm, a transaction that is open,
* a message in a queue whose time to live moves it on to a dead-letter target before the deadline,
* a row in an outbox, and whatever the stage itself has pending: drivers, external calls, timers of faults.

What does not: a queue without a consumer and without such a timer is parked. What misstep itself holds back (a
delivery, a settlement, a service that is down or frozen by a fault) is not the system's to move, and waits for the
fault to heal.

How long silence must last: a service that only ever publishes *before* it settles is done when all is settled; one
that publishes later, such as an outbox relay on a timer, or that acknowledges first and works then, may be silent for
three times the longest gap that clean runs showed, and 50 ms. While a saga has not ended, and in the first clean run,
which has nothing to learn from, silence lasts as long as ``[quiet] silence`` says: a verdict of "it never ended" must
be sure. A relay that is slower than that must be declared there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from misstep.harness.brokers.port import QueueState
from misstep.harness.history.entries import Delivered, Drove, Published, Settled
from misstep.harness.history.history import History
from misstep.harness.history.wire_state import Outstanding, WireState

FACTOR: Final = 3.0
"""How much longer than in clean runs a service may be silent."""
MARGIN: Final = 0.05
"""Seconds on top of that."""
FLOOR: Final = 0.05
"""Seconds of silence that are always waited for: what has left a link may not have reached the broker's own counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long services may fall silent.

    Attributes:
        default: Seconds, where nothing was learned, and while a saga has not ended.
        gaps: The longest pause, in seconds, after which each service published something by itself in clean runs; 0
            for one that never did.
    """

    default: float = 1.0
    gaps: Mapping[str, float] = field(default_factory=dict)

    def of(self, service: str) -> float:
        """Return how long a service may be silent after it was given something to react to."""
        gap = self.gaps.get(service)
        if gap is None:
            return self.default
        return FACTOR * gap + MARGIN if gap else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """The facts of one moment.

    Attributes:
        now: When, in seconds since the run began; the clock of the wire state's times, too.
        deadline: When waiting ends.
        queues: What the broker says of each queue.
        wire: What the links know.
        able: The services that can act: up, not frozen, not cut off by a fault.
        pending: What the stage has pending itself, a line each: drivers, external calls, timers.
        outboxes: Rows still to be published, by store.
        open_sagas: How many sagas have started and not ended; where none are declared, 0.
    """

    now: float
    deadline: float
    queues: tuple[QueueState, ...]
    wire: WireState
    able: frozenset[str]
    pending: tuple[str, ...] = ()
    outboxes: Mapping[str, int] = field(default_factory=dict)
    open_sagas: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stillness:
    """Whether a moment is quiet.

    Attributes:
        quiet: Whether nothing is left to happen.
        moving: What moves, a line each; empty where only silence is still waited for.
        asked: Seconds of silence that are asked for.
        wait: Seconds to wait before it can be quiet, if nothing happens meanwhile; 0 where something moves.
    """

    quiet: bool
    moving: tuple[str, ...] = ()
    asked: float = 0.0
    wait: float = 0.0


def judge(moving: Moving, silence: Silence) -> Stillness:
    """Judge one moment."""
    lines = (*_busy_queues(moving), *_outstanding(moving), *_elsewhere(moving))
    if lines:
        return Stillness(quiet=False, moving=lines)
    until, asked = _until(moving, silence)
    wait = max(0.0, until - moving.now)
    return Stillness(quiet=not wait, asked=asked, wait=wait)


def learn(histories: Iterable[History], *, default: float) -> Silence:
    """Learn from fault-free runs how long each service may fall silent before it publishes by itself.

    Args:
        histories: Of clean runs.
        default: Seconds where nothing was learned.
    """
    gaps: dict[str, float] = {}
    for history in histories:
        for service, gap in _gaps(history):
            gaps[service] = max(gaps.get(service, 0.0), gap)
    return Silence(default=default, gaps=gaps)


def _gaps(history: History) -> Iterator[tuple[str, float]]:
    """Yield the pause before each publication that was made with no delivery unsettled, and 0 for all others."""
    working: dict[str, set[int]] = {}
    stirred: dict[str, float] = {}
    driven: float | None = None
    for entry in history:
        match entry:
            case Drove():
                driven = entry.at
            case Delivered():
                stirred[entry.service] = entry.at
                if entry.unsettled:
                    working.setdefault(entry.service, set()).add(entry.delivery)
                yield entry.service, 0.0
            case Settled():
                stirred[entry.service] = entry.at
                working.get(entry.service, set()).discard(entry.delivery)
            case Published() if entry.service and entry.saga:
                since = max((at for at in (stirred.get(entry.service), driven) if at is not None), default=None)
                alone = not working.get(entry.service) and since is not None
                stirred[entry.service] = entry.at
                yield entry.service, entry.at - since if alone and since is not None else 0.0


def _busy_queues(moving: Moving) -> Iterator[str]:
    wire = moving.wire
    for state in moving.queues:
        consumers = {consumer.service for consumer in wire.consumers.values() if consumer.queue == state.name}
        had = wire.had_consumers.get(state.name, set())
        ready = max(state.ready, wire.backlog[state.name])
        if ready and (state.consumers or consumers) and _can_take(moving, state.name, consumers):
            yield f"{_count(ready, 'message')} ready in queue {state.name}, consumed by {_names(consumers)}"
        elif ready and not (state.consumers or consumers) and had & moving.able:
            yield f"{_count(ready, 'message')} ready in queue {state.name}, whose consumer ({_names(had)}) is gone"
        known = sum(1 for item in wire.unsettled_in(state.name) if not item.copy)
        if state.unacked is not None and state.unacked > known:
            number = _count(state.unacked - known, "delivery")
            yield f"{number} unsettled in queue {state.name}, by nobody on a link"
        if state.ttl_due is not None and state.dead_letters and moving.now + state.ttl_due <= moving.deadline:
            yield f"a message in queue {state.name} moves on in {state.ttl_due:.1f} s"
    seen = {state.name for state in moving.queues}
    for queue, count in wire.backlog.items():
        if count > 0 and queue not in seen and wire.consumed(queue):
            yield f"{_count(count, 'message')} ready in exclusive queue {queue}"


def _can_take(moving: Moving, queue: str, services: set[str]) -> bool:
    """Say whether a consumer of a queue is free to act: not stopped by misstep, nor its window filled by it."""
    if not services:
        return True  # Someone past our links.
    wire = moving.wire
    for consumer in wire.consumers.values():
        if consumer.queue != queue or consumer.service not in moving.able:
            continue
        here = (consumer.service, consumer.connection, consumer.channel)
        withheld = sum(
            1
            for item in wire.unsettled_in(queue)
            if item.withheld and (item.service, item.connection, item.channel) == here
        )
        if not consumer.prefetch or withheld < consumer.prefetch:
            return True
    return False


def _outstanding(moving: Moving) -> Iterator[str]:
    for item in moving.wire.unsettled.values():
        if not item.withheld and item.service in moving.able:
            yield f"{item.message or 'a message'} unsettled by {item.service}, from queue {item.queue}{_again(item)}"
    for item in moving.wire.unconfirmed.values():
        if not item.withheld and item.service in moving.able:
            yield f"{item.message or 'a message'} from {item.service} not confirmed by the broker"
    for service in sorted({where[0] for where in moving.wire.transactions} & moving.able):
        yield f"a transaction of {service} with the broker is open"


def _elsewhere(moving: Moving) -> Iterator[str]:
    yield from moving.pending
    for store, rows in moving.outboxes.items():
        if rows:
            yield f"{_count(rows, 'row')} in the outbox of store {store}"


def _until(moving: Moving, silence: Silence) -> tuple[float, float]:
    """Return until when silence must last, and how long that is at the most."""
    wire = moving.wire
    last = max(wire.active.values(), default=0.0)
    asked = [(last, FLOOR)]
    if moving.open_sagas or not silence.gaps:
        asked.append((last, silence.default))
    asked += [(at, silence.of(service)) for service, at in wire.stimulated.items() if service in moving.able]
    return max(at + length for at, length in asked), max(length for _, length in asked)


def _again(item: Outstanding) -> str:
    return f" (delivery {item.attempt})" if item.attempt > 1 else ""


def _count(number: int, what: str) -> str:
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{number} {what if number == 1 else plural}"


def _names(services: Iterable[str]) -> str:
    return ", ".join(sorted(services)) or "somebody past our links"
