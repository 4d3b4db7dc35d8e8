"""L: is every obligation met?

Who takes a message owes something for it, and an acknowledgement alone does not settle that. Three debts are kept:

* **routing**: a message reaches each queue that it always reached in clean runs,
* **delivery**: each queue that was bound when it was published hands it to a consumer that takes it (or it is
  dead-lettered, or waits where nobody ever consumes); a message whose producer could not know that the broker had it
  is no debt of the broker's, but remains one of the producer's,
* **children**: a service that took a message publishes what it published for it in clean runs of sagas that went the
  same way. Where it took another branch, which no clean run showed, the saga checker judges.

Duplicates owe nothing of their own: a debt belongs to a message, not to a delivery, so an inbox that swallows the
second delivery is right, and so is one that swallows a second message where clean runs had only one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from misstep.harness.checkers.soundness import last_quiet, unsound
from misstep.harness.checkers.verdict import Answer as Verdicts
from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.choreography.words import Choreography
from misstep.harness.history.ending import SagaRun, Way, saga_runs
from misstep.harness.history.entries import Consumer, Published, Queue
from misstep.harness.history.history import History
from misstep.harness.history.messages import Messages, queue_labels, read_messages

HOW = "no service talks to a broker; declare one under [services.NAME] that does"


@dataclass(slots=True)
class Book:
    """What one history shows of its messages' fate.

    Attributes:
        messages: Its messages.
        runs: Its sagas.
        labels: What to call each queue in every run.
        queues: How each queue was declared, last.
        consumed: The labels of the queues that had a consumer at any time.
        names: The messages by name.
    """

    messages: Messages
    runs: tuple[SagaRun, ...]
    labels: dict[str, str]
    queues: dict[str, Queue]
    consumed: frozenset[str]
    names: dict[str, Published] = field(default_factory=dict)

    def label(self, queue: str) -> str:
        """Return what to call a queue in every run."""
        return self.labels.get(queue, queue)

    def took(self, message: str, queue: str) -> str:
        """Return what became of a message in a queue.

        Returns:
            ``handled``, ``refused``, ``given back`` or ``never delivered``.
        """
        deliveries = [d for d in self.messages.deliveries.get(message, ()) if d.queue == queue]
        if not deliveries:
            return "never delivered"
        settled = [self.messages.settled.get(d.delivery) for d in deliveries]
        own = [s for s in settled if s is not None and s.by == "service"]
        if any(not d.unsettled for d in deliveries) or any(s.outcome == "ack" for s in own):
            return "handled"
        return "refused" if own and own[-1] is settled[-1] and not own[-1].requeue else "given back"

    def handled(self) -> Iterator[tuple[str, Published]]:
        """Yield each message that a service took, with that service."""
        for name, deliveries in self.messages.deliveries.items():
            entry = self.names.get(name)
            if entry is None or not entry.saga:
                continue
            for service, queue in dict.fromkeys((d.service, d.queue) for d in deliveries):
                if self.took(name, queue) == "handled":
                    yield service, entry

    def children(self, service: str, message: str) -> Counter[str]:
        """Count the events that a service published because of a message."""
        return Counter(
            entry.event for entry in self.messages.happened if entry.service == service and entry.cause == message
        )


def ledger(case: Case) -> Verdict:
    """Judge whether every message was handed on, taken, and answered by what must follow from it."""
    if not any(service.broker for service in case.choreography.services.values()):
        return Verdict(checker="ledger", answer="not asked", reason=HOW)
    book = _open_book(case.choreography, case.history)
    clean = [_open_book(case.choreography, history) for history in case.clean]
    asked, findings = 0, []
    for judged, finding in (*_routing(book, clean), *_delivery(book, clean), *_children(book, clean)):
        asked += judged
        if finding:
            findings.append(finding)
    owing = [finding for finding in findings if not finding.warning]
    if owing:
        quiet = last_quiet(case.history)
        why = unsound(case.history) or ("" if quiet and quiet.quiet else "the run had not fallen quiet by its deadline")
        answer: Verdicts = "unknown" if why else "invalid"
        return Verdict(checker="ledger", answer=answer, findings=tuple(findings), reason=why, asked=asked)
    if not asked:
        return Verdict(
            checker="ledger", answer="unknown", reason="no message of a saga was seen whose queues are known"
        )
    return Verdict(checker="ledger", answer="valid", findings=tuple(findings), asked=asked)


def _open_book(choreography: Choreography, history: History) -> Book:
    messages, labels = read_messages(history), queue_labels(history)
    return Book(
        messages=messages,
        runs=saga_runs(choreography, history, messages),
        labels=labels,
        queues={entry.queue: entry for entry in history.of(Queue)},
        consumed=frozenset(labels.get(c.queue, c.queue) for c in history.of(Consumer)),
        names={entry.message: entry for entry in messages.happened},
    )


Judged = tuple[int, Finding | None]


def _routing(book: Book, clean: Sequence[Book]) -> Iterator[Judged]:
    """Judge whether each message reached the queues that its like reached in every clean run."""
    usual = _usual_queues(clean)
    for entry in book.messages.happened:
        owed = book.messages.owed[entry.message]
        expected = usual.get((entry.service, entry.event))
        if not entry.saga or owed is None or not expected:
            continue
        # A broker routes by a binding a little before its answer to the binding is heard on the link.
        reached = {delivery.queue for delivery in book.messages.deliveries.get(entry.message, ())}
        missed = sorted(expected.keys() - {book.label(queue) for queue in owed | reached})
        yield 1, None
        for label in missed:
            firm = expected[label]
            who = entry.service or "the driver"
            text = (
                f"{entry.message} (from {who}) was published when {label!r} was not bound to take it"
                f"{'' if owed else ', nor was any other queue'}; in clean runs it always is"
            )
            if not firm:
                text += "; that queue goes with its consumer, which so far led to no event"
            yield 0, _finding(entry, text, f"ledger/routing/{entry.event}/{label}", warning=not firm)


def _usual_queues(clean: Sequence[Book]) -> dict[tuple[str, str], dict[str, bool]]:
    """Return the queues that events of a service always reached in clean runs, and whether missing one is a loss.

    A queue that goes with its consumer is a loss only where that consumer led to further events: who listens only while
    connected is owed nothing else.
    """
    usual: dict[tuple[str, str], dict[str, bool]] = {}
    for book in clean:
        for entry in book.messages.happened:
            owed = book.messages.owed[entry.message]
            if owed is None:
                continue
            here = {book.label(queue): _firm(book, entry, queue) for queue in owed}
            key = entry.service, entry.event
            known = usual.get(key, here)
            usual[key] = {label: known[label] or here[label] for label in known.keys() & here.keys()}
    return usual


def _firm(book: Book, entry: Published, queue: str) -> bool:
    declared = book.queues.get(queue)
    if declared is None or not (declared.exclusive or declared.auto_delete):
        return True
    consumers = {d.service for d in book.messages.deliveries.get(entry.message, ()) if d.queue == queue}
    return any(book.children(service, entry.message) for service in consumers)


def _delivery(book: Book, clean: Sequence[Book]) -> Iterator[Judged]:
    """Judge what became of each message in each queue that was bound to take it."""
    consumed = book.consumed.union(*(other.consumed for other in clean))
    refused = {
        (entry.event, other.label(queue))
        for other in clean
        for entry in other.messages.happened
        for queue in other.messages.owed[entry.message] or ()
        if other.took(entry.message, queue) == "refused"
    }
    for entry in book.messages.happened:
        for queue in sorted(book.messages.owed[entry.message] or ()) if entry.saga else ():
            label = book.label(queue)
            if label not in consumed:
                continue  # Parked: nobody ever took anything from there.
            fate = book.took(entry.message, queue)
            yield 1, None
            if fate == "handled" or _accounted(book, entry, queue):
                continue
            if fate == "refused" and (entry.event, label) in refused:
                continue
            yield 0, _lost(book, entry, queue, fate)


def _accounted(book: Book, entry: Published, queue: str) -> bool:
    """Say whether a message went on to a dead-letter target."""
    if any(delivery.death == queue for delivery in book.messages.deliveries.get(entry.message, ())):
        return True
    declared = book.queues.get(queue)
    return declared is not None and "x-dead-letter-exchange" in declared.arguments


def _lost(book: Book, entry: Published, queue: str, fate: str) -> Finding:
    declared = book.queues.get(queue)
    fleeting = declared is not None and (declared.exclusive or declared.auto_delete)
    label = book.label(queue)
    what = {
        "refused": f"was refused from {label!r} without requeue, and that queue has no dead-letter target",
        "given back": f"went back to {label!r} and was never delivered again",
        "never delivered": f"was routed to {label!r} and never delivered from there",
    }[fate]
    confirms = "" if entry.confirming else " (published without confirms)"
    warning = fleeting and not _firm(book, entry, queue)
    text = f"{entry.message} {what}{confirms}"
    return _finding(entry, text, f"ledger/delivery/{entry.event}/{label}/{fate}", warning=warning)


@dataclass(frozen=True, slots=True)
class Answer:
    """What followed from one message in a clean run: the way its saga went, and the events published for it."""

    way: Way
    events: Counter[str]


def _children(book: Book, clean: Sequence[Book]) -> Iterator[Judged]:
    """Judge whether each service published what it published for such messages in clean runs."""
    taught = _answers(clean)
    if not taught:
        return
    for run in book.runs:
        if run.outcome == "both" or (run.outcome == "absent" and run.result != "ok"):
            continue
        yield from _stimulus(run, clean)
        for service in sorted({service for service, entry in book.handled() if entry.saga == run.number}):
            yield from _of_service(book, run, service, taught, clean)


def _answers(clean: Sequence[Book]) -> dict[tuple[str, str], list[Answer]]:
    found: dict[tuple[str, str], list[Answer]] = {}
    for book in clean:
        ways = {run.number: run.way for run in book.runs}
        for service, entry in book.handled():
            answer = Answer(ways[entry.saga], book.children(service, entry.message))
            found.setdefault((service, entry.event), []).append(answer)
    return found


def _of_service(
    book: Book, run: SagaRun, service: str, taught: dict[tuple[str, str], list[Answer]], clean: Sequence[Book]
) -> Iterator[Judged]:
    published = Counter(entry.event for entry in run.published if entry.service == service)
    known = {event for (by, _), answers in taught.items() if by == service for a in answers for event in a.events}
    if published.keys() - known:
        return  # A branch that no clean run showed.
    due: Counter[str] = Counter()
    causes: dict[str, list[Published]] = {}
    for by, entry in book.handled():
        if by != service or entry.saga != run.number:
            continue
        answers = _comparable(run, taught.get((service, entry.event), []))
        if not answers:
            continue
        yield 1, None
        if not any(answer.events <= published for answer in answers):
            expected = min((answer.events for answer in answers), key=lambda events: (events - published).total())
            yield 0, _unanswered(entry, service, expected - published, run)
            continue
        for event in set.intersection(*(set(answer.events) for answer in answers)):
            due[event] += min(answer.events[event] for answer in answers)
            causes.setdefault(event, []).append(entry)
    for event in due:
        due[event] = min(due[event], _usual_number(run, service, event, clean))
    for event, count in (due - published).items():
        entry = causes[event][-1]
        text = f"{service} published {published[event]} {event} in {run.title}, {due[event]} were due for what it took"
        yield (
            0,
            Finding(
                text=f"{text}, {count} missing",
                saga=run.number,
                service=service,
                messages=tuple(cause.message for cause in causes[event]),
                key=f"ledger/children/{service}/{entry.event}/{event}",
            ),
        )


def _comparable(run: SagaRun, answers: list[Answer]) -> list[Answer]:
    """Return the clean answers that bind a saga: those of its own way; those of its driver where it has not ended."""
    if run.outcome in ("open", "undeclared"):
        return [answer for answer in answers if answer.way[0] == run.driver]
    return [answer for answer in answers if answer.way == run.way]


def _usual_number(run: SagaRun, service: str, event: str, clean: Sequence[Book]) -> int:
    """Return how many of an event a service published at least in each clean saga that binds this one."""
    bound = run.outcome not in ("open", "undeclared")
    return min(
        (
            sum(1 for entry in other.published if (entry.service, entry.event) == (service, event))
            for book in clean
            for other in book.runs
            if (other.way == run.way if bound else other.driver == run.driver)
        ),
        default=0,
    )


def _unanswered(entry: Published, service: str, missing: Counter[str], run: SagaRun) -> Finding:
    events = ", ".join(f"{count} {event}" if count > 1 else event for event, count in sorted(missing.items()))
    text = f"{service} took {entry.message} but never published {events}, as it does in clean runs of such sagas"
    key = f"ledger/children/{service}/{entry.event}/{'+'.join(sorted(missing))}"
    return Finding(text=text, saga=run.number, service=service, messages=(entry.message,), key=key)


def _stimulus(run: SagaRun, clean: Sequence[Book]) -> Iterator[Judged]:
    """Judge whether what an accepted stimulus always starts was started."""
    if run.result != "ok" or not run.driver:
        return
    started = [
        Counter(entry.event for entry in other.published if not entry.cause)
        for book in clean
        for other in book.runs
        if other.driver == run.driver
    ]
    if not started:
        return
    published = Counter(entry.event for entry in run.published)
    yield 1, None
    if not any(events <= published for events in started):
        missing = ", ".join(sorted((started[0] - published).elements()))
        text = (
            f"stimulus {run.driver!r} of {run.title} was accepted, but {missing} was never published, as in clean runs"
        )
        yield 0, Finding(text=text, saga=run.number, key=f"ledger/stimulus/{run.driver}/{missing}")


def _finding(entry: Published, text: str, key: str, *, warning: bool = False) -> Finding:
    return Finding(
        text=text, saga=entry.saga, service=entry.service, messages=(entry.message,), key=key, warning=warning
    )
