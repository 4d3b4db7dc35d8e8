"""How deliveries are recorded: given to a service, kept from it, and settled."""

from __future__ import annotations

from typing import Literal, TypeAlias

from misstep.harness.history import entries
from misstep.harness.history.handling import Known
from misstep.harness.history.held import Held, stops, within
from misstep.harness.history.identity import died_in
from misstep.harness.history.recording import Recording
from misstep.harness.history.wire_state import Outstanding
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import Action, Control, Heard, Hold, Replace

SettledBy: TypeAlias = Literal["service", "misstep", "dropped"]
"""Whose settlement the broker was given; ``dropped`` where the service's own never reached it."""


class Deliveries:
    """Records what services are given, and how they settle it.

    Args:
        recording: Where to write.
        held: What is kept back.
    """

    def __init__(self, recording: Recording, held: Held) -> None:
        self._recording = recording
        self._held = held
        self._numbers = 0
        self._open: dict[tuple[str, int], tuple[Outstanding, Known]] = {}

    def begin(self) -> None:
        """Forget the last run's deliveries and count anew."""
        self._numbers = 0
        self._open.clear()

    def delivered(self, fact: facts.Delivered, control: Control) -> Heard:
        """Name a delivery; it is written down once it is known to go on."""
        recording, origin, wire = self._recording, fact.origin, self._recording.wire
        seen = recording.causes.delivered(
            origin.service, fact.message, fact.queue, redelivered=fact.redelivered, copy=fact.copy
        )
        known, attempt = seen.known, seen.attempt
        self._numbers += 1
        item = Outstanding(
            origin.service,
            origin.connection,
            origin.channel,
            self._numbers,
            known.name,
            fact.queue,
            attempt,
            fact.copy,
        )
        key = origin.service, fact.delivery
        self._open[key] = item, known
        if fact.unsettled:
            wire.unsettled[key] = item
        if not (fact.redelivered or fact.copy) and wire.backlog[fact.queue] > 0:
            wire.backlog[fact.queue] -= 1
        return Heard(fact, control, known.name, known.event, known.saga, fact.queue, attempt)

    def delivery_acted(self, heard: Heard, fact: facts.Delivered, action: Action) -> None:
        """Record what became of a delivery, once it is decided."""
        if isinstance(action, Hold):
            self._hold(heard, fact, action.ticket)
        elif stops(action):
            self._withhold(fact)
        else:
            self._deliver(heard, fact)

    def settled(self, fact: facts.Settled, control: Control) -> Heard:
        """Name a settlement by its delivery; it is written down once it is known to go on."""
        found = self._open.get((fact.origin.service, fact.delivery))
        if found is None:
            return Heard(fact, control)
        item, known = found
        return Heard(fact, control, known.name, known.event, known.saga, item.queue, item.attempt)

    def settlement_acted(self, heard: Heard, fact: facts.Settled, action: Action) -> None:
        """Record what became of a settlement, once it is decided."""
        if isinstance(action, Hold):
            self._hold(heard, fact, action.ticket)
        elif isinstance(action, Replace) and isinstance(action.fact, facts.Settled):
            self._settle(heard, action.fact, "misstep")
        else:
            self._settle(heard, fact, "dropped" if stops(action) else "service")

    def released(self, heard: Heard, fact: facts.Delivered | facts.Settled) -> None:
        """Record a delivery or settlement that was held and went on after all."""
        self._withhold(fact, withheld=False)
        if isinstance(fact, facts.Delivered):
            self._deliver(heard, fact)
        else:
            self._settle(heard, fact, "service")

    def settlement_lost(self, heard: Heard, fact: facts.Settled) -> None:
        """Record that a settlement never reached the broker."""
        self._settle(heard, fact, "dropped")

    def closed(self, origin: facts.Origin) -> None:
        """Note that a service lost its deliveries with their connection, or with one channel of it."""
        for key in [key for key, (item, _) in self._open.items() if within(origin, item)]:
            item, _ = self._open.pop(key)
            self._recording.causes.settled(origin.service, item.number)

    def _hold(self, heard: Heard, fact: facts.Delivered | facts.Settled, ticket: str) -> None:
        self._held.keep(heard, ticket)
        self._withhold(fact)

    def _withhold(self, fact: facts.Delivered | facts.Settled, *, withheld: bool = True) -> None:
        self._recording.wire.withhold(fact.origin.service, fact.delivery, withheld=withheld)

    def _deliver(self, heard: Heard, fact: facts.Delivered) -> None:
        recording, service = self._recording, fact.origin.service
        item, known = self._open[service, fact.delivery]
        recording.causes.took(service, item.number, known, fact.message, settles=fact.unsettled)
        at = recording.clock()
        recording.wire.stirred(service, at, stimulus=True)
        recording.history.append(
            entries.Delivered(
                at=at,
                message=known.name,
                event=known.event,
                saga=known.saga,
                queue=fact.queue,
                service=service,
                attempt=heard.attempt,
                delivery=item.number,
                redelivered=fact.redelivered,
                unsettled=fact.unsettled,
                copy=fact.copy,
                death=died_in(fact.message),
                incarnation=fact.origin.incarnation,
            )
        )

    def _settle(self, heard: Heard, fact: facts.Settled, by: SettledBy) -> None:
        recording, service = self._recording, fact.origin.service
        key = service, fact.delivery
        found = self._open.get(key)
        if by == "dropped":
            self._withhold(fact)
        else:
            recording.wire.unsettled.pop(key, None)
            self._open.pop(key, None)
        if found is not None:
            recording.causes.settled(service, found[0].number)
        at = recording.clock()
        recording.wire.stirred(service, at, stimulus=True)
        recording.history.append(
            entries.Settled(
                at=at,
                message=heard.message,
                queue=heard.queue,
                service=service,
                delivery=found[0].number if found else 0,
                outcome=fact.outcome,
                requeue=fact.requeue,
                by=by,
            )
        )
