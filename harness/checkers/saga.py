"""S: did every saga end completed everywhere, or compensated everywhere, in an allowed order, in time?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from misstep.harness.checkers.soundness import last_disturbance, last_quiet, unsound
from misstep.harness.checkers.verdict import Answer, Case, Finding, Verdict
from misstep.harness.choreography.words import Saga
from misstep.harness.history.ending import SagaRun, saga_runs
from misstep.harness.history.entries import Published
from misstep.harness.history.history import History

HOW = """add the saga to the choreography:
[sagas.NAME]
starts = "EVENT"
completes = "EVENT"
fails = "EVENT"
steps = [ { does = "EVENT", undoes = "EVENT" } ]"""


def saga(case: Case) -> Verdict:
    """Judge how each saga ended.

    * A saga that both completed and was given up is invalid, as is one that completed with a step undone or not done,
      or was given up with a step done and not undone since.
    * A later step before an earlier one is invalid where clean runs showed that one leads to the other.
    * One that has not ended, or ended later than declared, is invalid; it is unknown where the run never fell quiet, or
      a fault was never healed.
    * A stimulus that was accepted and started nothing is invalid where it starts a saga in clean runs, else unknown.
    """
    if not case.choreography.sagas:
        return Verdict(checker="saga", answer="not asked", reason=HOW)
    runs = saga_runs(case.choreography, case.history)
    order = _learned_order(case)
    done_cleanly = _learned_steps(case)
    wrong: list[Finding] = []
    open_: list[Finding] = []
    asked = 0
    for run in runs:
        if run.declared is None:
            continue
        asked += run.outcome != "absent"
        wrong += _wrong_ending(run, run.declared, done_cleanly)
        wrong += _wrong_order(run, run.declared, order)
        open_ += _not_ended(case, run, run.declared)
    wrong += _late(case.history, runs)
    if not wrong and not open_ and (blind := _never_seen(case, runs)):
        return Verdict(checker="saga", answer="unknown", reason=blind, asked=asked)
    return _verdict(case, asked, wrong, open_)


def _verdict(case: Case, asked: int, wrong: list[Finding], open_: list[Finding]) -> Verdict:
    if wrong:
        return Verdict(checker="saga", answer="invalid", findings=tuple(wrong + open_), asked=asked)
    if open_:
        quiet = last_quiet(case.history)
        why = unsound(case.history) or ("" if quiet and quiet.quiet else "the run had not fallen quiet by its deadline")
        answer: Answer = "unknown" if why else "invalid"
        return Verdict(checker="saga", answer=answer, findings=tuple(open_), reason=why, asked=asked)
    if not asked:
        return Verdict(checker="saga", answer="unknown", reason="no saga was started", asked=0)
    return Verdict(checker="saga", answer="valid", asked=asked)


def _wrong_ending(run: SagaRun, declared: Saga, done_cleanly: dict[str, frozenset[str]]) -> Iterator[Finding]:
    if run.outcome == "both":
        ended = [entry for entry in run.published if entry.event in (*declared.completes, *declared.fails)]
        text = f"{run.title} completed and was given up: {', then '.join(entry.event for entry in ended)}"
        yield _finding(run, text, "both", *ended)
    if run.outcome == "completed":
        yield from _incomplete(run, declared, done_cleanly.get(declared.name))
    if run.outcome in ("compensated", "both"):
        yield from _uncompensated(run, declared)


def _incomplete(run: SagaRun, declared: Saga, needed: frozenset[str] | None) -> Iterator[Finding]:
    for step in declared.steps:
        done, undone = run.first([step.does]), run.first([step.undoes] if step.undoes else [])
        if undone:
            text = f"{run.title} completed, though {step.does} was undone by {undone.event} (from {undone.service})"
            yield _finding(run, text, f"undone/{step.does}", undone)
        elif not done and (needed is None or step.does in needed):
            yield _finding(run, f"{run.title} completed, though {step.does} never happened", f"missing/{step.does}")


def _uncompensated(run: SagaRun, declared: Saga) -> Iterator[Finding]:
    place = {entry.message: number for number, entry in enumerate(run.published)}
    for step in declared.steps:
        done = [entry for entry in run.published if entry.event == step.does]
        undone = [entry for entry in run.published if step.undoes and entry.event == step.undoes]
        if not done or not step.undoes:
            continue
        if not undone:
            text = (
                f"{run.title} was given up, but {step.does} (from {done[0].service}) was never undone by {step.undoes}"
            )
            yield _finding(run, text, f"not undone/{step.does}", *done)
        elif place[done[0].message] > place[undone[-1].message]:
            text = f"{run.title} was given up, but {step.does} happened after {step.undoes}, and stays done"
            yield _finding(run, text, f"done after undone/{step.does}", undone[-1], done[0])


def _wrong_order(run: SagaRun, declared: Saga, order: frozenset[tuple[str, str]]) -> Iterator[Finding]:
    steps = [step.does for step in declared.steps] + list(declared.completes)
    place = {entry.message: number for number, entry in enumerate(run.published)}
    for before, after in combinations(steps, 2):
        first, second = run.first([before]), run.first([after])
        if (before, after) in order and first and second and place[second.message] < place[first.message]:
            text = f"{run.title} has {after} before {before}, which always leads to it in clean runs"
            yield _finding(run, text, f"order/{before}/{after}", second, first)


def _not_ended(case: Case, run: SagaRun, declared: Saga) -> Iterator[Finding]:
    if run.outcome == "open":
        last = run.published[-1]
        text = f"{run.title} never ended: its last event is {last.event} (from {last.service or 'its driver'})"
        yield _finding(run, f"{text}, expected {_either(declared)}", "open", last)
    elif run.outcome == "absent" and run.result == "ok" and _starts_cleanly(case, run.driver):
        text = f"{run.title} never started: its stimulus {run.driver!r} was accepted, but no {declared.starts} followed"
        yield _finding(run, text, "never started")


def _never_seen(case: Case, runs: tuple[SagaRun, ...]) -> str:
    """Say which stimulus was accepted and led to no event that is known as its saga's, in no clean run either."""
    for run in runs:
        if run.outcome == "absent" and run.result == "ok" and not _starts_cleanly(case, run.driver):
            return (
                f"no event was seen of the saga that {run.driver!r} starts: do events.type and events.correlation fit?"
            )
    return ""


