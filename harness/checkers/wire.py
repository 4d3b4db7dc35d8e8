"""T: do the services keep the manners that a broker's guarantees rest on?

All of it is advice: a habit is no proof of a loss, only the reason for the next one. So what is found is a warning, one
for each service and habit, and leaves the verdict valid unless ``--strict``.

What only the service itself can know is not held against it. One that acknowledges first and publishes later may keep
what it has to say in an outbox: it is left alone where ``[quiet.outboxes]`` names a store that it uses. Reply queues
and ignored events are not judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.choreography.scopes import mentions
from misstep.harness.choreography.words import Choreography, Service
from misstep.harness.history.entries import (
    Binding,
    Confirmed,
    Connection,
    Consumer,
    Delivered,
    FaultEvent,
    Published,
    Queue,
    Returned,
    Settled,
)
from misstep.harness.history.history import History
from misstep.harness.history.messages import queue_labels

HOW = "no service talks to a broker; declare one under [services.NAME] that does"

HABITS: Final = {
    "auto-ack": ("consumes without acknowledgements", "what it is working on when it dies is lost"),
    "no prefetch": ("consumes without a prefetch bound", "one instance takes all there is, and holds it when it dies"),
    "fleeting queue": ("works on events from a queue that does not last", "what comes while it is away is lost"),
    "early ack": (
        "acknowledges before it publishes what follows",
        "a crash in between loses that; if it is kept in an outbox, say so in [quiet.outboxes]",
    ),
    "early unconfirmed ack": (
        "acknowledges before the broker has confirmed what follows",
        "a broken connection loses that, and nothing is delivered again",
    ),
    "no confirms": ("publishes without confirms", "it cannot know what the broker never got"),
    "transient": ("publishes transient messages to queues that last", "a restart of the broker loses them"),
    "dropped": ("publishes what no queue takes, and does not ask for it back", "publish it as mandatory"),
    "returned": ("was given messages back that no queue took, and never published them again", "they are lost"),
    "endless requeue": (
        "puts the same message back again and again",
        "the queue has neither a dead-letter exchange nor a delivery limit, so a poison message stays for ever",
    ),
    "protocol error": ("was refused by the broker", "all that its channel held comes again"),
}
"""By kind: what the service does, and why it should not."""

NOT_FOUND: Final = 404
LOCKED: Final = 405
HARD_ERRORS: Final = range(501, 540)
"""Reply codes of AMQP 0-9-1 (section 1.2 of its reference) that end a connection for what the client did."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One occasion on which a service showed a habit: which, who, an example in words, and the message concerned."""

    habit: str
    service: str
    example: str
    message: str = ""


def wire(case: Case) -> Verdict:
    """Judge how each service uses its broker; findings are warnings, and the verdict is never invalid."""
    choreography, history = case.choreography, case.history
    if not any(service.broker for service in choreography.services.values()):
        return Verdict(checker="wire", answer="not asked", reason=HOW)
    published = [entry for entry in history.of(Published) if entry.service]
    consumers = [entry for entry in history.of(Consumer) if entry.consuming]
    asked = len(published) + len(consumers)
    if not asked:
        reason = "no service was seen to publish or to consume: do they take the broker's URL from {broker.url}?"
        return Verdict(checker="wire", answer="unknown", reason=reason)
    queues = {entry.queue: entry for entry in history.of(Queue)}
    judged = [entry for entry in published if not _ignored(choreography, entry.event)]
    signs = [
        *_consuming(consumers, queues),
        *_fleeting(history, judged, queues),
        *_publishing(judged, queues),
        *_unrouted(case, judged),
        *_early(case),
        *_endless(history, queues),
        *_refused(history, published),
    ]
    return Verdict(checker="wire", answer="valid", findings=tuple(_findings(signs)), asked=asked)


def _findings(signs: Iterable[Sign]) -> Iterator[Finding]:
    """Yield one finding for each service and habit."""
    found: dict[tuple[str, str], list[Sign]] = {}
    for sign in signs:
        found.setdefault((sign.service, sign.habit), []).append(sign)
    for (service, habit), shown in found.items():
        what, why = HABITS[habit]
        often = "once:" if len(shown) == 1 else f"{len(shown)} times, first:"
        names = tuple(dict.fromkeys(sign.message for sign in shown if sign.message))
        text = f"{service} {what} ({often} {shown[0].example}): {why}"
        yield Finding(text=text, service=service, messages=names, key=f"wire/{habit}/{service}", warning=True)


