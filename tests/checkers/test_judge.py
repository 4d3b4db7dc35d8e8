from __future__ import annotations

from dataclasses import replace

from misstep.harness.checkers.judge import judge
from misstep.harness.checkers.registry import BUILT_IN
from misstep.harness.checkers.vacuity import vacuity
from misstep.harness.checkers.verdict import Case, Finding, Verdict, overall
from misstep.harness.history.entries import Note, Published

from .stories import WHOLE, Story, case, completed


def test_a_fault_that_never_fired_leaves_the_run_unknown() -> None:
    story = completed()
    story.fault("armed")
    verdict = vacuity(case(story.quiet()))
    assert verdict.answer == "unknown"
    assert "fault 1 never fired: process.crash at ack of anything by payment" in verdict.reason


def test_a_run_that_showed_something_is_valid() -> None:
    story = completed()
    story.fault("armed", "fired", "healed")
    verdict = vacuity(case(story.quiet()))
    assert (verdict.answer, verdict.asked) == ("valid", 2)


def test_a_saga_that_never_started_leaves_the_run_unknown() -> None:
    story = Story().stage()
    story.drive(result="fail")
    assert "no saga started" in vacuity(case(story.quiet())).reason
    assert "no driver was run" in vacuity(case(Story().stage().quiet())).reason


def test_a_stimulus_of_which_nothing_is_known_leaves_the_run_unknown_though_another_saga_started() -> None:
    story = completed()
    story.drive(2, "B", result="unknown")
    assert "nobody can say what became of 'place'" in vacuity(case(story.quiet())).reason
    story = completed()
    story.drive(2, "B", result="fail")
    assert vacuity(case(story.quiet())).answer == "valid", "a stimulus that was refused need start nothing"


def test_a_run_cut_short_is_unknown() -> None:
    assert "cut short" in vacuity(case(completed())).reason


def test_a_note_that_the_harness_saw_too_little_is_heeded() -> None:
    story = completed()
    story.add(Note, what="bypass", text="payment talks to the broker past its link", unknown=True)
    assert "past its link" in vacuity(case(story.quiet())).reason


def test_a_checker_that_breaks_is_unknown_and_says_why() -> None:
    def fragile(case: Case) -> Verdict:
        raise KeyError("order")

    (verdict,) = judge(case(completed()), [fragile])
    assert (verdict.checker, verdict.answer) == ("fragile", "unknown")
    assert "KeyError: 'order'" in verdict.reason


def test_a_checker_that_returns_no_verdict_is_unknown() -> None:
    def forgetful(case: Case) -> Verdict:
        return None  # type: ignore[return-value]

    assert judge(case(completed()), [forgetful])[0].answer == "unknown"


def test_a_checker_of_ones_own_is_a_function() -> None:
    def no_order_without_customer(case: Case) -> Verdict:
        placed = [entry for entry in case.history.of(Published) if entry.event == "order.placed"]
        wrong = [entry for entry in placed if not (isinstance(entry.body, dict) and entry.body.get("customer"))]
        findings = tuple(Finding(text=f"{entry.message} names no customer", saga=entry.saga) for entry in wrong)
        answer = "invalid" if findings else "valid" if placed else "unknown"
        return Verdict(checker="customer", answer=answer, findings=findings, asked=len(placed))  # type: ignore[arg-type]

    (verdict,) = judge(case(completed().quiet()), [no_order_without_customer])
    assert verdict.answer == "invalid"


def test_a_whole_run_is_judged_by_all_checkers() -> None:
    story = completed().quiet().measured(A=1).probed(1)
    clean = completed("B").quiet().measured(B=1).probed(1)
    verdicts = judge(case(story, clean, choreography=replace(WHOLE, views={})), BUILT_IN)
    assert {
        verdict.checker: verdict.answer for verdict in verdicts if verdict.answer not in ("valid", "not asked")
    } == {}
    assert overall(verdicts) == "valid"
