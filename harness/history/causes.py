"""What every message is called, and what led to it.

A name is a path of event types from the saga's start, ``1:order.placed/payment.taken``; a second message of the same
type and cause ends in ``#2``. Nothing else goes into it: no clock, no generated value, no index over the run. So the
same message has the same name in each run of the same plan, whichever branch was faster.

A cause is *declared* where a message says so itself:

* by the choreography's ``causation`` selector, or a ``causation_id`` header, holding the id of an earlier message,
* by ``traceparent``, where only one message of that trace (or that very span) was given to the service,
* by a correlation id that is the id of a message which the service is at work on (request and reply).

Else it is *inferred* from the service, the correlation and the order on its links
(:meth:`~misstep.harness.history.handling.Handling.cause_of`), and labelled so.

A message that is published again is the same message where it has the same id, payload and publisher, or where the
earlier one is known never to have reached the broker. It is another one where the service is at work on something that
the earlier one led to: that is a loop, and a loop must not hide behind one name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeAlias

from misstep.harness.choreography.plain import text_of
from misstep.harness.choreography.selectors import select
from misstep.harness.choreography.words import EventRules
from misstep.harness.history.entries import CauseKind
from misstep.harness.history.handling import Handling, Known, Taught
from misstep.harness.history.identity import Fingerprint, fingerprint, routes, trace
from misstep.harness.wire.facts import Message

CAUSATION_HEADERS: Final = ("causation_id", "causation-id", "causationId", "x-causation-id")
DEEPEST_PATH: Final = 50
NOBODY: Final = 0
"""The saga of messages that belong to none of this run."""

Path: TypeAlias = tuple[str, str, str, Fingerprint]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A delivery, named: which message, and which delivery of it to that queue."""

    known: Known
    attempt: int


