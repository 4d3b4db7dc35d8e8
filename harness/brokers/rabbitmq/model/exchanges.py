"""Exchanges and bindings, and which bindings a routing key takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from misstep.harness.brokers.rabbitmq.model.tables import Table
from misstep.harness.wire.topics import topic_matches

KINDS = ("direct", "fanout", "topic")
"""The kinds of exchange that are modelled."""

PREDECLARED = {"": "direct", "amq.direct": "direct", "amq.fanout": "fanout", "amq.topic": "topic"}
"""The exchanges that every virtual host has from the start."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of an exchange.

    Attributes:
        source: The exchange it leaves.
        destination: The queue or exchange it reaches.
        to: Which of both.
        routing_key: The binding key.
        arguments: What it was declared with; compared when it is declared or removed, never matched.
        durable: Whether both ends outlive a crash.
    """

    source: str
    destination: str
    to: Literal["queue", "exchange"]
    routing_key: str
    arguments: Mapping[str, object] = field(default_factory=dict, hash=False)
    durable: bool = True


@dataclass(slots=True)
class Exchange:
    """An exchange and the bindings that leave it.

    Attributes:
        name: Its name.
        kind: One of :data:`KINDS`.
        durable: Whether it outlives a crash.
        auto_delete: Whether it goes with the last binding that leaves it.
        internal: Whether clients may not publish to it.
        arguments: What it was declared with.
        bindings: What leaves it, in the order of declaration.
    """

    name: str
    kind: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Table = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)

    @property
    def alternate(self) -> str | None:
        """The exchange that gets what no binding takes; None where that is dropped."""
        asked = self.arguments.get("alternate-exchange")
        return str(asked.value) if asked is not None else None

    def matching(self, routing_key: str) -> Iterator[Binding]:
        """Yield the bindings that a message with this routing key takes."""
        if self.kind == "fanout":
            yield from self.bindings
        elif self.kind == "topic":
            yield from (binding for binding in self.bindings if topic_matches(binding.routing_key, routing_key))
        else:
            yield from (binding for binding in self.bindings if binding.routing_key == routing_key)
