"""What stands on a stage already when a run begins, as entries: a warm run's history is complete in itself."""

from __future__ import annotations

from collections.abc import Iterator

from misstep.harness.history import entries
from misstep.harness.history.payload import shown_table
from misstep.harness.history.topology import BUILT_IN, Declared, Topology
from misstep.harness.history.wire_state import Consuming, WireState


def standing(topology: Topology, wire: WireState, at: float) -> Iterator[entries.Entry]:
    """Yield the exchanges, queues, bindings and consumers that are there now."""
    for name, kind in topology.kinds.items():
        if name not in BUILT_IN:
            yield entries.Exchange(at=at, exchange=name, kind=kind)
    for name, declared in topology.queues.items():
        yield queue_entry(at, name, declared)
    for routes in topology.routes.values():
        for route in routes:
            yield entries.Binding(
                at=at, source=route.source, target=route.queue, routing_key=route.key, to_exchange=route.to_exchange
            )
    for consumer in wire.consumers.values():
        yield consumer_entry(at, consumer)


def queue_entry(at: float, name: str, declared: Declared) -> entries.Queue:
    """Return a queue as an entry."""
    return entries.Queue(
        at=at,
        queue=name,
        service=declared.service,
        durable=declared.durable,
        exclusive=declared.exclusive,
        auto_delete=declared.auto_delete,
        arguments=shown_table(declared.arguments),
    )


def consumer_entry(at: float, consumer: Consuming, *, consuming: bool = True) -> entries.Consumer:
    """Return a consumer that began, or ended where not ``consuming``, as an entry."""
    return entries.Consumer(
        at=at,
        service=consumer.service,
        queue=consumer.queue,
        consumer=consumer.consumer,
        auto_ack=consumer.auto_ack,
        prefetch=consumer.prefetch,
        consuming=consuming,
    )
