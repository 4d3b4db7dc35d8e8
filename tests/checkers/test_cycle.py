from __future__ import annotations

from dataclasses import replace

from misstep.harness.checkers.cycle import cycle
from misstep.harness.choreography.words import Progress
from misstep.harness.history.entries import Published

from .stories import WHOLE, Story, case, compensated, completed

SHORT = replace(WHOLE, progress=Progress(depth=6))


def loop(rounds: int) -> Story:
    """Stock and payment answer each other's events; names are cut short as those of deep messages are."""
    story = Story().stage()
    message = story.publish("order", "order.placed")
    story.drive()
    depth = 1
    for _ in range(rounds):
        for service, event in (("payment", "price.changed"), ("stock", "price.seen")):
            depth += 1
            name = f"1:…{depth - 1}/{event}" if depth > 3 else f"{message}/{event}"
            story.add(
                Published,
                message=name,
                event=event,
                saga=1,
                service=service,
                correlation="A",
                cause=message,
                depth=depth,
            )
            message = name
    return story


def test_a_chain_that_is_too_long_is_invalid_and_shows_what_repeats() -> None:
    verdict = cycle(case(loop(4).quiet(), choreography=SHORT))
    assert (verdict.answer, verdict.asked) == ("invalid", 9)
    (finding,) = verdict.findings
    assert "of saga 1 (A) is 9 messages long, more than the 6 that are allowed" in finding.text
    assert "price.changed (from payment) -> price.seen (from stock) again and again, 4 times" in finding.text
    assert finding.key == "cycle/depth/price.changed+price.seen"
    assert finding.messages == ("1:…7/price.changed", "1:…8/price.seen")
    assert not finding.warning


def test_a_loop_is_invalid_though_the_run_never_falls_quiet() -> None:
    story = loop(4).quiet("a message unsettled by stock")
    assert cycle(case(story, choreography=SHORT)).answer == "invalid"


def test_a_long_chain_in_which_nothing_repeats_shows_its_end() -> None:
    story = completed().quiet()
    verdict = cycle(case(story, choreography=replace(WHOLE, progress=Progress(depth=3))))
    assert verdict.answer == "invalid"
    assert "ends with order.placed (from order) -> payment.taken" in verdict.findings[0].text


def test_sagas_without_a_loop_are_valid() -> None:
    verdict = cycle(case(completed().quiet(), compensated("B").quiet()))
    assert (verdict.answer, verdict.findings, verdict.asked) == ("valid", (), 4)


def test_going_round_and_stopping_is_a_warning() -> None:
    verdict = cycle(case(loop(2).quiet(), choreography=SHORT))
    assert verdict.answer == "valid"
    (finding,) = verdict.findings
    assert finding.warning
    assert finding.text.startswith("price.changed -> price.seen -> price.changed led back to where it began")


def test_a_way_back_that_only_several_runs_together_show_is_possible() -> None:
    there, back = Story().stage(), Story().stage()
    there.publish("stock", "price.seen", there.publish("payment", "price.changed"))
    back.publish("payment", "price.changed", back.publish("stock", "price.seen"))
    verdict = cycle(case(there.quiet(), back.quiet()))
    assert (verdict.answer, len(verdict.findings)) == ("valid", 1)
    assert "can lead back" in verdict.findings[0].text
    assert cycle(case(there)).findings == ()


def test_still_going_round_at_the_end_is_unknown() -> None:
    verdict = cycle(case(loop(2).quiet("a message unsettled by stock"), choreography=SHORT))
    assert verdict.answer == "unknown"
    assert "still went round when the run ended, 5 causes deep" in verdict.reason


def test_deliveries_that_repeat_under_faults_make_no_chain_longer() -> None:
    story = completed()
    story.fault("armed", "fired", "healed")
    for _ in range(10):
        story.react("payment", "1:order.placed", "payment.taken")
    assert cycle(case(story.quiet(), choreography=SHORT)).answer == "valid"


def test_nothing_published_or_a_run_cut_short_is_unknown() -> None:
    assert cycle(case(Story().stage().quiet())).answer == "unknown"
    assert "cut short" in cycle(case(completed())).reason