def _late(history: History, runs: tuple[SagaRun, ...]) -> Iterator[Finding]:
    disturbed = last_disturbance(history)
    for run in runs:
        if run.declared is None or run.ended is None:
            continue
        took = run.ended - max(run.began, min(disturbed, run.ended))
        if took > run.declared.within:
            text = f"{run.title} took {took:.1f} s to end, more than the {run.declared.within:g} s that are declared"
            yield _finding(run, text, "late")


def _either(declared: Saga) -> str:
    return " or ".join((*declared.completes, *declared.fails))


def _starts_cleanly(case: Case, driver: str) -> bool:
    return any(
        run.driver == driver and run.published
        for history in case.clean
        for run in saga_runs(case.choreography, history)
    )


def _learned_steps(case: Case) -> dict[str, frozenset[str]]:
    """Return the events that every completed saga of the clean runs had, by the saga's name; nothing where none did."""
    needed: dict[str, frozenset[str]] = {}
    for history in case.clean:
        for run in saga_runs(case.choreography, history):
            if run.declared and run.outcome == "completed":
                events = frozenset(entry.event for entry in run.published)
                needed[run.declared.name] = needed.get(run.declared.name, events) & events
    return needed


def _learned_order(case: Case) -> frozenset[tuple[str, str]]:
    """Return the pairs of events of which, in every clean run that has both, the first leads to the second."""
    led: set[tuple[str, str]] = set()
    not_led: set[tuple[str, str]] = set()
    for history in case.clean:
        for run in saga_runs(case.choreography, history):
            causes = {entry.message: entry for entry in run.published}
            events = {entry.event for entry in run.published}
            for entry in run.published:
                before = {cause.event for cause in _ancestors(entry, causes)}
                led |= {(event, entry.event) for event in before}
                not_led |= {(event, entry.event) for event in events - before}
    return frozenset(led - not_led)


def _ancestors(entry: Published, by_name: dict[str, Published]) -> Iterator[Published]:
    seen: set[str] = set()
    while entry.cause in by_name and entry.cause not in seen:
        seen.add(entry.cause)
        entry = by_name[entry.cause]
        yield entry


def _finding(run: SagaRun, text: str, key: str, *entries: Published) -> Finding:
    service = entries[0].service if entries else ""
    names = tuple(entry.message for entry in entries)
    return Finding(text=text, saga=run.number, service=service, messages=names, key=f"saga/{key}")
