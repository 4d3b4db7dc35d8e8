"""How declarations are recorded: exchanges, queues and bindings, heard on a link or answered by the broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from misstep.harness.brokers.port import Route
from misstep.harness.history import entries
from misstep.harness.history.recording import Recording
from misstep.harness.history.standing import queue_entry
from misstep.harness.history.topology import Declared
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import Control, Heard


class Declarations:
    """Records how the topology came to be what it is.

    Args:
        recording: Where to write.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def asked(self, routes: Iterable[Route], queues: Iterable[str]) -> None:
        """Learn the bindings and queues that the broker answered; what was not heard on a link is recorded now."""
        recording, topology = self._recording, self._recording.topology
        known_queues = set(topology.queues)
        known_routes = {route for all_ in topology.routes.values() for route in all_}
        topology.asked(routes, queues)
        at = recording.clock()
        for name, declared in topology.queues.items():
            if name not in known_queues:
                recording.history.append(queue_entry(at, name, declared))
        for route in [route for all_ in topology.routes.values() for route in all_]:
            if route not in known_routes:
                recording.history.append(_binding(at, "", route))

    def exchange(self, fact: facts.DeclaredExchange, control: Control) -> Heard:
        """Record an exchange."""
        self._recording.topology.exchange(fact.exchange, fact.kind, fact.arguments)
        self._recording.history.append(
            entries.Exchange(
                at=self._recording.clock(),
                exchange=fact.exchange,
                kind=fact.kind,
                service=fact.origin.service,
                durable=fact.durable,
            )
        )
        return Heard(fact, control)

    def queue(self, fact: facts.DeclaredQueue, control: Control) -> Heard:
        """Record a queue."""
        declared = Declared(
            fact.origin.service,
            fact.origin.connection,
            fact.durable,
            fact.exclusive,
            fact.auto_delete,
            fact.arguments,
        )
        self._recording.topology.queue(fact.queue, declared)
        self._recording.history.append(queue_entry(self._recording.clock(), fact.queue, declared))
        return Heard(fact, control, queue=fact.queue)

    def bound(self, fact: facts.Bound, control: Control) -> Heard:
        """Record a binding, or that it was taken away."""
        route = Route(fact.source, fact.target, fact.routing_key, "", fact.to_exchange)
        if fact.bound:
            self._recording.topology.bound(route)
        else:
            self._recording.topology.unbound(route)
        entry = _binding(self._recording.clock(), fact.origin.service, route)
        self._recording.history.append(entry if fact.bound else replace(entry, bound=False))
        return Heard(fact, control)

    def deleted(self, fact: facts.Deleted, control: Control) -> Heard:
        """Record that a queue or an exchange was deleted, or a queue purged."""
        recording = self._recording
        if fact.what == "queue":
            recording.topology.deleted_queue(fact.name)
        elif fact.what == "exchange":
            recording.topology.deleted_exchange(fact.name)
        recording.wire.backlog.pop(fact.name, None)
        what = "purged queue" if fact.what == "purge" else f"deleted {fact.what}"
        text = f"{fact.origin.service} {what} {fact.name}"
        recording.history.append(entries.Note(at=recording.clock(), what="deleted", text=text))
        return Heard(fact, control)


def _binding(at: float, service: str, route: Route) -> entries.Binding:
    return entries.Binding(
        at=at,
        source=route.source,
        target=route.queue,
        routing_key=route.key,
        service=service,
        to_exchange=route.to_exchange,
    )