def _ignored(choreography: Choreography, event: str) -> bool:
    return any(fnmatchcase(event, pattern) for pattern in choreography.events.ignore)


def _lasts(queue: Queue | None) -> bool:
    """Say whether a queue is known to outlive the broker, its consumers and their connections."""
    return queue is not None and queue.durable and not queue.exclusive and not queue.auto_delete


# -- consuming


def _consuming(consumers: Iterable[Consumer], queues: dict[str, Queue]) -> Iterator[Sign]:
    seen = dict.fromkeys((entry.service, entry.queue, entry.auto_ack, not entry.prefetch) for entry in consumers)
    for service, queue, auto_ack, unbounded in seen:
        if not _lasts(queues.get(queue)):
            continue
        if auto_ack:
            yield Sign("auto-ack", service, f"queue {queue!r}")
        elif unbounded:
            yield Sign("no prefetch", service, f"queue {queue!r}")


def _fleeting(history: History, published: Iterable[Published], queues: dict[str, Queue]) -> Iterator[Sign]:
    """Find events that a service acted on, though they came by a queue that goes with it; replies are none."""
    bound = {entry.target for entry in history.of(Binding) if entry.bound and entry.source and not entry.to_exchange}
    came_by: dict[tuple[str, str], set[str]] = {}
    for entry in history.of(Delivered):
        came_by.setdefault((entry.service, entry.message), set()).add(entry.queue)
    labels = queue_labels(history)
    for sent in published:
        ways = came_by.get((sent.service, sent.cause), set()) if sent.cause else set()
        if ways and all(way in bound and way in queues and not _lasts(queues[way]) for way in ways):
            way = min(ways)
            how = "exclusive" if queues[way].exclusive else "auto-delete" if queues[way].auto_delete else "not durable"
            name = labels.get(way, way)
            yield Sign("fleeting queue", sent.service, f"{sent.event} follows from {name}, {how}", sent.message)


def _endless(history: History, queues: dict[str, Queue]) -> Iterator[Sign]:
    requeued = Counter(
        (entry.service, entry.queue, entry.message)
        for entry in history.of(Settled)
        if entry.by == "service" and entry.requeue and entry.outcome != "ack" and entry.message
    )
    for (service, queue, message), times in requeued.items():
        declared = queues.get(queue)
        # A queue that only the broker told us of keeps its arguments to itself.
        known = declared is not None and declared.service
        bounds = {"x-dead-letter-exchange", "x-delivery-limit"}
        if declared and known and times > 1 and not bounds & set(declared.arguments):
            yield Sign("endless requeue", service, f"{message} to {queue!r}, {times} times", message)


# -- publishing


def _publishing(published: Iterable[Published], queues: dict[str, Queue]) -> Iterator[Sign]:
    for sent in published:
        lasting = [queue for queue in sent.owed or () if _lasts(queues.get(queue))]
        if (lasting or sent.owed is None) and not sent.confirming and not sent.transactional:
            yield Sign("no confirms", sent.service, f"{sent.event} to {_where(sent)}", sent.message)
        if lasting and not sent.persistent:
            yield Sign("transient", sent.service, f"{sent.event} to queue {lasting[0]!r}", sent.message)


def _where(sent: Published) -> str:
    return f"exchange {sent.exchange!r}" if sent.exchange else f"queue {sent.routing_key!r}"


def _unrouted(case: Case, published: list[Published]) -> Iterator[Sign]:
    """Find what no queue took though one does at other times; what nobody ever takes is a matter of the contract."""
    histories = (case.history, *case.clean)
    routed = {_address(sent) for history in histories for sent in history.of(Published) if sent.owed}
    arrived = {_identity(sent) for sent in published if sent.owed}
    returned = {back.message for back in case.history.of(Returned)}
    for sent in published:
        if sent.owed == () and _address(sent) in routed and _identity(sent) not in arrived:
            example = f"{sent.event} to {_where(sent)}"
            if sent.message in returned:
                yield Sign("returned", sent.service, example, sent.message)
            elif not sent.mandatory:
                yield Sign("dropped", sent.service, example, sent.message)


