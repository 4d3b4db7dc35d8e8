"""Run a plan on a stage, and judge what happened.

``run`` is the one way from a plan to a verdict: the explorer, the pytest plugin and the commands all go through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from misstep.harness.checkers.judge import judge
from misstep.harness.checkers.own import checkers_of
from misstep.harness.checkers.verdict import Answer, Case, Checker, Verdict, overall
from misstep.harness.disturbance import Arm
from misstep.harness.history.history import History
from misstep.harness.plan import Plan
from misstep.harness.stage.performance import Performance
from misstep.harness.stage.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One plan, run once.

    Attributes:
        plan: What was to be done.
        history: What happened.
        verdicts: What each checker answers.
        answer: The verdict on the whole.
        stage: Which stage it ran on: ``embedded``, ``local``, ``docker``, ``remote``.
        warm: Whether services and stores had served earlier runs.
        seconds: How long it took.
    """

    plan: Plan
    history: History
    verdicts: tuple[Verdict, ...]
    answer: Answer
    stage: str
    warm: bool = False
    seconds: float = 0.0


async def run(
    stage: Stage,
    plan: Plan,
    *,
    arm: Arm,
    clean: Sequence[History] = (),
    checkers: Sequence[Checker] | None = None,
    strict: bool = False,
) -> Run:
    """Run a plan on an open stage and judge it.

    Args:
        stage: Where; a stage that has served earlier runs serves this one warm.
        plan: What to drive, and which faults to make.
        arm: Makes faults of the plan's data.
        clean: Histories of fault-free runs of the same drives, to learn from and to compare with.
        checkers: Who judges; by default all that are built in, and those that the choreography names.
        strict: Whether warnings count as invalid.

    Raises:
        PlanError: The plan does not fit the choreography.
        ChoreographyError: A checker that it names is not there.
    """
    judges = checkers_of(stage.choreography) if checkers is None else checkers
    performance = Performance(stage, plan, arm, clean)
    history = await performance.perform()
    return judged(stage, plan, history, clean=clean, checkers=judges, strict=strict, warm=performance.warm)


def judged(
    stage: Stage,
    plan: Plan,
    history: History,
    *,
    clean: Sequence[History] = (),
    checkers: Sequence[Checker] | None = None,
    strict: bool = False,
    warm: bool = False,
) -> Run:
    """Ask every checker about what happened; a stage on which all was not valid is spoilt by it."""
    judges = checkers_of(stage.choreography) if checkers is None else checkers
    verdicts = judge(Case(choreography=stage.choreography, history=history, clean=tuple(clean)), judges)
    answer = overall(verdicts, strict=strict)
    if answer != "valid":
        stage.spoilt = stage.spoilt or f"a run on it was {answer}"
    return Run(
        plan=plan,
        history=history,
        verdicts=verdicts,
        answer=answer,
        stage=stage.means.kind,
        warm=warm,
        seconds=stage.now(),
    )
