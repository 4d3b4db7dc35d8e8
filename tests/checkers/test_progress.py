from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.checkers.progress import progress
from misstep.harness.choreography.words import Progress
from misstep.harness.history.entries import Lost, Note, Process

from .stories import WHOLE, Story, case, completed

STRICT = replace(WHOLE, progress=Progress(attempts=3))
PLACED = "1:order.placed"


def delivered(times: int, *, copy: bool = False) -> Story:
    """A saga whose payment service puts its message back again and again."""
    story = Story().stage()
    story.publish("order", "order.placed")
    story.drive()
    for number in range(times):
        delivery = story.deliver("payment", PLACED, redelivered=number > 0, copy=copy)
        story.settle("payment", PLACED, delivery, "nack", requeue=True)
    return story


def test_a_run_that_comes_to_rest_is_valid() -> None:
    verdict = progress(case(completed().quiet()))
    assert (verdict.answer, verdict.findings, verdict.asked) == ("valid", (), 8)


def test_a_message_that_comes_again_and_again_is_a_storm() -> None:
    verdict = progress(case(delivered(4).quiet(), choreography=STRICT))
    assert verdict.answer == "invalid"
    (finding,) = verdict.findings
    assert finding.text == (
        "1:order.placed was delivered 4 times from queue 'payment', more than the 3 that are allowed; "
        "payment put it back 4 times"
    )
    assert (finding.service, finding.key) == ("payment", "progress/redelivered/order.placed/payment")
    assert progress(case(delivered(3).quiet(), choreography=STRICT)).answer == "valid"


def test_a_storm_is_a_storm_in_a_run_that_was_cut_short() -> None:
    assert progress(case(delivered(4), choreography=STRICT)).answer == "invalid"


def test_each_fault_that_fired_may_have_led_to_one_more_delivery() -> None:
    story = delivered(4)
    story.fault("armed", "fired", "healed")
    assert progress(case(story.quiet(), choreography=STRICT)).answer == "valid"
    story = delivered(5)
    story.fault("armed", "fired", "healed")
    verdict = progress(case(story.quiet(), choreography=STRICT))
    assert "more than the 3 that are allowed and 1 that faults may have caused" in verdict.findings[0].text


def test_copies_of_our_own_are_no_storm() -> None:
    assert progress(case(delivered(20, copy=True).quiet(), choreography=STRICT)).answer == "valid"


def test_strangers_of_one_name_are_no_storm_unless_the_broker_says_so() -> None:
    strangers, storm = completed(), completed()
    for _ in range(5):
        strangers.deliver("payment", "0:tick")
        storm.deliver("payment", "0:tick", redelivered=True)
    assert progress(case(strangers.quiet(), choreography=STRICT)).answer == "valid"
    assert progress(case(storm.quiet(), choreography=STRICT)).answer == "invalid"


def test_a_message_that_is_published_again_and_again_is_a_storm() -> None:
    story = completed()
    for _ in range(3):
        story.publish("payment", "payment.taken", PLACED)
    verdict = progress(case(story.quiet(), choreography=STRICT))
    assert verdict.answer == "invalid"
    assert "payment.taken was published 4 times by payment" in verdict.findings[0].text


def test_a_publication_that_a_fault_lost_may_be_made_again() -> None:
    story = completed()
    for _ in range(3):
        name = story.publish("payment", "payment.taken", PLACED)
        story.add(Lost, message=name, service="payment")
    assert progress(case(story.quiet(), choreography=STRICT)).answer == "valid"


def test_not_to_fall_quiet_is_invalid_with_what_still_moves() -> None:
    verdict = progress(case(completed().quiet("1:order.placed unsettled by payment, from queue payment")))
    assert verdict.answer == "invalid"
    assert "unsettled by payment" in verdict.findings[0].text
    assert verdict.findings[0].key == "progress/not quiet"


@pytest.mark.parametrize(
    "moving", ["1 timers of faults", "service payment is starting", "quiet.outboxes.db (gone) could not be counted"]
)
def test_what_only_misstep_has_to_do_is_unknown(moving: str) -> None:
    verdict = progress(case(completed().quiet(moving)))
    assert (verdict.answer, moving in verdict.reason) == ("unknown", True)