def _address(sent: Published) -> tuple[str, str]:
    return sent.exchange, sent.routing_key


def _identity(sent: Published) -> tuple[str, ...]:
    return (sent.event, sent.id) if sent.id else (sent.event, sent.correlation, sent.cause)


# -- acknowledging


def _early(case: Case) -> Iterator[Sign]:
    """Find what is acknowledged before what it leads to is safe, in this run and in every clean one.

    One run alone may show a message that was handled twice, or a timer that was due; all of them show a habit.
    """
    habits = [_orders(history) for history in case.clean]
    for (service, event, child), (habit, message) in _orders(case.history).items():
        each = [habit_of[service, event, child][0] for habit_of in habits if (service, event, child) in habit_of]
        if not each or any(other != habit for other in each):
            continue
        declared = case.choreography.services.get(service)
        if declared and habit and not _keeps(case.choreography, declared, habit):
            yield Sign(habit, service, f"{event}, then {child}", message)


def _orders(history: History) -> dict[tuple[str, str, str], tuple[str, str]]:
    """Return by service, event and what follows from it which habit all occasions show, and a message that follows."""
    acked: dict[tuple[str, str], int] = {}
    events: dict[str, str] = {}
    confirmed: dict[str, int] = {}
    sent: dict[str, tuple[int, Published]] = {}
    for place, entry in enumerate(history):
        match entry:
            case Delivered(copy=False):
                events[entry.message] = entry.event
            case Settled(outcome="ack", by="service"):
                acked.setdefault((entry.service, entry.message), place)
            case Published() if entry.cause and entry.service:
                sent.setdefault(entry.message, (place, entry))
            case Confirmed(ok=True):
                confirmed.setdefault(entry.message, place)
    found: dict[tuple[str, str, str], tuple[str, str]] = {}
    for place, child in sent.values():
        ack = acked.get((child.service, child.cause))
        if ack is None:
            continue
        awaited = confirmed.get(child.message, ack) if child.confirming else ack
        habit = "early ack" if ack < place else "early unconfirmed ack" if ack < awaited else ""
        key = child.service, events.get(child.cause, child.cause), child.event
        agreed = key not in found or found[key][0] == habit
        found[key] = (habit if agreed else "", child.message)
    return found


def _keeps(choreography: Choreography, service: Service, habit: str) -> bool:
    """Say whether a service may keep in a store what it has yet to publish.

    One that publishes later does where an outbox is declared for a store of its own (or for a store that no service
    mentions, so that anybody may use it). One that has published, and does not wait for the answer, may read it later
    and mark it in any store.
    """
    outboxes = choreography.quiet.outboxes if habit == "early ack" else choreography.stores
    users = {store: [each.name for each in choreography.services.values() if _uses(each, store)] for store in outboxes}
    return any(service.name in names or not names for names in users.values())


def _uses(service: Service, store: str) -> bool:
    templates = (*service.processes.values(), *service.env.values())
    return any(mentions(text, f"stores.{store}") for text in templates)


# -- what the broker refused


def _refused(history: History, published: Iterable[Published]) -> Iterator[Sign]:
    """Find channels and connections that the broker ended for what a service did.

    Looking whether a queue or exchange is there ends a channel where it is not (404): that is a question, no error,
    unless the service had published to it. A queue may still be locked by a connection that a fault ended (405).
    """
    exchanges = {(sent.service, sent.exchange) for sent in published if sent.exchange}
    disturbed = False
    for entry in history:
        disturbed = disturbed or (isinstance(entry, FaultEvent) and entry.what == "fired")
        if not isinstance(entry, Connection) or entry.by != "broker" or entry.clean or entry.what == "opened":
            continue
        if entry.code == NOT_FOUND:
            wrong = any(service == entry.service and f"exchange '{name}'" in entry.text for service, name in exchanges)
        elif entry.what == "closed":
            wrong = entry.code in HARD_ERRORS
        else:
            wrong = bool(entry.code) and not (entry.code == LOCKED and disturbed)
        if wrong:
            yield Sign("protocol error", entry.service, f"{entry.code} {entry.text}".strip())
