from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.checkers.saga import saga
from misstep.harness.history.entries import Lost

from .stories import BARE, SAGA, WHOLE, Story, case, compensated, completed, stalled


@pytest.mark.parametrize("story", [completed, compensated])
def test_a_saga_that_ends_whole_is_valid(story: object) -> None:
    verdict = saga(case(story().quiet()))  # type: ignore[operator]
    assert (verdict.answer, verdict.asked) == ("valid", 1)


def test_a_step_that_is_not_undone_is_invalid() -> None:
    verdict = saga(case(compensated(refund=False).quiet()))
    assert verdict.answer == "invalid"
    assert "payment.taken (from payment) was never undone by payment.refunded" in verdict.findings[0].text


def test_a_saga_that_never_ends_is_invalid_once_all_is_quiet() -> None:
    verdict = saga(case(stalled().quiet()))
    assert verdict.answer == "invalid"
    assert "its last event is payment.taken" in verdict.findings[0].text
    assert saga(case(stalled().quiet("1 unsettled in stock"))).answer == "unknown"


def test_a_fault_that_was_never_healed_leaves_an_open_saga_unknown() -> None:
    story = stalled()
    story.fault("armed", "fired")
    assert saga(case(story.quiet())).answer == "unknown"
    healed = stalled()
    healed.fault("armed", "fired", "healed")
    assert saga(case(healed.quiet())).answer == "invalid"


def test_both_completed_and_given_up_is_invalid() -> None:
    story = completed()
    story.publish("order", "order.cancelled", "1:order.placed")
    story.publish("payment", "payment.refunded", "1:order.placed/order.cancelled")
    verdict = saga(case(story.quiet()))
    assert verdict.answer == "invalid"
    assert {f.key for f in verdict.findings} >= {"saga/both"}


def test_completed_without_a_step_is_invalid() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.publish("shipping", "order.shipped", placed)
    assert saga(case(story.quiet())).answer == "invalid"


def test_a_step_that_clean_runs_leave_out_is_not_asked_for() -> None:
    def short(key: str) -> Story:
        story = Story().stage()
        placed = story.publish("order", "order.placed", key=key)
        story.drive(key=key)
        story.publish("shipping", "order.shipped", placed, key=key)
        return story.quiet()

    assert saga(case(short("A"), short("B"))).answer == "valid"


def test_an_action_after_its_compensation_is_invalid() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    cancelled = story.publish("order", "order.cancelled", placed)
    story.publish("payment", "payment.refunded", cancelled)
    story.publish("payment", "payment.taken", placed)
    verdict = saga(case(story.quiet()))
    assert [f.key for f in verdict.findings] == ["saga/done after undone/payment.taken"]


def test_an_order_that_clean_runs_never_show_is_invalid() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.publish("shipping", "order.shipped", placed)
    taken = story.publish("payment", "payment.taken", placed)
    story.publish("stock", "stock.reserved", taken)
    story.quiet()
    assert saga(case(story)).answer == "valid"
    assert saga(case(story, completed("B").quiet())).answer == "invalid"


def test_an_event_that_never_reached_the_broker_does_not_count() -> None:
    story = stalled()
    name = story.publish("shipping", "order.shipped", "1:order.placed", confirmed=False)
    story.add(Lost, message=name, service="shipping")
    assert saga(case(story.quiet())).answer == "invalid"


def test_an_event_sent_again_after_it_was_lost_counts() -> None:
    story = completed()
    name = story.publish("payment", "payment.taken", "1:order.placed", confirmed=False)
    story.add(Lost, message=name, service="payment")
    assert saga(case(story.quiet())).answer == "valid"


def test_too_late_is_invalid_counted_from_the_last_disturbance() -> None:
    impatient = replace(WHOLE, sagas={"order": replace(SAGA, within=0.01)})
    assert saga(case(completed().quiet(), choreography=impatient)).answer == "invalid"
    disturbed = completed()
    entries = list(disturbed.history)
    disturbed.fault("healed")
    late = disturbed.history[len(disturbed.history) - 1]
    story = Story(history=type(disturbed.history)([*entries[:-8], late, *entries[-8:]]))
    assert saga(case(story.quiet(), choreography=impatient)).answer == "valid"


def test_an_accepted_stimulus_that_starts_nothing_is_invalid_where_it_should() -> None:
    story = Story().stage()
    story.drive()
    story.quiet()
    assert saga(case(story)).answer == "unknown"
    verdict = saga(case(story, completed("B").quiet()))
    assert verdict.answer == "invalid"
    assert "never started" in verdict.findings[0].text


def test_a_refused_stimulus_asks_nothing() -> None:
    story = Story().stage()
    story.drive(result="fail")
    assert saga(case(story.quiet(), completed("B").quiet())).answer == "unknown"


def test_no_declared_saga_is_not_asked() -> None:
    verdict = saga(case(completed().quiet(), choreography=BARE))
    assert (verdict.answer, "[sagas.NAME]" in verdict.reason) == ("not asked", True)
