"""A stage in words only: what a fault asks of it is written down, and its clock moves when a test moves it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from misstep.chaos.faults.arm import arm
from misstep.harness.choreography.words import Choreography, Driver, Saga, Service
from misstep.harness.disturbance import Disturbance
from misstep.harness.plan import Fault
from misstep.harness.wire.facts import Closed, Confirmed, Delivered, Message, Origin, Published, Settled
from misstep.harness.wire.interceptor import Heard

SERVICES = ("order", "payment", "inventory", "shipping")


@dataclass
class Words:
    """A ground, and the control of every link on it, that writes down what it is asked."""

    choreography: Choreography
    asked: list[str] = field(default_factory=list)
    due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    running: set[str] = field(default_factory=lambda: set(SERVICES))
    consumers_gone: bool = False
    time: float = 0.0

    def now(self) -> float:
        return self.time

    def later(self, delay: float, action: Callable[[], None]) -> None:
        self.due.append((self.time + delay, action))

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        ripe, self.due = [a for t, a in self.due if t <= self.time], [(t, a) for t, a in self.due if t > self.time]
        for action in ripe:
            action()

    def link(self, service: str) -> Words:
        self.asked.append(f"link {service}")
        return self

    def store_link(self, service: str, store: str) -> Words:
        return self

    def kill(self, service: str) -> None:
        self.asked.append(f"kill {service}")
        self.running.discard(service)

    async def stop(self, service: str) -> None:
        self.asked.append(f"stop {service}")
        self.running.discard(service)

    async def start(self, service: str) -> None:
        if service not in self.running:
            self.asked.append(f"start {service}")
            self.running.add(service)

    def freeze(self, service: str, frozen: bool) -> None:
        self.asked.append(f"{'freeze' if frozen else 'thaw'} {service}")

    async def crash_broker(self) -> None:
        self.asked.append("crash broker")

    async def restart_broker(self) -> None:
        self.asked.append("restart broker")

    def release(self, ticket: str) -> bool:
        self.asked.append(f"release {ticket.split('/', maxsplit=1)[0]}")
        return True

    def inject(self, delivery: int) -> bool:
        if not self.consumers_gone:
            self.asked.append(f"inject {delivery}")
        return not self.consumers_gone

    def cut(self, connection: int | None = None) -> int:
        self.asked.append("cut")
        return 1

    def refuse(self, refused: bool) -> None:
        self.asked.append(f"refuse {refused}")

    def held(self) -> tuple[str, ...]:
        return ()


@dataclass
class Traffic:
    """Makes what is heard of ``payment``'s link, unless told otherwise."""

    control: Words
    numbers: int = 0

    def _heard(self, fact: Any, event: str, queue: str = "", attempt: int = 0, message: str = "") -> Heard:
        return Heard(fact, self.control, message or f"1:{event}", event, 1, queue, attempt)

    def delivered(
        self,
        event: str,
        service: str = "payment",
        *,
        attempt: int = 1,
        copy: bool = False,
        queue: str = "q",
        **more: Any,
    ) -> Heard:
        self.numbers += 1
        fact = Delivered(Origin(service, 1, 1), self.numbers, queue, Message("x", event, b"{}"), copy=copy, **more)
        return self._heard(fact, event, queue, attempt)

    def settled(self, delivered: Heard, outcome: Any = "ack") -> Heard:
        assert isinstance(delivered.fact, Delivered)
        return replace(delivered, fact=Settled(delivered.fact.origin, delivered.fact.delivery, outcome))

    def acked(self, event: str, service: str = "payment", *, attempt: int = 1, queue: str = "q") -> Heard:
        return self.settled(self.delivered(event, service, attempt=attempt, queue=queue))

    def published(self, event: str, service: str = "payment", *, confirming: bool = True) -> Heard:
        self.numbers += 1
        fact = Published(Origin(service, 1, 1), self.numbers, Message("x", event, b"{}"), confirming=confirming)
        return self._heard(fact, event, attempt=1)

    def confirmed(self, published: Heard) -> Heard:
        assert isinstance(published.fact, Published)
        return replace(published, fact=Confirmed(published.fact.origin, published.fact.publish))

    def closed(self, service: str = "payment", *, by: Any = "misstep") -> Heard:
        return Heard(Closed(Origin(service, 1), by), self.control)


@dataclass
class AtWork:
    """A fault at work, with what it told."""

    words: Words
    told: list[str]
    disturbance: Disturbance


@pytest.fixture
def choreography() -> Choreography:
    return Choreography(
        name="order saga",
        folder=Path("/nowhere"),
        services={name: Service(name=name, processes={"main": name}) for name in SERVICES},
        drivers={"place_order": Driver(name="place_order", publish="order.placed")},
        sagas={"order": Saga(name="order", starts="order.placed", completes=("order.shipped",))},
    )


@pytest.fixture
def words(choreography: Choreography) -> Words:
    return Words(choreography)


@pytest.fixture
def traffic(words: Words) -> Traffic:
    return Traffic(words)


@pytest.fixture
def at_work(words: Words) -> Callable[[Fault], Coroutine[Any, Any, AtWork]]:
    async def start(fault: Fault) -> AtWork:
        told: list[str] = []
        disturbance = arm(fault, words, told.append)
        await disturbance.arm()
        return AtWork(words, told, disturbance)

    return start
