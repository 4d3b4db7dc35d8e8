"""The run itself: did it show anything at all? A pass that nothing was asked of is no pass."""

from __future__ import annotations

from misstep.harness.checkers.soundness import last_quiet
from misstep.harness.checkers.verdict import Case, Verdict
from misstep.harness.history.ending import saga_runs
from misstep.harness.history.entries import Drove, FaultEvent, Note


def vacuity(case: Case) -> Verdict:
    """Judge whether each fault fired, a saga started, and the harness saw the run to its end.

    It is never invalid: what it finds says nothing about the system, and leaves the run's verdict unknown.
    """
    faults = {entry.number: entry for entry in case.history.of(FaultEvent) if entry.what == "armed"}
    fired = {entry.number for entry in case.history.of(FaultEvent) if entry.what == "fired"}
    reasons = [f"fault {number} never fired: {entry.fault}" for number, entry in faults.items() if number not in fired]
    runs = saga_runs(case.choreography, case.history)
    started = sum(1 for run in runs if run.published)
    drove = case.history.of(Drove)
    if not drove:
        reasons.append("no driver was run")
    elif not started:
        results = ", ".join(f"{entry.driver!r} {entry.result} {entry.detail}".strip() for entry in drove)
        reasons.append(f"no saga started ({results})")
    else:
        blind = [run for run in runs if run.result == "unknown" and not run.published]
        details = {entry.saga: entry.detail for entry in drove}
        reasons += [
            f"nobody can say what became of {run.driver!r}, and no event was seen of its saga {run.number}"
            f"{': ' * bool(details[run.number])}{details[run.number]}"
            for run in blind
            if run.number in details
        ]
    reasons += [f"{note.what}: {note.text}" for note in case.history.of(Note) if note.unknown]
    if last_quiet(case.history) is None:
        reasons.append("the run was cut short before it fell quiet")
    asked = len(faults) + len(drove)
    if reasons:
        return Verdict(checker="vacuity", answer="unknown", reason="; ".join(reasons), asked=asked)
    return Verdict(checker="vacuity", answer="valid", asked=asked)
