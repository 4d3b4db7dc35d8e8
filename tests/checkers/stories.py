"""Small histories of one choreography, told in a few lines, and the choreography itself."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from misstep.harness.checkers.verdict import Case
from misstep.harness.choreography.words import (
    Choreography,
    Driver,
    Effect,
    Probe,
    Saga,
    Service,
    Step,
    View,
)
from misstep.harness.history import entries
from misstep.harness.history.history import History
from misstep.harness.plan import Fault, Site

SAGA = Saga(
    name="order",
    starts="order.placed",
    completes=("order.shipped",),
    fails=("order.cancelled",),
    steps=(Step("payment.taken", "payment.refunded"), Step("stock.reserved", "stock.released")),
)
SERVICES = ("order", "payment", "stock", "shipping")
QUEUES = {
    "order.placed": ("payment",),
    "payment.taken": ("stock",),
    "stock.reserved": ("shipping",),
    "stock.out": ("order",),
    "order.shipped": ("order",),
    "order.cancelled": ("payment",),
    "payment.refunded": (),
}
CRASH = Fault(kind="process.crash", at=Site(moment="ack", service="payment"))
BARE = Choreography(name="bare", folder=Path("."))
WHOLE = replace(
    BARE,
    name="orders",
    services={name: Service(name=name, processes={"main": "run"}) for name in SERVICES},
    drivers={"place": Driver(name="place", http="POST http://localhost/orders")},
    sagas={"order": SAGA},
    effects={"charge": Effect(name="charge", store="payments", sql="select 1, 1")},
    probes={"charges": Probe(name="charges", store="payments", sql="select 1")},
    views={"status": View(name="status", http="GET /", allows=(("pending", "confirmed"), ("confirmed", "shipped")))},
)


@dataclass
class Story:
    """A history in the making; every step takes a millisecond."""

    history: History = field(default_factory=History)
    now: float = 0.0
    numbers: int = 0

    def add(self, kind: type[Any], /, **fields: Any) -> Any:
        self.now += 0.001
        entry = kind(at=self.now, **fields)
        self.history.append(entry)
        return entry

    def stage(self, *, exclusive: tuple[str, ...] = (), dead: tuple[str, ...] = ()) -> Story:
        for name in SERVICES:
            self.add(entries.Process, service=name, what="started")
            arguments = {"x-dead-letter-exchange": "dead"} if name in dead else {}
            self.add(
                entries.Queue, queue=name, service=name, exclusive=name in exclusive, durable=True, arguments=arguments
            )
            self.consumer(name)
            self.add(entries.Process, service=name, what="ready")
        return self

    def consumer(self, name: str, *, consuming: bool = True, **fields: Any) -> None:
        self.add(
            entries.Consumer,
            service=name,
            queue=fields.pop("queue", name),
            consumer=f"{name}-1",
            consuming=consuming,
            **{"prefetch": 1, **fields},
        )

    def drive(self, saga: int = 1, key: str = "A", result: str = "ok") -> None:
        self.add(entries.Drove, saga=saga, driver="place", result=result, correlation=key)

    def publish(self, service: str, event: str, cause: str = "", *, key: str = "A", **fields: Any) -> str:
        saga = fields.pop("saga", 1)
        name = fields.pop("name", "") or (f"{cause}/{event}" if cause else f"{saga}:{event}")
        confirmed = fields.pop("confirmed", True)
        self.add(
            entries.Published,
            message=name,
            event=event,
            saga=saga,
            correlation=key,
            service=service,
            cause=cause,
            cause_kind="inferred" if cause else "driver",
            depth=name.count("/") + 1,
            **{
                "owed": QUEUES.get(event, ()),
                "confirming": True,
                "persistent": True,
                "routing_key": event,
                "exchange": "events",
                **fields,
            },
        )
        if confirmed:
            self.add(entries.Confirmed, message=name, service=service)
        return str(name)

    def deliver(self, service: str, message: str, *, queue: str = "", **fields: Any) -> int:
        self.numbers += 1
        event = message.rpartition("/")[2].partition(":")[2] or message.rpartition("/")[2].partition("#")[0]
        self.add(
            entries.Delivered,
            message=message,
            event=event,
            saga=int(message.partition(":")[0]),
            queue=queue or service,
            service=service,
            delivery=self.numbers,
            **fields,
        )
        return self.numbers

    def settle(self, service: str, message: str, delivery: int, outcome: str = "ack", **fields: Any) -> None:
        queue = fields.pop("queue", service)
        self.add(
            entries.Settled,
            message=message,
            queue=queue,
            service=service,
            delivery=delivery,
            outcome=outcome,
            **fields,
        )

    def react(self, service: str, message: str, *events: str, key: str = "A", saga: int = 1) -> list[str]:
        """Have a service take a message and answer it, as services should: publish, then acknowledge."""
        delivery = self.deliver(service, message)
        sent = [self.publish(service, event, message, key=key, saga=saga) for event in events]
        self.settle(service, message, delivery)
        return sent

    def quiet(self, *moving: str, **queues: int) -> Story:
        self.add(entries.Quiet, quiet=not moving, moving=moving, queues=queues)
        return self

    def measured(self, **counts: int) -> Story:
        self.add(entries.Measured, effect="charge", counts=counts)
        return self

    def probed(self, value: Any, saga: int = 1, error: str = "") -> Story:
        self.add(entries.Probed, probe="charges", saga=saga, value=value, error=error)
        return self

    def fault(self, *what: str, number: int = 1) -> None:
        for change in what:
            self.add(entries.FaultEvent, number=number, fault=CRASH, what=change)


def completed(key: str = "A", **stage: Any) -> Story:
    """A saga that completes, up to but not including quiescence."""
    story = Story().stage(**stage)
    placed = story.publish("order", "order.placed", key=key)
    story.drive(key=key)
    (taken,) = story.react("payment", placed, "payment.taken", key=key)
    (reserved,) = story.react("stock", taken, "stock.reserved", key=key)
    (shipped,) = story.react("shipping", reserved, "order.shipped", key=key)
    story.react("order", shipped)
    return story


def compensated(key: str = "A", *, refund: bool = True) -> Story:
    """A saga that is given up since stock is out, up to but not including quiescence."""
    story = Story().stage()
    placed = story.publish("order", "order.placed", key=key)
    story.drive(key=key)
    (taken,) = story.react("payment", placed, "payment.taken", key=key)
    (out,) = story.react("stock", taken, "stock.out", key=key)
    (cancelled,) = story.react("order", out, "order.cancelled", key=key)
    story.react("payment", cancelled, *(["payment.refunded"] if refund else []), key=key)
    return story


def stalled(*, at: str = "stock") -> Story:
    """A saga whose service ``at`` acknowledges a message and does nothing."""
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    if at == "payment":
        story.react("payment", placed)
        return story
    (taken,) = story.react("payment", placed, "payment.taken")
    story.react("stock", taken)
    return story


def case(story: Story, *clean: Story, choreography: Choreography = WHOLE) -> Case:
    return Case(choreography=choreography, history=story.history, clean=tuple(each.history for each in clean))
