"""What the tests of faults and of the search stand on, free of sockets and processes.

:class:`Words` is a stage in words: what a fault asks of it is written down, and its clock moves when a test moves it.
:class:`Model` is a choreography in words: a pure function from a plan to a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from misstep.chaos.faults.arm import arm
from misstep.harness.checkers.verdict import Finding, Verdict, overall
from misstep.harness.choreography.words import Choreography, Driver, Effect, Saga, Service
from misstep.harness.disturbance import Disturbance
from misstep.harness.errors import MisstepError
from misstep.harness.history import entries
from misstep.harness.history.entries import Entry
from misstep.harness.history.history import History
from misstep.harness.plan import Fault, Plan
from misstep.harness.runner import Run
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
        services={
            "order": Service(name="order", processes={"main": "order --port {port}"}),
            "payment": Service(
                name="payment", processes={"main": "payment"}, env={"GATEWAY": "{externals.gateway.url}"}
            ),
            "inventory": Service(name="inventory", processes={"main": "inventory"}),
            "shipping": Service(name="shipping", processes={"main": "shipping"}),
        },
        drivers={
            "place_order": Driver(name="place_order", http="POST http://{services.order.address}/orders"),
            "sold_out": Driver(name="sold_out", http="POST http://{services.order.address}/orders"),
        },
        effects={"charge": Effect(name="charge", external="gateway", key="json:order_id")},
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


HAPPY = (
    ("order.placed", "order", "", ("payment",)),
    ("payment.taken", "payment", "order.placed", ("order", "inventory")),
    ("stock.reserved", "inventory", "order.placed/payment.taken", ("shipping", "order")),
    ("order.shipped", "shipping", "order.placed/payment.taken/stock.reserved", ("order",)),
)
SOLD_OUT = (
    *HAPPY[:2],
    ("stock.out", "inventory", "order.placed/payment.taken", ("payment", "order")),
    ("payment.refunded", "payment", "order.placed/payment.taken/stock.out", ("order",)),
)
FLOWS = {"place_order": HAPPY, "sold_out": SOLD_OUT}
"""For each driver: event, publisher, causes, consumers; in the order of the run."""


def flow(driver: str, saga: int = 1, *, prefetch: int = 10) -> list[Entry]:
    """Return what a clean run of a driver leaves in a history."""
    found: list[Entry] = [
        entries.Consumer(at=0.0, service=name, queue=name, consumer=name, prefetch=prefetch) for name in SERVICES
    ]
    found.append(entries.Drove(at=0.0, saga=saga, driver=driver, result="ok", correlation="17"))
    for event, publisher, causes, consumers in FLOWS[driver]:
        message = f"{saga}:{causes}/{event}" if causes else f"{saga}:{event}"
        cause = f"{saga}:{causes}" if causes else ""
        found.append(entries.Published(at=0.0, message=message, event=event, saga=saga, service=publisher, cause=cause))
        for service in consumers:
            number = len(found)
            found.append(
                entries.Delivered(
                    at=0.0, message=message, event=event, saga=saga, queue=service, service=service, delivery=number
                )
            )
            found.append(
                entries.Settled(at=0.0, message=message, queue=service, service=service, delivery=number, outcome="ack")
            )
    return found


Breaks = Callable[[Plan], "str | None"]


@dataclass
class Model:
    """A bench whose runs follow from their plans alone, and a count of what it was asked to run.

    Attributes:
        breaks: The key of what is wrong when a plan is run; None where nothing is.
        never: Faults that never fire.
        warm_only: Keys that show on a warm stage alone.
        errors: Plans that cannot be run.
    """

    breaks: Breaks = lambda plan: None
    never: Callable[[Fault], bool] = lambda fault: False
    warm_only: frozenset[str] = frozenset()
    errors: Callable[[Plan], bool] = lambda plan: False
    asked: list[tuple[Plan, bool]] = field(default_factory=list)
    changing: Iterator[int] | None = None

    async def run(self, plan: Plan, *, clean: Sequence[History] = (), fresh: bool = False) -> Run:
        await asyncio.sleep(0)
        self.asked.append((plan, fresh))
        if self.errors(plan):
            raise MisstepError(f"no stage for {plan.digest}")
        found = [entry for number, drive in enumerate(plan.drives, 1) for entry in flow(drive.driver, number)]
        if self.changing is not None:
            for number in range(next(self.changing)):
                extra = f"1:order.placed/extra#{number}"
                found.append(entries.Published(at=0.0, message=extra, event="extra", saga=1, service="order"))
        for number, fault in enumerate(plan.faults, 1):
            found.append(entries.FaultEvent(at=0.0, number=number, fault=fault, what="armed"))
            if not self.never(fault):
                found.append(entries.FaultEvent(at=0.0, number=number, fault=fault, what="fired"))
        key = self.breaks(plan)
        if fresh and key in self.warm_only:
            key = None
        verdicts = (self._verdict(key),)
        return Run(
            plan=plan,
            history=History(found),
            verdicts=verdicts,
            answer=overall(verdicts),
            stage="model",
            warm=not fresh,
        )

    @staticmethod
    def _verdict(key: str | None) -> Verdict:
        if key is None:
            return Verdict(checker="effects", answer="valid", asked=1)
        wrong = Finding(text=f"{key} happened twice", saga=1, service="payment", key=key)
        return Verdict(checker="effects", answer="invalid", findings=(wrong,), asked=1)


@pytest.fixture
def model() -> type[Model]:
    return Model


@pytest.fixture
def clean_run() -> Callable[..., History]:
    return lambda driver="place_order", **more: History(flow(driver, **more))
