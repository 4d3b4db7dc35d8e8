"""What each service has been given and is, or was, at work on: the candidates for the cause of what it publishes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from misstep.harness.history.entries import CauseKind, Published
from misstep.harness.history.history import History

REMEMBERED = 64

Taught: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""The events that clean runs showed to lead to an event: by the service that published it and its type."""


@dataclass(slots=True, eq=False)
class Known:
    """A message with its place among causes.

    Attributes:
        name: Its causal name.
        event, saga, correlation, id, service: As in a history's ``Published``.
        parent: What led to it; None where it starts a saga.
        cause_kind: How that is known.
        depth: Length of its chain of causes, from 1.
        sent: How often it was published.
        lost: How often it never reached the broker, or was refused or given back.
        children: What it led to, by who published it and its type.
    """

    name: str
    event: str
    saga: int = 0
    correlation: str = ""
    id: str = ""
    service: str = ""
    parent: Known | None = None
    cause_kind: CauseKind = "unknown"
    depth: int = 1
    sent: int = 0
    lost: int = 0
    children: dict[tuple[str, str], list[Known]] = field(default_factory=dict)

    def descends_from(self, other: Known) -> bool:
        """Say whether ``other`` is this message or stands in its chain of causes."""
        at: Known | None = self
        while at is not None and at.depth >= other.depth:
            if at is other:
                return True
            at = at.parent
        return False


@dataclass(slots=True)
class Handling:
    """One service's deliveries: those unsettled by their number, and the last ones of each saga in order of arrival."""

    unsettled: dict[int, Known] = field(default_factory=dict)
    recent: dict[int, list[Known]] = field(default_factory=dict)

    def took(self, delivery: int, message: Known, *, settles: bool) -> None:
        """Note a delivery; ``settles`` where an acknowledgement is due."""
        if settles:
            self.unsettled[delivery] = message
        recent = self.recent.setdefault(message.saga, [])
        if message not in recent:
            recent.append(message)
            del recent[:-REMEMBERED]

    def settled(self, delivery: int) -> None:
        """Note that a delivery is no longer worked on: settled, or gone with its connection."""
        self.unsettled.pop(delivery, None)

    def had(self, message: Known) -> bool:
        """Say whether the service was given a message lately."""
        return message in self.recent.get(message.saga, ())

    def cause_of(self, event: str, service: str, saga: int | None, taught: frozenset[str]) -> Known | None:
        """Return the delivery that most likely led the service to publish ``event`` now.

        An unsettled delivery comes before a settled one (an outbox publishes after it has settled), and an event that
        led to it in clean runs before one that never did: where two branches meet, whichever comes last triggers, and
        names must not depend on that.

        Args:
            event: The type of what is published.
            service: By whom.
            saga: Whose deliveries come into question; None for those of all sagas.
            taught: The types that led to it in clean runs; empty when that is not known.
        """
        key = service, event
        unsettled = [known for known in self.unsettled.values() if saga is None or known.saga == saga]
        settled = (
            [known for all_ in self.recent.values() for known in all_] if saga is None else self.recent.get(saga, [])
        )
        likely = [known for known in unsettled if known.event in taught]
        owing = [known for known in settled if known.event in taught and key not in known.children]
        if likely:
            return _pick(likely, key)
        if owing:
            return owing[0]
        if unsettled:
            return _pick(unsettled, key)
        childless = [known for known in settled if not any(by == service for by, _ in known.children)]
        return childless[0] if childless else settled[-1] if settled else None


def learn_causes(histories: Iterable[History]) -> Taught:
    """Return what led to what in clean runs, for recorders of later runs.

    Args:
        histories: Of fault-free runs.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for history in histories:
        published = history.of(Published)
        events = {entry.message: entry.event for entry in published}
        for entry in published:
            if entry.cause in events:
                found.setdefault((entry.service, entry.event), set()).add(events[entry.cause])
    return {key: frozenset(events) for key, events in found.items()}


def _pick(candidates: Sequence[Known], key: tuple[str, str]) -> Known:
    """Return the oldest of the same type as the newest that has not led to such a message yet."""
    newest = candidates[-1]
    return next((known for known in candidates if known.event == newest.event and key not in known.children), newest)
