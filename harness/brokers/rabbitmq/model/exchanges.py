"""Exchanges and bindings, and which bindings a routing key takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from misstep.harness.brokers.rabbitmq.model.tables import Table

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
            words = words_of(routing_key)
            yield from (binding for binding in self.bindings if topic_matches(binding.routing_key, words))
        else:
            yield from (binding for binding in self.bindings if binding.routing_key == routing_key)


def words_of(key: str) -> tuple[str, ...]:
    """Return the words of a topic key; an empty key has none, as in RabbitMQ."""
    return tuple(key.split(".")) if key else ()


@lru_cache(maxsize=8192)
def topic_matches(pattern: str, words: tuple[str, ...]) -> bool:
    """Return whether a topic pattern matches: ``*`` is one word, ``#`` any number of words, none included."""
    reachable = {0}
    for part in words_of(pattern):
        if part == "#":
            reachable = set(range(min(reachable), len(words) + 1)) if reachable else set()
        else:
            reachable = {at + 1 for at in reachable if at < len(words) and part in ("*", words[at])}
    return len(words) in reachable