def test_what_was_not_silent_for_long_enough_is_unknown() -> None:
    story = completed().quiet("x")
    story.history = type(story.history)([*list(story.history)[:-1], replace(story.history[-1], moving=())])  # type: ignore[type-var]
    verdict = progress(case(story))
    assert (verdict.answer, "never silent" in verdict.reason) == ("unknown", True)


def test_what_a_fault_that_never_healed_leaves_behind_is_unknown() -> None:
    story = completed()
    story.fault("armed", "fired")
    assert progress(case(story.quiet("a message unsettled by payment"))).answer == "unknown"
    healed = completed()
    healed.fault("armed", "fired", "healed")
    verdict = progress(case(healed.quiet("a message unsettled by payment")))
    assert verdict.answer == "invalid"
    assert "after the last fault had healed" in verdict.findings[0].text


def test_an_error_of_our_own_leaves_it_unknown() -> None:
    story = completed()
    story.add(Process, service="payment", what="exited")
    story.add(Note, what="stage failed", text="the broker would not start", unknown=True)
    assert progress(case(story.quiet())).answer == "unknown"


def test_a_service_that_looks_healthy_and_consumes_nothing_is_invalid() -> None:
    story = completed()
    story.fault("armed", "fired")
    story.consumer("payment", consuming=False)
    story.fault("healed")
    verdict = progress(case(story.quiet("service payment consumes nothing any more")))
    assert verdict.answer == "invalid"
    (finding,) = verdict.findings
    assert "service payment consumes nothing any more, though its process is up" in finding.text
    assert (finding.service, finding.key) == ("payment", "progress/consumers/payment")


def test_a_service_that_consumes_again_is_valid() -> None:
    story = completed()
    story.fault("armed", "fired")
    story.consumer("payment", consuming=False)
    story.add(Process, service="payment", what="killed")
    story.add(Process, service="payment", what="started", incarnation=2)
    story.consumer("payment")
    story.add(Process, service="payment", what="ready", incarnation=2)
    story.fault("healed")
    assert progress(case(story.quiet(), completed("B").quiet())).answer == "valid"


def two_queues(*, keep: bool) -> Story:
    story = Story().stage()
    story.consumer("payment", queue="refunds")
    story.publish("order", "order.placed")
    story.drive()
    story.react("payment", PLACED)
    if not keep:
        story.consumer("payment", queue="refunds", consuming=False)
    return story.quiet()


def test_fewer_consumers_than_in_clean_runs_are_invalid() -> None:
    verdict = progress(case(two_queues(keep=False), two_queues(keep=True)))
    assert verdict.answer == "invalid"
    assert "service payment has 1 of its 2 consumers left" in verdict.findings[0].text
    assert progress(case(two_queues(keep=False), two_queues(keep=False))).answer == "valid"
    assert progress(case(two_queues(keep=False))).answer == "valid"


def test_a_service_that_ended_by_itself_is_invalid_unless_it_is_back() -> None:
    story = completed()
    story.add(Process, service="payment", what="exited", detail="process main status 1")
    story.consumer("payment", consuming=False)
    verdict = progress(case(story.quiet()))
    assert verdict.answer == "invalid"
    (finding,) = verdict.findings
    assert "service payment ended by itself" in finding.text
    assert "(process main status 1), and is not back" in finding.text
    back = completed()
    back.add(Process, service="payment", what="exited")
    back.add(Process, service="payment", what="started", incarnation=2)
    back.add(Process, service="payment", what="ready", incarnation=2)
    assert progress(case(back.quiet())).answer == "valid"


def test_a_service_that_had_ended_before_the_run_is_not_of_this_run() -> None:
    story = Story()
    story.add(Process, service="migration", what="exited")
    assert progress(case(story.quiet())).answer == "valid"


def test_messages_left_in_a_queue_that_is_consumed_are_invalid() -> None:
    verdict = progress(case(completed().quiet(payment=2)))
    assert verdict.answer == "invalid"
    assert verdict.findings[0].text == "2 messages were left in queue 'payment', which payment consumes"
    assert progress(case(completed().quiet(parked=2))).answer == "valid"


def test_nothing_seen_or_a_run_cut_short_is_unknown() -> None:
    assert "no service" in progress(case(Story().quiet())).reason
    assert "cut short" in progress(case(completed())).reason
