from __future__ import annotations

from misstep.harness.checkers.ledger import ledger
from misstep.harness.history.entries import Confirmed, Connection, Lost, Process, Published, Queue, Settled

from .stories import BARE, Story, case, compensated, completed, stalled


def texts(story: Story, *clean: Story) -> list[str]:
    return [finding.text for finding in ledger(case(story, *clean)).findings]


def test_all_taken_and_answered_is_valid() -> None:
    verdict = ledger(case(completed().quiet(), completed("B").quiet()))
    assert verdict.answer == "valid"
    assert verdict.asked > 8


def test_a_clean_run_by_itself_is_valid() -> None:
    assert ledger(case(completed().quiet())).answer == "valid"


def test_acknowledged_and_not_answered_is_invalid() -> None:
    verdict = ledger(case(stalled().quiet(), completed("B").quiet()))
    assert verdict.answer == "invalid"
    assert "stock took 1:order.placed/payment.taken but never published stock.reserved" in verdict.findings[0].text


def test_a_fan_out_that_stops_half_way_is_invalid() -> None:
    def told(*events: str, key: str = "A") -> Story:
        story = Story().stage()
        placed = story.publish("order", "order.placed", key=key)
        story.drive(key=key)
        for name in story.react("payment", placed, *events, key=key)[:1]:
            story.react("stock", name, key=key)
        return story.quiet()

    clean = told("payment.taken", "points.earned", key="B")
    assert "never published points.earned" in texts(told("payment.taken"), clean)[0]


def test_one_of_two_answers_missing_is_invalid() -> None:
    def told(items: int, answers: int, key: str = "A") -> Story:
        story = Story().stage()
        story.drive(key=key)
        for item in range(1, items + 1):
            number = f"#{item}" if item > 1 else ""
            asked = story.publish("order", "stock.asked", key=key, name=f"1:stock.asked{number}", owed=("stock",))
            answered = ["stock.reserved"] if item <= answers else []
            for name in story.react("stock", asked, *answered, key=key):
                story.react("shipping", name, key=key)
        return story.quiet()

    assert "1 stock.reserved in saga 1 (A), 2 were due" in texts(told(2, 1), told(2, 2, "B"))[0]
    assert texts(told(2, 2), told(2, 2, "B")) == []


def test_a_second_message_that_an_inbox_swallows_owes_nothing() -> None:
    story = completed()
    again = story.publish("payment", "payment.taken", "1:order.placed", name="1:order.placed/payment.taken#2")
    story.react("stock", again)
    assert ledger(case(story.quiet(), completed("B").quiet())).answer == "valid"


def test_a_redelivery_that_an_inbox_swallows_owes_nothing() -> None:
    story = completed()
    story.react("payment", "1:order.placed")
    assert ledger(case(story.quiet(), completed("B").quiet())).answer == "valid"


def test_another_branch_than_in_clean_runs_is_left_to_the_saga_checker() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.react("payment", placed, "payment.refused")
    assert ledger(case(story.quiet(), completed("B").quiet())).answer == "valid"


def test_a_saga_that_went_another_way_is_not_held_against_clean_ones() -> None:
    assert ledger(case(compensated().quiet(), completed("B").quiet())).answer == "valid"


def test_a_message_that_never_came_out_of_its_queue_is_invalid() -> None:
    story = Story().stage()
    story.publish("order", "order.placed")
    story.drive()
    assert "was routed to 'payment' and never delivered" in texts(story.quiet())[0]


def test_a_message_that_went_back_and_never_came_again_is_invalid() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.settle("payment", placed, story.deliver("payment", placed), "nack", requeue=True, by="misstep")
    assert "went back to 'payment' and was never delivered again" in texts(story.quiet())[0]


def test_an_acknowledgement_that_a_fault_swallowed_is_none() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.settle("payment", placed, story.deliver("payment", placed), by="dropped")
    assert ledger(case(story.quiet())).answer == "invalid"


def test_refused_without_a_dead_letter_target_is_invalid_with_one_is_not() -> None:
    def refused(**stage: tuple[str, ...]) -> Story:
        story = Story().stage(**stage)
        placed = story.publish("order", "order.placed")
        story.drive()
        story.settle("payment", placed, story.deliver("payment", placed), "reject")
        return story.quiet()

    assert "no dead-letter target" in texts(refused())[0]
    assert texts(refused(dead=("payment",))) == []
    assert texts(refused(), refused()) == []


def test_a_queue_that_nobody_ever_consumed_is_parked() -> None:
    story = completed()
    story.add(Queue, queue="audit")
    story.publish("order", "order.audited", "1:order.placed", owed=("audit",))
    assert ledger(case(story.quiet(audit=1))).answer == "valid"


def test_a_queue_whose_consumer_died_is_not_parked() -> None:
    story = Story().stage()
    story.add(Process, service="payment", what="exited", detail="status 1")
    story.consumer("payment", consuming=False)
    story.publish("order", "order.placed")
    story.drive()
    assert ledger(case(story.quiet(payment=1))).answer == "invalid"


