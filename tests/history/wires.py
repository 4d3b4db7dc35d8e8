"""A wire in miniature: facts as a link would tell them, to a real recorder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from misstep.harness.choreography.words import EventRules, Selector
from misstep.harness.history.entries import Entry, Published
from misstep.harness.history.handling import Taught
from misstep.harness.history.history import History
from misstep.harness.history.recorder import Recorder
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import FORWARD, Action, Heard

RULES = EventRules(correlation=Selector("body", "order"))


@dataclass
class Link:
    """A link's control that holds nothing but what it was told to."""

    tickets: list[str] = field(default_factory=list)

    def release(self, ticket: str) -> bool:
        if ticket in self.tickets:
            self.tickets.remove(ticket)
            return True
        return False

    def inject(self, delivery: int) -> bool:
        return True

    def cut(self, connection: int | None = None) -> int:
        return 1

    def refuse(self, refused: bool) -> None:
        return None

    def held(self) -> tuple[str, ...]:
        return tuple(self.tickets)


class Wire:
    """Several services on one exchange, each with a queue of its own name."""

    def __init__(
        self,
        *services: str,
        rules: EventRules = RULES,
        foreign: frozenset[str] = frozenset(),
        taught: Taught | None = None,
    ) -> None:
        self.history = History()
        self.now = 0.0
        self.recorder = Recorder(rules, self.history, self.clock, foreign=foreign, taught=taught)
        self.links = {service: Link() for service in services}
        self.numbers = 0

    def clock(self) -> float:
        self.now += 0.001
        return self.now

    def tell(self, fact: facts.Fact, action: Action = FORWARD) -> Heard:
        heard = self.recorder.heard(fact, self.links.setdefault(fact.origin.service, Link()))
        self.recorder.acted(heard, action)
        return heard

    def declare(self, service: str, *keys: str, exchange: str = "events") -> None:
        origin = facts.Origin(service, 1, 1)
        self.tell(facts.Opened(origin))
        self.tell(facts.DeclaredExchange(origin, exchange, "topic", durable=True))
        self.tell(facts.DeclaredQueue(origin, service, durable=True))
        for key in keys:
            self.tell(facts.Bound(origin, exchange, service, key))
        self.tell(facts.Consuming(origin, service, f"{service}-1", prefetch=1))

    def publish(self, service: str, event: str, order: str = "A", action: Action = FORWARD, **extra: object) -> Heard:
        self.numbers += 1
        fact = facts.Published(
            facts.Origin(service, 1, 1), self.numbers, message(event, order, **extra), confirming=True
        )
        return self.tell(fact, action)

    def confirm(self, heard: Heard, ok: bool = True) -> Heard:
        assert isinstance(heard.fact, facts.Published)
        return self.tell(facts.Confirmed(heard.fact.origin, heard.fact.publish, ok))

    def deliver(
        self,
        service: str,
        published: Heard | facts.Message,
        action: Action = FORWARD,
        *,
        redelivered: bool = False,
        copy: bool = False,
        unsettled: bool = True,
        queue: str = "",
        headers: Mapping[str, object] | None = None,
    ) -> Heard:
        self.numbers += 1
        if isinstance(published, facts.Message):
            sent = published
        else:
            assert isinstance(published.fact, facts.Published | facts.Delivered)
            sent = published.fact.message
        if headers:
            sent = replace(sent, headers={**sent.headers, **headers})
        fact = facts.Delivered(
            facts.Origin(service, 1, 1),
            self.numbers,
            queue or service,
            sent,
            f"{service}-1",
            redelivered=redelivered,
            copy=copy,
            unsettled=unsettled,
        )
        return self.tell(fact, action)

    def settle(
        self, heard: Heard, outcome: facts.Outcome = "ack", *, requeue: bool = False, action: Action = FORWARD
    ) -> Heard:
        assert isinstance(heard.fact, facts.Delivered)
        return self.tell(facts.Settled(heard.fact.origin, heard.fact.delivery, outcome, requeue), action)

    def close(self, service: str, *, clean: bool = True) -> None:
        self.tell(facts.Closed(facts.Origin(service, 1), "service", clean=clean))

    def names(self) -> list[str]:
        return [entry.message for entry in self.history.of(Published)]

    def last(self, kind: type[Entry]) -> Entry:
        return self.history.of(kind)[-1]


def message(event: str, order: str = "A", **extra: object) -> facts.Message:
    """An event as most services send it: its type in the routing key, its business key in the body."""
    properties = {k: v for k, v in extra.items() if k in ("message_id", "correlation_id", "type")}
    headers = extra.get("headers", {})
    body = {"order": order, **{k: v for k, v in extra.items() if k not in (*properties, "headers")}}
    assert isinstance(headers, dict)
    return facts.Message("events", event, json.dumps(body).encode(), properties, headers)
