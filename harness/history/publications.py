"""How publications are recorded: sent, taken or refused by the broker, given back, or lost on the way."""

from __future__ import annotations

from typing import Final

from misstep.harness.history import entries
from misstep.harness.history.handling import Known
from misstep.harness.history.held import Held, stops
from misstep.harness.history.payload import shown_body, shown_table
from misstep.harness.history.recording import Recording
from misstep.harness.history.wire_state import Outstanding
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import Action, Control, Heard, Hold, Replace

MOST_PUBLISHES: Final = 4096
"""How many publications without a confirm are remembered, for a return that may name them."""


class Publications:
    """Records what services and drivers publish, and what became of it.

    Args:
        recording: Where to write.
        held: What is kept back.
    """

    def __init__(self, recording: Recording, held: Held) -> None:
        self._recording = recording
        self._held = held
        self._waiting: dict[tuple[str, int], tuple[Known, int]] = {}

    def begin(self) -> None:
        """Forget the last run's publications."""
        self._waiting.clear()

    def published(self, fact: facts.Published, control: Control) -> Heard:
        """Name a publication of a service and write it down."""
        recording, origin, message = self._recording, fact.origin, fact.message
        wire, topology = recording.wire, recording.topology
        owed = topology.routes_to(message.exchange, message.routing_key, message.headers)
        known = recording.causes.published(origin.service, message, owed[0] if owed else "")
        key = origin.service, fact.publish
        self._remember(key, known)
        if fact.confirming:
            wire.unconfirmed[key] = Outstanding(
                origin.service, origin.connection, origin.channel, fact.publish, known.name, attempt=known.sent
            )
        if fact.transactional:
            wire.transactions.add((origin.service, origin.connection, origin.channel))
        for queue in owed or ():
            if topology.queues[queue].exclusive:
                wire.backlog[queue] += 1
        recording.history.append(_entry(recording.clock(), fact, known, owed))
        wire.stirred(origin.service, recording.clock(), stimulus=True)
        return Heard(fact, control, known.name, known.event, known.saga, attempt=known.sent)

    def _remember(self, key: tuple[str, int], known: Known) -> None:
        self._waiting[key] = known, known.sent
        if len(self._waiting) > MOST_PUBLISHES:
            del self._waiting[next(iter(self._waiting))]

    def acted(self, heard: Heard, fact: facts.Published, action: Action) -> None:
        """Record what became of a publication, once it is decided."""
        if isinstance(action, Hold):
            self._held.keep(heard, action.ticket)
            self._recording.wire.withhold_publish(fact.origin.service, fact.publish)
        elif isinstance(action, Replace) and isinstance(action.fact, facts.Published):
            known, _ = self._waiting[fact.origin.service, fact.publish]
            self._recording.causes.replaced(known, action.fact.message)
        elif stops(action):
            self.lost(heard, fact)

    def released(self, fact: facts.Published) -> None:
        """Note that a publication that was held is on its way to the broker."""
        self._recording.wire.withhold_publish(fact.origin.service, fact.publish, withheld=False)

    def lost(self, heard: Heard, fact: facts.Published) -> None:
        """Record that a publication never reached the broker."""
        recording, service, message = self._recording, fact.origin.service, fact.message
        backlog = recording.wire.backlog
        recording.wire.unconfirmed.pop((service, fact.publish), None)
        known, _ = self._waiting.pop((service, fact.publish), (None, 0))
        if known is not None:
            recording.causes.lost(known)
        for queue in recording.topology.routes_to(message.exchange, message.routing_key, message.headers) or ():
            backlog[queue] -= backlog[queue] > 0
        recording.history.append(entries.Lost(at=recording.clock(), message=heard.message, service=service))

    def confirmed(self, fact: facts.Confirmed, control: Control) -> Heard:
        """Record that the broker took a publication, or refused it."""
        recording, service = self._recording, fact.origin.service
        recording.wire.unconfirmed.pop((service, fact.publish), None)
        known, attempt = self._waiting.pop((service, fact.publish), (None, 0))
        recording.wire.stirred(service, recording.clock(), stimulus=True)
        if known is None:
            return Heard(fact, control)
        if not fact.ok:
            recording.causes.lost(known)
        recording.history.append(
            entries.Confirmed(at=recording.clock(), message=known.name, service=service, ok=fact.ok)
        )
        return Heard(fact, control, known.name, known.event, known.saga, attempt=attempt)

    def returned(self, fact: facts.Returned, control: Control) -> Heard:
        """Record that the broker gave a publication back, since no queue took it."""
        recording, service = self._recording, fact.origin.service
        known = self._waiting.get((service, fact.publish), (None, 0))[0] if fact.publish is not None else None
        known = known or recording.causes.sent(fact.message)
        if known is None:
            return Heard(fact, control)
        recording.causes.lost(known)
        recording.history.append(
            entries.Returned(at=recording.clock(), message=known.name, service=service, reason=fact.reason)
        )
        return Heard(fact, control, known.name, known.event, known.saga)

    def published_by_driver(self, saga: int, message: facts.Message) -> str:
        """Record what a driver publishes to the broker itself, before it does; return the message's name."""
        recording = self._recording
        owed = recording.topology.routes_to(message.exchange, message.routing_key, message.headers)
        known = recording.causes.published_by_driver(saga, message, owed[0] if owed else "")
        fact = facts.Published(facts.Origin("", 0), 0, message, confirming=True, persistent=True)
        recording.history.append(_entry(recording.clock(), fact, known, owed))
        return known.name

    def confirmed_to_driver(self, message: str, ok: bool) -> None:
        """Record that the broker took what a driver published, or refused it."""
        self._recording.history.append(entries.Confirmed(at=self._recording.clock(), message=message, ok=ok))


def _entry(at: float, fact: facts.Published, known: Known, owed: tuple[str, ...] | None) -> entries.Published:
    message = fact.message
    return entries.Published(
        at=at,
        message=known.name,
        event=known.event,
        saga=known.saga,
        correlation=known.correlation,
        service=fact.origin.service,
        cause=known.parent.name if known.parent else "",
        cause_kind=known.cause_kind,
        depth=known.depth,
        owed=owed,
        exchange=message.exchange,
        routing_key=message.routing_key,
        id=known.id,
        confirming=fact.confirming,
        mandatory=fact.mandatory,
        persistent=fact.persistent,
        transactional=fact.transactional,
        headers=shown_table(message.headers),
        properties=shown_table(message.properties),
        body=shown_body(message.body),
        size=len(message.body),
        connection=fact.origin.connection,
        channel=fact.origin.channel,
    )
