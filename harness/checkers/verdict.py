"""The port of a checker, and what it answers.

A checker is a pure function of a history: no clock, no I/O, no randomness. It answers ``valid``, ``invalid`` with
    findings,
``unknown`` when it could not judge (it saw nothing it was asked to see, or the run itself was cut short), or ``not
asked`` when nothing was declared that it could judge, with the lines of the choreography file that would ask it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from misstep.harness.choreography.words import Choreography
from misstep.harness.history.history import History

Answer: TypeAlias = Literal["valid", "invalid", "unknown", "not asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One piece of evidence.

    Attributes:
        text: What is wrong, in one sentence with the values that show it: ``charge of order 17 happened 2 times,
            expected 1``.
        saga: The saga's ordinal; 0 when it concerns none.
        service: The service it points at; empty when it points at none.
        messages: Causal names of the messages concerned.
        key: Groups findings of the same kind across runs, free of generated values: ``effects/charge/2``.
        warning: Whether it is advice that leaves the verdict valid unless ``--strict``.
    """

    text: str
    saga: int = 0
    service: str = ""
    messages: tuple[str, ...] = ()
    key: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one checker answers for one run.

    Attributes:
        checker: The checker's name: ``effects``, ``ledger``, ``saga``, ``parity``, ``view``, ``progress``,
            ``cycle``, ``wire``.
        answer: Its answer.
        findings: Evidence for ``invalid``, and warnings.
        reason: Why it is unknown; or, where it was not asked, the lines to add to the choreography file.
        asked: How many things it judged: sagas, obligations, effects.
    """

    checker: str
    answer: Answer
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    asked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a checker may look at.

    Attributes:
        choreography: What was declared.
        history: What happened.
        clean: Histories of fault-free runs of the same drivers, to compare with; empty where there are none yet.
    """

    choreography: Choreography
    history: History
    clean: tuple[History, ...] = ()


class Checker(Protocol):
    """Judges one aspect of a run."""

    @property
    def __name__(self) -> str:
        """The checker's name."""

    def __call__(self, case: Case) -> Verdict:
        """Return the verdict; an exception counts as unknown."""


def overall(verdicts: Iterable[Verdict], *, strict: bool = False) -> Answer:
    """Return the verdict on a whole run: invalid beats unknown beats valid.

    Args:
        verdicts: What the checkers answered.
        strict: Whether warnings count as invalid.

    Returns:
        ``unknown`` as well where no checker was asked at all: nothing was judged, so nothing passed.
    """
    given = list(verdicts)
    if any(v.answer == "invalid" or (strict and v.findings) for v in given):
        return "invalid"
    if any(v.answer == "unknown" for v in given) or not any(v.answer == "valid" for v in given):
        return "unknown"
    return "valid"
