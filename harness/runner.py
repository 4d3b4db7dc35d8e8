"""The result of a run, in words that go anywhere as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from misstep.harness.checkers.verdict import Answer, Verdict
from misstep.harness.history.history import History
from misstep.harness.plan import Plan

if TYPE_CHECKING:
    pass


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
