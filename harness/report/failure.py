"""Why a run is not valid, as text: the plan, the evidence, the timeline, how to see it again."""

from __future__ import annotations

from collections.abc import Iterator

from misstep.harness.checkers.verdict import Verdict
from misstep.harness.choreography.words import Choreography
from misstep.harness.history import entries
from misstep.harness.history.history import History
from misstep.harness.history.timeline import timeline
from misstep.harness.plan import Plan
from misstep.harness.runner import Run

MOST_FINDINGS = 8
MARGIN = " " * 11


def failure_text(choreography: Choreography, run: Run, *, again: str = "") -> str:
    """Return why a run is invalid or unknown, for a person who must mend it.

    Args:
        choreography: What ran.
        run: The run.
        again: How to see it again; left out where empty.
    """
    parts = [
        headline(choreography, run),
        "\n".join(plan_lines(run.plan)),
        "\n".join(verdict_lines(run.verdicts)),
        story_text(choreography, run.history, sagas=concerned(run)),
        again,
    ]
    return "\n\n".join(part for part in parts if part)


def headline(choreography: Choreography, run: Run) -> str:
    """Return what a run comes to, in a line."""
    reminder = ", and what is not known to be valid does not pass" if run.answer == "unknown" else ""
    return f"{choreography.name}: {run.answer} on {run.stage}{reminder}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield a plan in words, a line for each drive and fault."""
    for number, drive in enumerate(plan.drives, 1):
        data = ", ".join(f"{name}={value!r}" for name, value in drive.data.items())
        yield f"saga {number}: {drive.driver}({data})"
    for number, fault in enumerate(plan.faults, 1):
        yield f"fault {number}: {fault}"


def verdict_lines(verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    """Yield what each checker answers, those that matter most first; evidence is indented below.

    One that was not asked comes last, with the lines of the choreography file that would ask it.
    """
    order = {"invalid": 0, "unknown": 1, "valid": 2, "not asked": 3}
    for verdict in sorted(verdicts, key=lambda each: order[each.answer]):
        first, *rest = (verdict.reason if verdict.answer != "valid" else "").splitlines() or [""]
        yield f"{verdict.checker:<10} {verdict.answer}{f': {first}' if first else ''}"
        yield from (f"{MARGIN}{line}" for line in rest)
        for finding in verdict.findings[:MOST_FINDINGS]:
            yield f"{MARGIN}{'warning: ' if finding.warning else ''}{finding.text}"
        if len(verdict.findings) > MOST_FINDINGS:
            yield f"{MARGIN}… and {len(verdict.findings) - MOST_FINDINGS} more"


def concerned(run: Run) -> tuple[int, ...]:
    """Return the sagas that evidence points at; all of them where it points at none."""
    found = {finding.saga for verdict in run.verdicts for finding in verdict.findings if not finding.warning}
    return tuple(sorted(found - {0})) or tuple(range(1, len(run.plan.drives) + 1))


def story_text(choreography: Choreography, history: History, sagas: tuple[int, ...] | None = None) -> str:
    """Return the timelines of sagas, all of them where None."""
    numbers = sagas or tuple(sorted({drove.saga for drove in history.of(entries.Drove)}))
    return "\n\n".join(f"timeline of saga {number}\n{timeline(history, number)}" for number in numbers)
