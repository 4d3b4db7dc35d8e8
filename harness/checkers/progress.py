"""G: does the system come to rest and stay able: no storm, nobody gone, nothing left behind?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from misstep.harness.checkers.soundness import last_processes, last_quiet, unsound
from misstep.harness.checkers.verdict import Case, Finding, Verdict
from misstep.harness.history.consuming import bereft, consumers_at_end, consumers_at_start
from misstep.harness.history.entries import Consumer, Delivered, FaultEvent, Lost, Process, Published, Quiet, Settled
from misstep.harness.history.history import History
from misstep.harness.history.messages import queue_labels

OWN = (" timers of faults", " drivers in flight", " is starting", " could not be counted")
"""How lines of what moves end that tell of misstep's own work, or of what it could not see."""


def progress(case: Case) -> Verdict:
    """Judge whether a run came to rest, and whether everybody was still able to work when it had.

    * A message that is delivered from one queue, or published, more often than ``[progress] attempts`` and once more
      for each fault that fired is a storm.
    * Once all faults are healed, these are invalid: not to be quiet by the deadline, a service that ended by itself and
      is not back, one that is up and has lost its consumers, and messages left in a queue that is consumed. They are
      unknown where a fault was never healed, or the harness itself broke.
    """
    history = case.history
    storms = [*_redelivered(case), *_republished(case)]
    asked = len(_deliveries(history)) + len(last_processes(history))
    why = unsound(history)
    quiet = last_quiet(history)
    stuck = [*_exited(history), *_lost_consumers(case), *_still_moving(case, quiet), *_left_behind(history, quiet)]
    if storms or (stuck and not why):
        found = storms if why else storms + stuck
        return Verdict(checker="progress", answer="invalid", findings=tuple(found), asked=asked)
    why = why or _undecided(quiet) or ("" if asked else "no service and no delivery was seen")
    if why:
        return Verdict(checker="progress", answer="unknown", findings=tuple(stuck), reason=why, asked=asked)
    return Verdict(checker="progress", answer="valid", asked=asked)


def _undecided(quiet: Quiet | None) -> str:
    if quiet is None or quiet.quiet:
        return ""
    lines = "; ".join(quiet.moving)
    if lines:
        return f"misstep itself was not done by the deadline: {lines}"
    return f"the run was never silent for {quiet.waited:g} s before its deadline: raise [quiet] within"


# -- storms


def _bound(case: Case) -> tuple[int, str]:
    fired = sum(1 for entry in case.history.of(FaultEvent) if entry.what == "fired")
    attempts = case.choreography.progress.attempts
    faults = f" and {fired} that faults may have caused" if fired else ""
    return attempts + fired, f"more than the {attempts} that are allowed{faults}"


def _deliveries(history: History) -> dict[tuple[str, str], list[Delivered]]:
    """Return the deliveries of each message from each queue, misstep's copies left out.

    Strangers share a name: of what belongs to no saga, only what the broker says it delivers again is counted.
    """
    found: dict[tuple[str, str], list[Delivered]] = {}
    for entry in history.of(Delivered):
        if entry.copy or not entry.message:
            continue
        known = found.setdefault((entry.message, entry.queue), [])
        if entry.saga or entry.redelivered or not known:
            known.append(entry)
    return found


def _redelivered(case: Case) -> Iterator[Finding]:
    bound, allowed = _bound(case)
    labels = queue_labels(case.history)
    back = Counter(
        (entry.message, entry.queue) for entry in case.history.of(Settled) if entry.requeue and entry.by == "service"
    )
    for (message, queue), deliveries in _deliveries(case.history).items():
        if len(deliveries) <= bound:
            continue
        first, label = deliveries[0], labels.get(queue, queue)
        times = back[message, queue]
        given_back = f"; {first.service} put it back {times} times" if times else ""
        yield Finding(
            text=f"{message} was delivered {len(deliveries)} times from queue {label!r}, {allowed}{given_back}",
            saga=first.saga,
            service=first.service,
            messages=(message,),
            key=f"progress/redelivered/{first.event}/{label}",
        )


def _republished(case: Case) -> Iterator[Finding]:
    bound, allowed = _bound(case)
    lost = Counter(entry.message for entry in case.history.of(Lost))
    first: dict[str, Published] = {}
    times: Counter[str] = Counter()
    for entry in case.history.of(Published):
        first.setdefault(entry.message, entry)
        times[entry.message] += 1
    for message, number in (times - lost).items():
        if number > bound:
            entry = first[message]
            yield Finding(
                text=f"{message} was published {number} times by {entry.service or 'its driver'}, {allowed}",
                saga=entry.saga,
                service=entry.service,
                messages=(message,),
                key=f"progress/republished/{entry.service}/{entry.event}",
            )


# -- at rest, and able


def _still_moving(case: Case, quiet: Quiet | None) -> Iterator[Finding]:
    if quiet is None or quiet.quiet:
        return
    told = {line for _, line in _bereft(case)}
    lines = [line for line in quiet.moving if line not in told and not line.endswith(OWN)]
    if lines:
        within = case.choreography.quiet.within
        text = f"{within:g} s after the last fault had healed there was still something moving: {'; '.join(lines)}"
        if not case.history.of(FaultEvent):
            text = f"something was still moving after {within:g} s: {'; '.join(lines)}"
        yield Finding(text=text, key="progress/not quiet")


def _exited(history: History) -> Iterator[Finding]:
    """Yield each service that ended by itself and is not back; what stood so when the run began is not of this run."""
    began: set[str] = set()
    ended: dict[str, Process] = {}
    for entry in history.of(Process):
        if entry.what == "exited" and entry.service in began:
            ended.setdefault(entry.service, entry)
        elif entry.what == "ready":
            ended.pop(entry.service, None)
        began.add(entry.service)
    for service, entry in ended.items():
        how = f" ({entry.detail})" if entry.detail else ""
        text = f"service {service} ended by itself {entry.at:.3f} s into the run{how}, and is not back"
        yield Finding(text=text, service=service, key=f"progress/exited/{service}")


def _lost_consumers(case: Case) -> Iterator[Finding]:
    for service, line in _bereft(case):
        text = f"{line}, though its process is up: it looks healthy, and messages to it wait"
        yield Finding(text=text, service=service, key=f"progress/consumers/{service}")


def _bereft(case: Case) -> Iterator[tuple[str, str]]:
    processes = last_processes(case.history)
    clean = [consumers_at_end(history) for history in case.clean]
    for service, line in bereft(consumers_at_start(case.history), consumers_at_end(case.history), clean):
        if service not in processes or processes[service].what == "ready":
            yield service, line


def _left_behind(history: History, quiet: Quiet | None) -> Iterator[Finding]:
    """Yield each queue that has messages although it is consumed; while all still moves, that is told already."""
    if quiet is None or not quiet.quiet:
        return
    consumers: Counter[tuple[str, str]] = Counter()
    for entry in history.of(Consumer):
        consumers[entry.queue, entry.service] += 1 if entry.consuming else -1
    processes = last_processes(history)
    labels = queue_labels(history)
    for queue, number in quiet.queues.items():
        by = sorted(
            service
            for (name, service), count in consumers.items()
            if name == queue and count > 0 and (service not in processes or processes[service].what == "ready")
        )
        if by and number:
            label = labels.get(queue, queue)
            messages = "1 message was" if number == 1 else f"{number} messages were"
            text = f"{messages} left in queue {label!r}, which {' and '.join(by)} consumes"
            yield Finding(text=text, service=by[0], key=f"progress/left behind/{label}")
