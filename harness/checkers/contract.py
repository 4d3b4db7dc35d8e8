"""K: is what is published what it says it is, and is there somebody for it?

A body that is not of the content type it declares is invalid: a consumer that believes the declaration breaks. That an
event has no consumer, or a consumer no event, is a warning: it may be on its way in or out.

Whether nobody emits an event can only be told where everything was tried: every driver ran without faults, and each
saga that can fail did so once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

from misstep.harness.checkers.verdict import Answer, Case, Finding, Verdict
from misstep.harness.choreography.words import Choreography
from misstep.harness.history.ending import declared_events, saga_runs
from misstep.harness.history.entries import Binding, Consumer, Delivered, Drove, Exchange, Published, Queue
from misstep.harness.history.history import History
from misstep.harness.history.payload import LARGEST

HOW = "no service talks to a broker; declare one under [services.NAME] that does"

SHOWN: Final = 60
"""How much of a body a finding shows."""

KEYED: Final = ("topic", "direct")
TEXTUAL: Final = ("utf", "us-ascii", "ascii", "iso-8859", "latin", "identity")
"""How content encodings begin that leave JSON as it is; strictly, such a name is no encoding, but many clients set it.
"""


def contract(case: Case) -> Verdict:
    """Judge bodies by their content type, and events by who emits and who handles them."""
    choreography = case.choreography
    if not any(service.broker for service in choreography.services.values()):
        return Verdict(checker="contract", answer="not asked", reason=HOW)
    published = case.history.of(Published)
    if not published:
        return Verdict(checker="contract", answer="unknown", reason="nothing was published")
    wrong = tuple(_mistyped(published))
    advice = (*_unhandled(case), *_unemitted(case), *_undone_steps(case))
    answer: Answer = "invalid" if wrong else "valid"
    return Verdict(checker="contract", answer=answer, findings=wrong + advice, asked=len(published))


# -- content types


def _mistyped(published: Sequence[Published]) -> Iterator[Finding]:
    """Yield one finding for each service and event whose bodies are not the JSON that they are said to be."""
    found: dict[tuple[str, str], list[Published]] = {}
    for entry in published:
        if entry.service and _says_json(entry) and not _is_json(entry):
            found.setdefault((entry.service, entry.event), []).append(entry)
    for (service, event), entries in found.items():
        first = entries[0]
        body = str(first.body)
        shown = repr(body[:SHOWN]) + ("…" if len(body) > SHOWN else "")
        often = "" if len(entries) == 1 else f" ({len(entries)} times)"
        text = f"{event} from {service} says it is {first.properties['content_type']}, but is no JSON{often}: {shown}"
        names = tuple(dict.fromkeys(entry.message for entry in entries))
        key = f"contract/content type/{service}/{event}"
        yield Finding(text=text, saga=first.saga, service=service, messages=names, key=key)


def _says_json(entry: Published) -> bool:
    declared = str(entry.properties.get("content_type") or "").partition(";")[0].strip().lower()
    encoding = str(entry.properties.get("content_encoding") or "identity").strip().lower()
    return (declared == "application/json" or declared.endswith("+json")) and encoding.startswith(TEXTUAL)


def _is_json(entry: Published) -> bool:
    """Say whether a body is, or may be, JSON.

    A history keeps JSON as data and all else as a text. A text that was JSON is longer on the wire, by its quotes at
    least; one that is too large to be kept whole may be anything.
    """
    if not isinstance(entry.body, str) or entry.size > LARGEST:
        return True
    return entry.size >= len(entry.body.encode(errors="surrogatepass")) + 2


# -- who emits, who handles


def _unhandled(case: Case) -> Iterator[Finding]:
    """Yield the events that reached nobody, in no run; what a saga declares is heard by whoever declared it."""
    senders: dict[str, Published] = {}
    handled: set[str] = set()
    for history in (case.history, *case.clean):
        queues = {entry.queue: entry for entry in history.of(Queue)}
        heard = {entry.queue for entry in history if isinstance(entry, Consumer | Delivered)}
        for entry in history.of(Published):
            if entry.owed is None or heard.intersection(entry.owed) or _waits(entry, queues):
                handled.add(entry.event)
    for entry in case.history.of(Published):
        senders.setdefault(entry.event, entry)
    declared = {event for saga in case.choreography.sagas.values() for event in declared_events(saga)}
    for event, entry in senders.items():
        if event in handled or event in declared or _ignored(case.choreography, event):
            continue
        where = ", ".join(map(repr, entry.owed or ()))
        why = f"nobody consumes {where}" if where else "no queue is bound for it"
        text = f"{event} is published by {entry.service or 'its driver'}, and nobody handles it: {why}"
        yield _advice(text, f"unhandled/{event}", entry.service, entry.message)


def _waits(entry: Published, queues: dict[str, Queue]) -> bool:
    """Say whether a message waits in a queue until its time has come, and is then dead-lettered to others."""
    timed = bool(entry.properties.get("expiration"))
    owed = [queues[queue].arguments for queue in entry.owed or () if queue in queues]
    return any("x-dead-letter-exchange" in each and (timed or "x-message-ttl" in each) for each in owed)


def _unemitted(case: Case) -> Iterator[Finding]:
    """Yield the events that a consumed queue is bound for by name, and that nobody ever published."""
    if not _all_tried(case):
        return
    histories = (case.history, *case.clean)
    emitted = {
        key for history in histories for entry in history.of(Published) for key in (entry.routing_key, entry.event)
    }
    for key, (queue, service) in _bound_by_name(case.history).items():
        if key in emitted or _ignored(case.choreography, key):
            continue
        text = f"{key} is what {service} waits for in {queue!r}, and nobody emits it in any of {_tried(case)}"
        yield _advice(text, f"unemitted/{key}", service)


def _bound_by_name(history: History) -> dict[str, tuple[str, str]]:
    """Return the routing keys that are bound without wildcards, each with its queue and who consumes that."""
    kinds = {entry.exchange: entry.kind for entry in history.of(Exchange)}
    consumers = {entry.queue: entry.service for entry in history.of(Consumer) if entry.service}
    dead_letters = {str(queue.arguments.get("x-dead-letter-exchange", "")) for queue in history.of(Queue)}
    bound: dict[tuple[str, str, str], str] = {}
    for entry in history.of(Binding):
        if entry.to_exchange or entry.target not in consumers or entry.source in dead_letters:
            continue
        where = entry.source, entry.target, entry.routing_key
        if not entry.bound:
            bound.pop(where, None)
        elif kinds.get(entry.source) in KEYED and entry.routing_key and not set("*#") & set(entry.routing_key):
            bound[where] = consumers[entry.target]
    return {key: (queue, service) for (_, queue, key), service in bound.items()}


def _undone_steps(case: Case) -> Iterator[Finding]:
    """Yield the declared steps that no clean saga took though one completed: most likely the name is another."""
    if not _all_tried(case):
        return
    runs = [run for history in case.clean for run in saga_runs(case.choreography, history)]
    emitted = {entry.event for history in case.clean for entry in history.of(Published)}
    for saga in case.choreography.sagas.values():
        if not any(run.declared == saga and run.outcome == "completed" for run in runs):
            continue
        for step in saga.steps:
            if step.does not in emitted:
                text = f"{step.does} is a step of sagas.{saga.name}, and nobody emits it in any of {_tried(case)}"
                yield _advice(text, f"unemitted/{step.does}")


def _all_tried(case: Case) -> bool:
    drove = {entry.driver for history in case.clean for entry in history.of(Drove) if entry.result == "ok"}
    failed = {
        run.declared.name
        for history in case.clean
        for run in saga_runs(case.choreography, history)
        if run.declared and run.outcome == "compensated"
    }
    failing = {saga.name for saga in case.choreography.sagas.values() if saga.fails}
    return bool(case.clean) and drove >= set(case.choreography.drivers) and failed >= failing


def _tried(case: Case) -> str:
    number = len(case.clean)
    return f"{number} clean {'run' if number == 1 else 'runs'} of all drivers"


def _ignored(choreography: Choreography, event: str) -> bool:
    return any(fnmatchcase(event, pattern) for pattern in choreography.events.ignore)


def _advice(text: str, key: str, service: str = "", *messages: str) -> Finding:
    return Finding(text=text, service=service, messages=messages, key=f"contract/{key}", warning=True)
