"""How connections are recorded, and the consumers that live and end with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from misstep.harness.history import entries
from misstep.harness.history.deliveries import Deliveries
from misstep.harness.history.held import Held
from misstep.harness.history.publications import Publications
from misstep.harness.history.recording import Recording
from misstep.harness.history.standing import consumer_entry
from misstep.harness.history.wire_state import Consuming
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import Control, Heard


class Connections:
    """Records connections, their consumers, and what passes through them without being understood.

    Args:
        recording: Where to write.
        held: What is kept back, and ends with its connection.
        publications: Told which of theirs ended with a connection.
        deliveries: Told which of theirs ended with a connection.
    """

    def __init__(self, recording: Recording, held: Held, publications: Publications, deliveries: Deliveries) -> None:
        self._recording = recording
        self._held = held
        self._publications = publications
        self._deliveries = deliveries
        self._passed: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Forget what passed through in the last run."""
        self._passed.clear()

    def opened(self, fact: facts.Opened, control: Control) -> Heard:
        """Record a new connection."""
        origin = fact.origin
        self._recording.history.append(
            entries.Connection(
                at=self._recording.clock(),
                service=origin.service,
                connection=origin.connection,
                what="opened",
                text=fact.client,
            )
        )
        return Heard(fact, control)

    def closed(self, fact: facts.Closed, control: Control) -> Heard:
        """Record the end of a connection, or of one channel of it, and of all that it carried."""
        recording, origin, at = self._recording, fact.origin, self._recording.clock()
        self._give_up_held(origin, control)
        self._deliveries.closed(origin)
        ended = recording.wire.closed(origin)
        recording.history.append(
            entries.Connection(
                at=at,
                service=origin.service,
                connection=origin.connection,
                what="channel closed" if origin.channel else "closed",
                by=fact.by,
                code=fact.code,
                text=fact.text,
                clean=fact.clean,
            )
        )
        for consumer in ended:
            self._consumer_ended(at, consumer, "service" if fact.by == "service" else "broker")
        if not origin.channel:
            recording.topology.closed(origin.service, origin.connection)
        return Heard(fact, control)

    def _give_up_held(self, origin: facts.Origin, control: Control) -> None:
        for heard in self._held.given_up(origin, control):
            match heard.fact:
                case facts.Published() as published:
                    self._publications.lost(heard, published)
                case facts.Settled() as settled:
                    self._deliveries.settlement_lost(heard, settled)

    def consuming(self, fact: facts.Consuming, control: Control) -> Heard:
        """Record a new consumer."""
        origin = fact.origin
        consumer = Consuming(
            origin.service,
            origin.connection,
            origin.channel,
            fact.queue,
            fact.consumer,
            fact.auto_ack,
            fact.prefetch,
        )
        self._recording.wire.began(consumer)
        self._recording.history.append(consumer_entry(self._recording.clock(), consumer))
        return Heard(fact, control, queue=fact.queue)

    def cancelled(self, fact: facts.Cancelled, control: Control) -> Heard:
        """Record the end of a consumer whose channel lives on."""
        consumer = self._recording.wire.ended(fact.origin, fact.consumer)
        if consumer is None:
            return Heard(fact, control)
        self._consumer_ended(self._recording.clock(), consumer, fact.by)
        return Heard(fact, control, queue=consumer.queue)

    def _consumer_ended(self, at: float, consumer: Consuming, by: Literal["service", "broker"]) -> None:
        self._recording.history.append(replace(consumer_entry(at, consumer, consuming=False), by=by))
        if not self._recording.wire.consumed(consumer.queue):
            self._recording.topology.unconsumed(consumer.queue)

    def passed_through(self, fact: facts.PassedThrough, control: Control) -> Heard:
        """Record, once for each service and method of a run, what was not understood."""
        recording, origin = self._recording, fact.origin
        if fact.what in ("tx.commit", "tx.rollback"):
            recording.wire.transactions.discard((origin.service, origin.connection, origin.channel))
        if (origin.service, fact.what) not in self._passed:
            self._passed.add((origin.service, fact.what))
            text = f"{fact.what} of {origin.service} passed through, not understood"
            recording.history.append(entries.Note(at=recording.clock(), what="passed through", text=text))
        return Heard(fact, control)