def test_a_service_that_misstep_never_started_again_leaves_it_unknown() -> None:
    story = Story().stage()
    story.add(Process, service="payment", what="killed")
    story.publish("order", "order.placed")
    story.drive()
    verdict = ledger(case(story.quiet(payment=1)))
    assert (verdict.answer, "payment was killed" in verdict.reason) == ("unknown", True)


def test_unrouted_is_loss_where_clean_runs_route() -> None:
    story = completed()
    story.publish("order", "order.audited", "1:order.placed", owed=())
    clean = completed("B")
    audited = clean.publish("order", "order.audited", "1:order.placed", owed=("stock",), key="B")
    clean.react("stock", audited)
    assert "was not bound to take it" in texts(story.quiet(), clean.quiet())[0]


def test_what_was_delivered_was_routed_though_its_binding_was_heard_of_later() -> None:
    story = completed()
    audited = story.publish("order", "order.audited", "1:order.placed", owed=())
    story.react("stock", audited)
    clean = completed("B")
    audited = clean.publish("order", "order.audited", "1:order.placed", owed=("stock",), key="B")
    clean.react("stock", audited)
    assert texts(story.quiet(), clean.quiet()) == []
    assert texts(story, completed("C").quiet()) == []


def test_a_listener_that_came_too_late_is_advice_unless_it_answers() -> None:
    def listened(owed: tuple[str, ...], *answers: str, key: str = "A") -> Story:
        story = completed(key)
        story.add(Queue, queue=f"amq.gen-{key}", service="screen", exclusive=True)
        story.consumer("screen", queue=f"amq.gen-{key}")
        told = story.publish("order", "order.told", "1:order.placed", owed=owed, key=key)
        if owed:
            delivery = story.deliver("screen", told, queue=owed[0])
            for answer in answers:
                story.publish("screen", answer, told, key=key)
            story.settle("screen", told, delivery, queue=owed[0])
        return story.quiet()

    quiet = listened(("amq.gen-B",), key="B")
    verdict = ledger(case(listened(()), quiet))
    assert (verdict.answer, [f.warning for f in verdict.findings]) == ("valid", [True])
    assert ledger(case(listened(()), listened(("amq.gen-B",), "screen.shown", key="B"))).answer == "invalid"
    assert texts(listened(("amq.gen-A",)), quiet) == []


def test_a_publication_whose_confirm_never_came_is_no_loss_of_the_brokers() -> None:
    story = stalled(at="payment")
    story.publish("payment", "payment.taken", "1:order.placed", confirmed=False)
    story.add(Connection, service="payment", connection=1, what="closed", clean=False)
    assert all("payment.taken was routed" not in text for text in texts(story.quiet()))


def test_what_a_fault_kept_from_the_broker_remains_the_producers_debt() -> None:
    story = stalled(at="payment")
    name = story.publish("payment", "payment.taken", "1:order.placed", confirmed=False)
    story.add(Lost, message=name, service="payment")
    assert (
        "payment took 1:order.placed but never published payment.taken"
        in texts(story.quiet(), completed("B").quiet())[0]
    )


def test_published_without_confirms_and_gone_is_loss() -> None:
    story = stalled(at="payment")
    story.publish("payment", "payment.taken", "1:order.placed", confirmed=False, confirming=False)
    assert any("published without confirms" in text for text in texts(story.quiet()))


def test_what_the_broker_refused_is_not_published() -> None:
    story = stalled(at="payment")
    name = story.publish("payment", "payment.taken", "1:order.placed", confirmed=False)
    story.add(Confirmed, message=name, service="payment", ok=False)
    assert all("was routed" not in text for text in texts(story.quiet()))


def test_an_accepted_stimulus_owes_its_first_event() -> None:
    story = Story().stage()
    story.drive()
    assert "was accepted, but order.placed was never published" in texts(story.quiet(), completed("B").quiet())[0]


def test_a_copy_of_our_own_making_settles_nothing() -> None:
    story = Story().stage()
    placed = story.publish("order", "order.placed")
    story.drive()
    story.settle("payment", placed, story.deliver("payment", placed, copy=True))
    assert ledger(case(story.quiet())).answer == "invalid"


def test_a_debt_is_unknown_while_something_moves() -> None:
    verdict = ledger(case(stalled().quiet("1 unsettled in stock"), completed("B").quiet()))
    assert (verdict.answer, bool(verdict.findings)) == ("unknown", True)


def test_no_message_seen_is_vacuous() -> None:
    assert ledger(case(Story().stage().quiet())).answer == "unknown"


def test_unknown_topology_is_vacuous() -> None:
    story = Story().stage()
    story.publish("order", "order.placed", owed=None)
    assert ledger(case(story.quiet())).answer == "unknown"


def test_a_system_without_a_broker_is_not_asked() -> None:
    assert ledger(case(completed().quiet(), choreography=BARE)).answer == "not asked"


def test_the_builders_tell_what_they_seem_to() -> None:
    history = completed().history
    assert len(history.of(Published)) == 4
    assert all(entry.by == "service" for entry in history.of(Settled))
