from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.checkers.view import view
from misstep.harness.choreography.words import View
from misstep.harness.history.entries import Seen

from .stories import BARE, WHOLE, Story, case, completed

DOWN = "GET http://order/A was not answered: connection refused"


def watched(*values: str | None, quiet: bool = True) -> Story:
    """A saga that completes while a client sees these values; a value that starts with ``!`` is a look that failed."""
    story = completed()
    for value in values:
        error = DOWN if value and value.startswith("!") else ""
        story.add(Seen, view="status", saga=1, value=None if error else value, error=error)
    return story.quiet() if quiet else story


@pytest.mark.parametrize(
    "values",
    [
        ("pending", "confirmed", "shipped"),
        ("pending", "shipped"),  # The looks missed what was between.
        (None, "pending", "confirmed"),
        ("confirmed",),
        ("pending", "!", "pending", "confirmed"),
        ("!", "pending", "!", "shipped"),
    ],
)
def test_allowed_moves_are_valid(values: tuple[str | None, ...]) -> None:
    verdict = view(case(watched(*values)))
    assert (verdict.answer, verdict.asked) == ("valid", 1)


def test_going_back_is_invalid_and_says_from_what_to_what_and_when() -> None:
    verdict = view(case(watched("pending", "shipped", "pending", "confirmed", "shipped")))
    assert verdict.answer == "invalid"
    (finding,) = verdict.findings
    assert "view 'status' of saga 1 (A) went back to 'pending'" in finding.text
    assert "after it had shown 'shipped' at 0." in finding.text
    assert "allowed: pending -> confirmed, confirmed -> shipped" in finding.text
    assert (finding.saga, finding.key) == (1, "view/status/shipped/pending")


def test_a_move_to_where_no_way_leads_is_invalid() -> None:
    forked = {"status": replace(WHOLE.views["status"], allows=(("pending", "confirmed"), ("pending", "cancelled")))}
    verdict = view(case(watched("pending", "confirmed", "cancelled"), choreography=replace(WHOLE, views=forked)))
    assert [f.key for f in verdict.findings] == ["view/status/confirmed/cancelled"]
    assert "went to 'cancelled'" in verdict.findings[0].text


def test_a_wrong_move_that_repeats_is_one_finding() -> None:
    verdict = view(case(watched("confirmed", "pending", "confirmed", "pending")))
    assert len(verdict.findings) == 1


def test_a_state_that_is_not_declared_is_invalid() -> None:
    verdict = view(case(watched("pending", "haunted", "confirmed")))
    assert [f.key for f in verdict.findings] == ["view/status/pending/haunted"]
    assert "none of its states (confirmed, pending, shipped)" in verdict.findings[0].text


def test_a_value_that_disappears_is_invalid() -> None:
    verdict = view(case(watched("pending", None, "pending")))
    assert [f.key for f in verdict.findings] == ["view/status/pending/nothing"]


def test_a_move_back_across_a_look_that_failed_is_still_seen() -> None:
    assert view(case(watched("confirmed", "!", "pending"))).answer == "invalid"


def test_an_answer_that_the_server_could_not_give_is_no_state_of_the_view() -> None:
    statuses = {"status": View(name="status", http="GET /", allows=(("404", "200"),))}
    choreography = replace(WHOLE, views=statuses)
    assert view(case(watched("404", "503", "200"), choreography=choreography)).answer == "valid"
    assert view(case(watched("200", "503", "404"), choreography=choreography)).answer == "invalid"


def test_a_saga_of_which_nothing_was_seen_is_unknown() -> None:
    assert "view 'status' of saga 1 (A) never showed anything" in view(case(watched())).reason
    verdict = view(case(watched(None, "!")))
    assert (verdict.answer, verdict.asked) == ("unknown", 0)
    assert DOWN in verdict.reason


def test_a_run_without_a_saga_or_an_end_is_unknown() -> None:
    assert "no saga was started" in view(case(Story().stage().quiet())).reason
    assert "cut short" in view(case(watched("pending", quiet=False))).reason
    assert view(case(watched("confirmed", "pending", quiet=False))).answer == "invalid"


def test_a_refused_stimulus_asks_nothing_of_the_view() -> None:
    story = watched("pending")
    story.drive(result="fail", key="B")
    assert view(case(story)).answer == "valid"


def test_no_declared_view_is_not_asked() -> None:
    verdict = view(case(watched("pending"), choreography=BARE))
    assert (verdict.answer, "[views.NAME]" in verdict.reason) == ("not asked", True)
