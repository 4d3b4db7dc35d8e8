"""Asking checkers, also such as a user wrote: one that breaks has not judged, and that is all it says."""

from __future__ import annotations

from collections.abc import Iterable
from traceback import extract_tb

from misstep.harness.checkers.verdict import Case, Checker, Verdict


def judge(case: Case, checkers: Iterable[Checker]) -> tuple[Verdict, ...]:
    """Return what each checker answers, in order.

    Args:
        case: What to judge.
        checkers: Whom to ask; one that raises, or answers with anything but a verdict, counts as ``unknown``.
    """
    return tuple(_ask(checker, case) for checker in checkers)


def _ask(checker: Checker, case: Case) -> Verdict:
    name = getattr(checker, "__name__", repr(checker))
    try:
        verdict: object = checker(case)
    except Exception as error:
        frame = extract_tb(error.__traceback__)[-1]
        reason = f"the checker broke: {type(error).__name__}: {error} (line {frame.lineno} of {frame.filename})"
        return Verdict(checker=name, answer="unknown", reason=reason)
    if not isinstance(verdict, Verdict):
        return Verdict(checker=name, answer="unknown", reason=f"the checker returned {verdict!r}, expected a Verdict")
    return verdict
