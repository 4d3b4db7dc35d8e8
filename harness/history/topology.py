"""Who is bound to what, as far as it is known: which queues a message goes to.

Learned from what services declare on their links and from what the broker answers when it is asked. What is not known
is said to be so: a guess would make a ledger lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from misstep.harness.brokers.port import Route
from misstep.harness.wire.topics import topic_matches

BUILT_IN = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
}
MATCHED = ("direct", "fanout", "topic")
Routed = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Declared:
    """How a queue was declared, and what may end its life early.

    Attributes:
        service, connection: Who declared it, last.
        durable: Whether it outlives the broker.
        exclusive: Whether it goes with that connection.
        auto_delete: Whether it goes with its last consumer.
        arguments: What it was declared with.
    """

    service: str = ""
    connection: int = 0
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class Topology:
    """The exchanges, queues and bindings that are known now."""

    kinds: dict[str, str] = field(default_factory=lambda: dict(BUILT_IN))
    alternates: dict[str, str] = field(default_factory=dict)
    queues: dict[str, Declared] = field(default_factory=dict)
    routes: dict[str, dict[Route, None]] = field(default_factory=dict)
    complete: bool = False
    _known: dict[tuple[str, str], Routed] = field(default_factory=dict)

    def exchange(self, name: str, kind: str, arguments: Mapping[str, object] | None = None) -> None:
        """Learn that an exchange exists."""
        self.kinds[name] = kind
        alternate = (arguments or {}).get("alternate-exchange")
        if isinstance(alternate, str):
            self.alternates[name] = alternate
        self._known.clear()

    def queue(self, name: str, declared: Declared) -> None:
        """Learn that a queue exists."""
        self.queues[name] = declared
        self._known.clear()

    def bound(self, route: Route) -> None:
        """Learn a binding; its ``kind`` may be empty where the source's kind is known or comes later."""
        if route.kind:
            self.kinds[route.source] = route.kind
        if not route.to_exchange:
            self.queues.setdefault(route.queue, Declared())
        self.routes.setdefault(route.source, {})[_plain(route)] = None
        self._known.clear()

    def unbound(self, route: Route) -> None:
        """Forget a binding."""
        self.routes.get(route.source, {}).pop(_plain(route), None)
        self._known.clear()

    def asked(self, routes: Iterable[Route], queues: Iterable[str]) -> None:
        """Learn all that the broker answered; from then on a queue that is not known does not exist."""
        self.queues = {name: self.queues.get(name, Declared()) for name in queues}
        self.routes = {}
        for route in routes:
            if route.source:
                self.bound(route)
        self.complete = True
        self._known.clear()

    def deleted_queue(self, name: str) -> None:
        """Forget a queue with its bindings."""
        self.queues.pop(name, None)
        for routes in self.routes.values():
            for route in [r for r in routes if r.queue == name and not r.to_exchange]:
                del routes[route]
        self._known.clear()

    def deleted_exchange(self, name: str) -> None:
        """Forget an exchange with its bindings."""
        self.kinds.pop(name, None)
        self.alternates.pop(name, None)
        self.routes.pop(name, None)
        for routes in self.routes.values():
            for route in [r for r in routes if r.queue == name and r.to_exchange]:
                del routes[route]
        self._known.clear()

    def closed(self, service: str, connection: int) -> None:
        """Forget the queues that belonged to a connection alone."""
        for name, queue in list(self.queues.items()):
            if queue.exclusive and (queue.service, queue.connection) == (service, connection):
                self.deleted_queue(name)

    def unconsumed(self, name: str) -> None:
        """Forget a queue that goes with its last consumer, now that this one is gone."""
        if name in self.queues and self.queues[name].auto_delete:
            self.deleted_queue(name)

    def routes_to(self, exchange: str, key: str, headers: Mapping[str, object] | None = None) -> Routed:
        """Return the queues that take a message published to ``exchange`` with ``key``, sorted.

        Args:
            exchange: Where to; empty is the default exchange, where the key is a queue's name.
            key: The routing key.
            headers: The message's headers: ``CC`` and ``BCC`` name further keys.

        Returns:
            None where it is not known: an exchange that nobody declared before us, or of a kind that is not matched.
        """
        further = [str(k) for name in ("CC", "BCC") for k in _texts(headers.get(name))] if headers else []
        routed = self._routed(exchange, key)
        if not further or routed is None:
            return routed
        found = set(routed)
        for other in further:
            found.update(self._routed(exchange, other) or ())
        return tuple(sorted(found))

    def _routed(self, exchange: str, key: str) -> Routed:
        if (exchange, key) not in self._known:
            if len(self._known) > 4096:
                self._known.clear()
            found = self._follow(exchange, key, frozenset())
            self._known[exchange, key] = None if found is None else tuple(sorted(found))
        return self._known[exchange, key]

    def _follow(self, exchange: str, key: str, seen: frozenset[str]) -> set[str] | None:
        if not exchange:
            return {key} if key in self.queues else set() if self.complete else None
        kind = self.kinds.get(exchange)
        if kind not in MATCHED:
            return None
        found: set[str] = set()
        for route in self.routes.get(exchange, {}):
            if not _matches(kind, route.key, key):
                continue
            if not route.to_exchange:
                found.add(route.queue)
            elif route.queue not in seen and route.queue != exchange:
                further = self._follow(route.queue, key, seen | {exchange})
                if further is None:
                    return None
                found |= further
        alternate = self.alternates.get(exchange)
        if not found and alternate and alternate not in seen:
            return self._follow(alternate, key, seen | {exchange})
        return found


def _plain(route: Route) -> Route:
    return Route(route.source, route.queue, route.key, "", route.to_exchange)


def _matches(kind: str, pattern: str, key: str) -> bool:
    if kind == "fanout":
        return True
    return topic_matches(pattern, key) if kind == "topic" else pattern == key


def _texts(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
