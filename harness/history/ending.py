"""How each saga of a run went, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from misstep.harness.choreography.words import Choreography, Ending, Saga
from misstep.harness.history.entries import Drove, Published, Result
from misstep.harness.history.history import History
from misstep.harness.history.messages import Messages, read_messages

Outcome: TypeAlias = Literal["completed", "compensated", "both", "open", "absent", "undeclared"]
"""How a saga stands: ``both`` completed and given up, ``open`` neither, ``absent`` no event of it was seen."""

Way: TypeAlias = tuple[str, Outcome, frozenset[str]]
"""The way a saga went: its driver, its outcome, and which of the declared events happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SagaRun:
    """One saga of one run.

    Attributes:
        number: Its ordinal: its driver's place in the plan.
        driver: Who started it; empty where that was not recorded.
        result: What became of the stimulus.
        declared: The saga as declared; None where none fits.
        correlations: All business keys that its driver and its messages named.
        published: Its messages that came to be, in order.
        outcome: How it stands.
        way: The way it went.
        began: When its stimulus or first message was.
        ended: When it ended; None when it has not.
    """

    number: int
    driver: str
    result: Result
    declared: Saga | None
    correlations: frozenset[str]
    published: tuple[Published, ...]
    outcome: Outcome
    way: Way
    began: float
    ended: float | None

    @property
    def ending(self) -> Ending | None:
        """How it ended; None when it has not, or not in one way."""
        return self.outcome if self.outcome in ("completed", "compensated") else None

    @property
    def title(self) -> str:
        """What to call it in a finding: by its ordinal and its business key."""
        key = min(self.correlations, key=lambda text: (len(text), text), default="")
        return f"saga {self.number}" + (f" ({key})" if key else "")

    def first(self, events: Iterable[str]) -> Published | None:
        """Return the first message that is one of these events."""
        wanted = frozenset(events)
        return next((entry for entry in self.published if entry.event in wanted), None)


def saga_runs(choreography: Choreography, history: History, messages: Messages | None = None) -> tuple[SagaRun, ...]:
    """Return the sagas of a run, by ordinal."""
    read = messages or read_messages(history)
    drove = {entry.saga: entry for entry in history.of(Drove)}
    seen: dict[int, list[Published]] = {number: [] for number in drove}
    for entry in read.happened:
        if entry.saga:
            seen.setdefault(entry.saga, []).append(entry)
    keys: dict[int, set[str]] = {}
    for entry in history.of(Published):
        keys.setdefault(entry.saga, set()).add(entry.correlation)
    return tuple(
        _saga_run(choreography, number, drove.get(number), seen[number], keys.get(number, set()))
        for number in sorted(seen)
    )


def _saga_run(
    choreography: Choreography, number: int, drove: Drove | None, published: list[Published], keys: set[str]
) -> SagaRun:
    declared = _declared(choreography, drove, published)
    events = {entry.event for entry in published}
    outcome = _outcome(declared, events)
    named = declared_events(declared) if declared else frozenset()
    ends = [*declared.completes, *declared.fails] if declared else []
    return SagaRun(
        number=number,
        driver=drove.driver if drove else "",
        result=drove.result if drove else "unknown",
        declared=declared,
        correlations=frozenset(keys | ({drove.correlation} if drove else set())) - {""},
        published=tuple(published),
        outcome=outcome,
        way=(drove.driver if drove else "", outcome, named & events),
        began=min([entry.at for entry in published[:1]] + ([drove.at] if drove else []), default=0.0),
        ended=next((entry.at for entry in published if entry.event in ends), None),
    )


def ending(choreography: Choreography, history: History, saga: int) -> Ending | None:
    """Return how a saga ended; None while it has not, or was given up with a step done and not undone.

    Args:
        choreography: What was declared.
        history: What happened so far.
        saga: The saga's ordinal.
    """
    run = next((run for run in saga_runs(choreography, history) if run.number == saga), None)
    if run is None or run.declared is None:
        return None
    undone = all(run.first([step.undoes]) for step in run.declared.steps if step.undoes and run.first([step.does]))
    return run.ending if run.outcome != "compensated" or undone else None


def declared_events(saga: Saga) -> frozenset[str]:
    """Return every event that a saga's declaration names."""
    steps = {event for step in saga.steps for event in (step.does, step.undoes) if event}
    return frozenset({saga.starts, *saga.completes, *saga.fails} | steps)


def _declared(choreography: Choreography, drove: Drove | None, published: list[Published]) -> Saga | None:
    driver = choreography.drivers.get(drove.driver) if drove else None
    if driver and driver.saga:
        return choreography.sagas.get(driver.saga)
    if len(choreography.sagas) == 1:
        return next(iter(choreography.sagas.values()))
    events = {entry.event for entry in published}
    return next((saga for saga in choreography.sagas.values() if saga.starts in events), None)


def _outcome(declared: Saga | None, events: set[str]) -> Outcome:
    if not events:
        return "absent"
    if declared is None:
        return "undeclared"
    completed, failed = events & set(declared.completes), events & set(declared.fails)
    if completed and failed:
        return "both"
    return "completed" if completed else "compensated" if failed else "open"