class Causes:
    """Names the messages of one run as they are seen.

    Args:
        rules: Where events keep their type, correlation and id.
        foreign: Correlations of earlier runs on the same stage: their stragglers belong to no saga of this run.
        taught: What led to what in clean runs.
    """

    def __init__(self, rules: EventRules, *, foreign: Collection[str] = (), taught: Taught | None = None) -> None:
        self._rules = rules
        self._foreign = frozenset(foreign)
        self._taught: Taught = taught or {}
        self._sagas: dict[str, int] = {}
        self._driving: list[int] = []
        self._unclaimed: list[int] = []
        self._handling: dict[str, Handling] = {}
        self._starts: dict[tuple[int, str], list[Known]] = {}
        self._by_path: dict[Path, Known] = {}
        self._by_print: dict[tuple[Fingerprint, str, str], list[Known]] = {}
        self._by_id: dict[str, Known] = {}
        self._by_span: dict[tuple[str, str], list[Known]] = {}
        self._traces: dict[tuple[str, str], dict[str, Known]] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._ignored: dict[str, bool] = {}
        self._strangers: dict[str, Known] = {}

    # -- sagas

    def driving(self, saga: int, correlation: str = "") -> None:
        """Say that the driver of a saga is about to run; ``correlation`` where it is known beforehand."""
        self._driving.append(saga)
        self._claim(saga, correlation)

    def drove(self, saga: int, correlation: str = "") -> None:
        """Say that the driver of a saga has ended, and by which correlation it knows its saga."""
        if saga in self._driving:
            self._driving.remove(saga)
        self._claim(saga, correlation)
        if saga not in self._sagas.values():
            self._unclaimed.append(saga)

    def _claim(self, saga: int, correlation: str) -> None:
        if correlation:
            self._sagas[correlation] = saga

    @property
    def correlations(self) -> frozenset[str]:
        """All correlations that sagas of this run had."""
        return frozenset(self._sagas)

    # -- publishing

    def published(self, service: str, message: Message, queue: str = "") -> Known:
        """Name a message that a service sends.

        Args:
            service: Who sends it.
            message: What.
            queue: A queue that it will reach, where events are told apart by queue.
        """
        event, correlation, id_ = self._read(message, queue)
        if self._ignores(event) or correlation in self._foreign:
            known = Known(f"{NOBODY}:{event}", event, NOBODY, correlation, id_, service)
            known = self._strangers.setdefault(known.name, known)
        else:
            known = self._place(service, message, event, correlation, id_)
        known.sent += 1
        self._remember(known, message)
        return known

    def published_by_driver(self, saga: int, message: Message, queue: str = "") -> Known:
        """Name a message that a driver publishes itself."""
        event, correlation, id_ = self._read(message, queue)
        known = self._named(Known("", event, saga, correlation, id_, cause_kind="driver"))
        if correlation:
            self._sagas.setdefault(correlation, saga)
        known.sent += 1
        self._remember(known, message)
        return known

    def replaced(self, known: Known, message: Message) -> None:
        """Note that a fault sent another message on in the place of a known one."""
        self._remember(known, message)

    def lost(self, known: Known) -> None:
        """Note that a publication of a message never reached the broker, or was refused or given back."""
        known.lost = min(known.lost + 1, known.sent)

    def sent(self, message: Message) -> Known | None:
        """Return the message that was published just so; None where nobody was seen to."""
        found = self._by_print.get((fingerprint(message), message.exchange, message.routing_key))
        return found[-1] if found else None

    def _read(self, message: Message, queue: str) -> tuple[str, str, str]:
        rules = self._rules
        event = select(rules.type, message, queue) or message.routing_key or message.exchange or "unnamed"
        correlation = select(rules.correlation, message, queue) or ""
        id_ = select(rules.id, message, queue) if rules.id else None
        id_ = id_ or text_of(message.properties.get("message_id", ""))
        return event, correlation, id_

    def _ignores(self, event: str) -> bool:
        if event not in self._ignored:
            self._ignored[event] = any(fnmatchcase(event, pattern) for pattern in self._rules.ignore)
        return self._ignored[event]

    def _place(self, service: str, message: Message, event: str, correlation: str, id_: str) -> Known:
        saga = self._sagas.get(correlation, NOBODY) if correlation else NOBODY
        handling = self._handling.get(service) or Handling()
        declared = self._declared(service, message, handling)
        cause = declared or self._inferred(service, event, saga, correlation, handling)
        kind: CauseKind = "declared" if declared else "inferred" if cause else "driver"
        if not saga:
            saga = cause.saga if cause else self._starting()
        if saga and correlation:
            self._sagas.setdefault(correlation, saga)
        if not saga and not cause:
            kind = "unknown"
        path = (service, event, id_, fingerprint(Message("", "", message.body)))
        same = self._by_path.get(path) if id_ else None
        if same and not any(known.descends_from(same) for known in handling.unsettled.values()):
            return same
        draft = Known("", event, saga, correlation, id_, service, cause, kind)
        known = self._instead_of_lost(draft) or self._named(draft)
        if id_:
            self._by_path[path] = known
        return known

    def _starting(self) -> int:
        """Return the saga that a message without any cause starts now.

        A stimulus whose answer never came (its service crashed, say) tells no correlation; the first new one after it
        is taken to be its saga's.
        """
        if self._driving:
            return self._driving[-1]
        return self._unclaimed.pop(0) if self._unclaimed else NOBODY

    def _siblings(self, draft: Known) -> list[Known]:
        """Return the messages of the same type and cause so far."""
        if draft.parent is None:
            return self._starts.setdefault((draft.saga, draft.event), [])
        return [known for (_, event), all_ in draft.parent.children.items() if event == draft.event for known in all_]

    def _instead_of_lost(self, draft: Known) -> Known | None:
        siblings = self._siblings(draft)
        return next((known for known in siblings if known.service == draft.service and known.lost >= known.sent), None)

    def _named(self, draft: Known) -> Known:
        cause, number = draft.parent, len(self._siblings(draft)) + 1
        draft.name = _path(cause, draft.saga) + draft.event + (f"#{number}" if number > 1 else "")
        if cause is None:
            self._starts.setdefault((draft.saga, draft.event), []).append(draft)
        else:
            draft.depth = cause.depth + 1
            cause.children.setdefault((draft.service, draft.event), []).append(draft)
        return draft

    def _remember(self, known: Known, message: Message) -> None:
        all_ = self._by_print.setdefault((fingerprint(message), message.exchange, message.routing_key), [])
        if known not in all_:
            all_.append(known)
        if known.id:
            self._by_id[known.id] = known
        if message.properties.get("message_id"):
            self._by_id[text_of(message.properties["message_id"])] = known

    # -- causes

    def _declared(self, service: str, message: Message, handling: Handling) -> Known | None:
        for id_ in self._causation(message):
            if id_ in self._by_id:
                return self._by_id[id_]
        trace_id, span = trace(message)
        if trace_id:
            given = self._by_span.get((service, trace_id + span)) or list(
                self._traces.get((service, trace_id), {}).values()
            )
            if len(given) == 1:
                return given[0]
        asked_by = text_of(message.properties.get("correlation_id", ""))
        asked = self._by_id.get(asked_by)
        if asked and asked in handling.unsettled.values() and asked.correlation != asked_by:
            return asked
        return None

    def _causation(self, message: Message) -> Iterable[str]:
        if self._rules.causation:
            yield select(self._rules.causation, message) or ""
        for name in CAUSATION_HEADERS if message.headers else ():
            if name in message.headers:
                yield text_of(message.headers[name])

    def _inferred(self, service: str, event: str, saga: int, correlation: str, handling: Handling) -> Known | None:
        taught = self._taught.get((service, event), frozenset())
        if saga:
            return handling.cause_of(event, service, saga, taught)
        if self._driving and (correlation or not handling.unsettled):
            # A key that is new while a driver runs starts that driver's saga, unless the service works on that saga.
            return handling.cause_of(event, service, self._driving[-1], taught)
        return handling.cause_of(event, service, None, taught)

    # -- deliveries

    def delivered(
        self, service: str, message: Message, queue: str, *, redelivered: bool = False, copy: bool = False
    ) -> Sighting:
        """Name a delivery to a service."""
        known = self._match(message, queue, redelivered=redelivered, copy=copy) or self._stranger(message, queue)
        key = known.name, queue
        self._attempts[key] = attempt = self._attempts.get(key, 0) + 1
        return Sighting(known, attempt)

    def _match(self, message: Message, queue: str, *, redelivered: bool, copy: bool) -> Known | None:
        print_ = fingerprint(message)
        found = next((all_ for route in routes(message) if (all_ := self._by_print.get((print_, *route)))), None)
        if found is None or len(found) == 1:
            return found[0] if found else None
        seen: Known | None = None
        fresh: Known | None = None
        for known in found:
            if self._attempts.get((known.name, queue)):
                seen = known
            elif fresh is None:
                fresh = known
        return (seen or fresh) if redelivered or copy else (fresh or seen)

    def _stranger(self, message: Message, queue: str) -> Known:
        event, correlation, id_ = self._read(message, queue)
        foreign = self._ignores(event) or correlation in self._foreign
        saga = NOBODY if foreign else self._sagas.get(correlation, NOBODY)
        name = f"{NOBODY}:{event}"
        return self._strangers.setdefault(f"{name} of {saga}", Known(name, event, saga, correlation, id_, depth=0))

    def took(self, service: str, delivery: int, known: Known, message: Message, *, settles: bool) -> None:
        """Note that a service was given a delivery, so that it may be the cause of what it publishes next."""
        self._handling.setdefault(service, Handling()).took(delivery, known, settles=settles)
        trace_id, span = trace(message)
        if trace_id:
            self._traces.setdefault((service, trace_id), {})[known.name] = known
            of_span = self._by_span.setdefault((service, trace_id + span), [])
            if known not in of_span:
                of_span.append(known)

    def settled(self, service: str, delivery: int) -> None:
        """Note that a service is done with a delivery, or lost it with its connection."""
        if service in self._handling:
            self._handling[service].settled(delivery)


def _path(cause: Known | None, saga: int) -> str:
    if cause is None:
        return f"{saga}:"
    if cause.depth >= DEEPEST_PATH:
        return f"{saga}:…{cause.depth}/"
    own = f"{cause.saga}:" if cause.saga else f"{NOBODY}:"
    return f"{saga}:{cause.name.removeprefix(own).removeprefix(f'{NOBODY}:')}/"
