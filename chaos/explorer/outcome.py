"""What a search found, in words that go anywhere as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
from misstep.chaos.explorer.order import Item
from misstep.harness.checkers.verdict import Finding, Verdict
from misstep.harness.exit_status import INVALID, UNKNOWN, VALID
from misstep.harness.history.entries import FaultEvent
from misstep.harness.plan import Plan
from misstep.harness.runner import Run

TrialAnswer: TypeAlias = Literal["valid", "invalid", "unknown", "vacuous", "flaky"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One plan, tried.

    Attributes:
        plan: The plan.
        answer: ``valid``; ``invalid``, confirmed fresh or the same as one that was; ``vacuous``, where a fault did not
            fire; ``flaky``, where it failed and did not fail again; ``unknown``.
        kind: The kind of its fault; of several, joined by ``+``.
        service: The service that its first fault befalls.
        why: The evidence, or why it is unknown.
        seconds: How long it took, confirmation and shrinking left out.
        same_as: The digest of the failing plan that shows the same findings; empty for that one itself.
    """

    plan: Plan
    answer: TrialAnswer
    kind: str
    service: str
    why: str = ""
    seconds: float = 0.0
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failing plan, confirmed and made as small as it gets.

    Attributes:
        plan: The smallest plan.
        found: The plan that failed first.
        run: A fresh run of the smallest plan.
        failed, of: How many of how many fresh runs failed.
        shrinks: How many plans were tried to make it smaller.
        file: Where it is saved; empty when it is not.
    """

    plan: Plan
    found: Plan
    run: Run
    failed: int
    of: int
    shrinks: int = 0
    file: str = ""

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """What is wrong, each with its checker."""
        return findings(self.run.verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """A search, at its end.

    Attributes:
        choreography: What was searched.
        stage: Where.
        seed: The seed of all plans.
        drivers: The drivers that were run.
        trials: Every plan that was tried, in order.
        failures: The failing plans, each different.
        not_tried: Plans there was no time for.
        equivalent: How many plans were left out since another does the same.
        ended: Why no fault was tried at all, where the clean runs did not allow it; empty otherwise.
        red: The clean run that was invalid, where one was.
        notes: What else a reader must know.
        seconds: How long it took.
    """

    choreography: str
    stage: str
    seed: int
    drivers: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    failures: tuple[Failure, ...] = ()
    not_tried: tuple[Item, ...] = ()
    equivalent: int = 0
    ended: str = ""
    red: Run | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def counts(self) -> Counter[str]:
        """How many trials answered what."""
        return Counter(trial.answer for trial in self.trials)

    @property
    def exit_status(self) -> int:
        """0 where all that was tried is valid, 1 where something is invalid, 2 where something remains unknown."""
        if self.red is not None or self.failures or self.counts["invalid"]:
            return INVALID
        if self.ended or not self.trials or self.counts["valid"] < len(self.trials):
            return UNKNOWN
        return VALID

    def to_json(self) -> dict[str, Any]:
        """Return all of it but the histories, as plain data."""
        return {
            "choreography": self.choreography,
            "stage": self.stage,
            "seed": self.seed,
            "drivers": list(self.drivers),
            "exit_status": self.exit_status,
            "ended": self.ended,
            "counts": dict(self.counts),
            "seconds": round(self.seconds, 3),
            "trials": [plain_trial(trial) for trial in self.trials],
            "failures": [plain_failure(failure) for failure in self.failures],
            "not_tried": [plain_plan(item.plan) for item in self.not_tried],
            "equivalent": self.equivalent,
            "red": None if self.red is None else plain_findings(self.red.verdicts),
            "notes": list(self.notes),
        }


def findings(verdicts: Iterable[Verdict], *, strict: bool = False) -> tuple[tuple[str, Finding], ...]:
    """Return what makes a run invalid, each with its checker; warnings only where ``strict``."""
    return tuple(
        (verdict.checker, finding)
        for verdict in verdicts
        if verdict.answer == "invalid" or strict
        for finding in verdict.findings
        if strict or not finding.warning
    )


def keys(verdicts: Iterable[Verdict], *, strict: bool = False) -> frozenset[str]:
    """Return what findings are called across runs, free of generated values."""
    return frozenset(
        f"{checker}: {finding.key or finding.text}" for checker, finding in findings(verdicts, strict=strict)
    )


def unfired(run: Run) -> tuple[int, ...]:
    """Return the numbers of the plan's faults that did not fire, from 1."""
    fired = {entry.number for entry in run.history.of(FaultEvent) if entry.what == "fired"}
    return tuple(number for number, _ in enumerate(run.plan.faults, 1) if number not in fired)


def answer_of(run: Run, *, strict: bool = False) -> TrialAnswer:
    """Return what a run says of its plan; where a fault did not fire, a good end says nothing."""
    if run.answer == "invalid" or (strict and findings(run.verdicts, strict=True)):
        return "invalid"
    if unfired(run):
        return "vacuous"
    return "valid" if run.answer == "valid" else "unknown"


def reason(run: Run, *, strict: bool = False) -> str:
    """Return why a run is not valid, in a line; empty where it is."""
    answer = answer_of(run, strict=strict)
    if answer == "invalid":
        return "; ".join(f"{checker}: {finding.text}" for checker, finding in findings(run.verdicts, strict=strict))
    if answer == "vacuous":
        return "; ".join(f"never fired: {run.plan.faults[number - 1]}" for number in unfired(run))
    if answer == "unknown":
        reasons = [f"{v.checker}: {v.reason}" for v in run.verdicts if v.answer == "unknown"]
        return "; ".join(reasons) or "no checker was asked anything"
    return ""


def plain_trial(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data."""
    return {
        "digest": trial.plan.digest,
        "plan": plain_plan(trial.plan),
        "answer": trial.answer,
        "kind": trial.kind,
        "service": trial.service,
        "why": trial.why,
        "seconds": round(trial.seconds, 3),
        "same_as": trial.same_as,
    }


def plain_failure(failure: Failure) -> dict[str, Any]:
    """Return a failure as plain data, its history left out."""
    return {
        "digest": failure.plan.digest,
        "plan": plain_plan(failure.plan),
        "found": plain_plan(failure.found),
        "failed": failure.failed,
        "of": failure.of,
        "stage": failure.run.stage,
        "findings": plain_findings(failure.run.verdicts),
        "file": failure.file,
    }


def plain_plan(plan: Plan) -> Any:
    """Return a plan as plain data."""
    return msgspec.json.decode(plan.to_json())


def plain_findings(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Return what makes a run invalid as plain data."""
    return [
        {"checker": checker, "text": finding.text, "service": finding.service, "key": finding.key}
        for checker, finding in findings(verdicts)
    ]
