from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from misstep.harness.checkers.verdict import Case, overall
from misstep.harness.checkers.wire import wire
from misstep.harness.choreography.words import EventRules, QuietRules, Service, Store
from misstep.harness.history import entries

from .stories import BARE, WHOLE, Story, case, compensated, completed


def habits(judged: Case) -> dict[str, str]:
    """Return what is found, by kind and service."""
    verdict = wire(judged)
    assert verdict.answer == "valid"
    assert all(finding.warning for finding in verdict.findings)
    return {finding.key.removeprefix("wire/"): finding.text for finding in verdict.findings}


def placed(**fields: Any) -> Story:
    """An order that is published, and no more."""
    story = Story().stage()
    story.publish("order", "order.placed", **fields)
    return story


def with_queue(story: Story, queue: str, **fields: Any) -> Story:
    story.add(entries.Queue, queue=queue, service="stock", **fields)
    return story


def consuming(**fields: Any) -> Story:
    story = placed()
    story.consumer("stock", **fields)
    return story


@pytest.mark.parametrize("story", [completed, compensated])
def test_good_manners_are_not_spoken_of(story: Callable[[], Story]) -> None:
    verdict = wire(case(story().quiet(), story().quiet()))
    assert (verdict.answer, verdict.findings) == ("valid", ())
    assert verdict.asked >= 8


def test_without_services_it_is_not_asked() -> None:
    assert wire(case(completed(), choreography=BARE)).answer == "not asked"
    silent = replace(WHOLE, services={"web": Service(name="web", processes={"main": "run"}, broker=False)})
    verdict = wire(case(completed(), choreography=silent))
    assert verdict.answer == "not asked"
    assert "[services.NAME]" in verdict.reason


def test_where_no_service_was_heard_it_is_unknown() -> None:
    story = Story()
    story.publish("", "order.placed")
    verdict = wire(case(story.quiet()))
    assert (verdict.answer, verdict.asked) == ("unknown", 0)
    assert "{broker.url}" in verdict.reason


def test_a_habit_is_told_once_for_a_service_with_its_number_and_first_example() -> None:
    story = Story().stage()
    for key in "ABC":
        story.publish("order", "order.placed", name=f"1:{key}", confirming=False, confirmed=False)
    found = habits(case(story))
    assert list(found) == ["no confirms/order"]
    assert found["no confirms/order"].startswith(
        "order publishes without confirms (3 times, first: order.placed to exchange 'events'): "
    )
    assert wire(case(story)).findings[0].messages == ("1:A", "1:B", "1:C")


def test_warnings_count_only_when_strict() -> None:
    verdict = wire(case(placed(confirming=False)))
    assert overall([verdict]) == "valid"
    assert overall([verdict], strict=True) == "invalid"


@pytest.mark.parametrize(
    ("story", "habit"),
    [
        (placed(confirming=False, confirmed=False), "no confirms/order"),
        (placed(persistent=False), "transient/order"),
        (consuming(auto_ack=True), "auto-ack/stock"),
        (consuming(prefetch=0), "no prefetch/stock"),
    ],
)
def test_a_habit_that_may_lose_messages_is_found(story: Story, habit: str) -> None:
    assert list(habits(case(story))) == [habit]


@pytest.mark.parametrize(
    "story",
    [
        placed(confirming=False, confirmed=False, transactional=True),
        placed(confirming=False, confirmed=False, owed=()),
        placed(owed=None, persistent=False),
        with_queue(consuming(queue="replies", auto_ack=True), "replies", exclusive=True),
        with_queue(consuming(queue="amq.gen-1", prefetch=0), "amq.gen-1", auto_delete=True),
        consuming(queue="amq.rabbitmq.reply-to", auto_ack=True),
        with_queue(placed(owed=("replies",), confirming=False, persistent=False), "replies", exclusive=True),
    ],
)
def test_what_has_its_reason_is_not(story: Story) -> None:
    assert not habits(case(story))


def test_ignored_events_may_be_published_anyhow() -> None:
    story = placed(confirming=False, persistent=False)
    ignoring = replace(WHOLE, events=EventRules(ignore=("order.*",)))
    assert not habits(case(story, choreography=ignoring))


class TestFleetingQueues:
    @staticmethod
    def worked(*, bound: bool = True, follows: bool = True, **queue: Any) -> Story:
        """Stock works on orders that come by a queue of its own making."""
        story = with_queue(placed(), "mine", **queue)
        if bound:
            story.add(entries.Binding, source="events", target="mine", routing_key="order.placed", service="stock")
        delivery = story.deliver("stock", "1:order.placed", queue="mine")
        if follows:
            story.publish("stock", "stock.reserved", "1:order.placed")
        story.settle("stock", "1:order.placed", delivery, queue="mine")
        return story

    @pytest.mark.parametrize("queue", [{"exclusive": True}, {"auto_delete": True}, {"durable": False}])
    def test_work_must_not_come_by_them(self, queue: dict[str, Any]) -> None:
        (text,) = habits(case(self.worked(**queue))).values()
        assert "stock.reserved follows from" in text

    def test_listening_or_awaiting_a_reply_is_fine(self) -> None:
        assert not habits(case(self.worked(exclusive=True, follows=False)))
        assert not habits(case(self.worked(exclusive=True, bound=False)))
        assert not habits(case(self.worked()))


class TestUnrouted:
    def test_what_is_dropped_now_and_routed_at_other_times_is_found(self) -> None:
        dropped = placed(owed=())
        assert list(habits(case(dropped, completed()))) == ["dropped/order"]

    def test_it_is_fine_to_ask_for_it_back_or_to_talk_to_nobody(self) -> None:
        assert not habits(case(placed(owed=(), mandatory=True), completed()))
        assert not habits(case(placed(owed=())))

    def test_what_came_back_must_be_published_again(self) -> None:
        story = placed(owed=(), mandatory=True, id="7")
        story.add(entries.Returned, message="1:order.placed", service="order", reason="NO_ROUTE")
        assert list(habits(case(story, completed()))) == ["returned/order"]
        assert not habits(case(story))
        story.publish("order", "order.placed", name="1:order.placed#2", mandatory=True, id="7")
        assert not habits(case(story, completed()))


class TestRequeue:
    @staticmethod
    def requeued(times: int, **queue: Any) -> Story:
        story = Story()
        story.add(entries.Queue, queue="stock", **{"service": "stock", **queue})
        story.publish("order", "order.placed", owed=("stock",))
        for attempt in range(times):
            delivery = story.deliver("stock", "1:order.placed", attempt=attempt + 1)
            story.settle("stock", "1:order.placed", delivery, "nack", requeue=True)
        return story

    def test_again_and_again_without_a_bound_is_found(self) -> None:
        (text,) = habits(case(self.requeued(4))).values()
        assert "1:order.placed to 'stock', 4 times" in text

    @pytest.mark.parametrize("bound", ["x-dead-letter-exchange", "x-delivery-limit"])
    def test_a_bound_once_or_an_unknown_queue_is_not(self, bound: str) -> None:
        assert not habits(case(self.requeued(4, arguments={bound: "dead"})))
        assert not habits(case(self.requeued(1)))
        assert not habits(case(self.requeued(4, service="")))


class TestEarlyAcknowledgement:
    @staticmethod
    def early(*, confirmed_late: bool = False) -> Story:
        story = placed()
        delivery = story.deliver("payment", "1:order.placed")
        if confirmed_late:
            name = story.publish("payment", "payment.taken", "1:order.placed", confirmed=False)
            story.settle("payment", "1:order.placed", delivery)
            story.add(entries.Confirmed, message=name, service="payment")
        else:
            story.settle("payment", "1:order.placed", delivery)
            story.publish("payment", "payment.taken", "1:order.placed")
        return story

    @staticmethod
    def late() -> Story:
        story = placed()
        story.react("payment", "1:order.placed", "payment.taken")
        return story

    def test_before_publishing_it_is_found_where_every_run_shows_it(self) -> None:
        found = habits(case(self.early(), self.early(), self.early()))
        assert "order.placed, then payment.taken" in found["early ack/payment"]
        assert not habits(case(self.early()))
        assert not habits(case(self.early(), self.early(), self.late()))
        assert not habits(case(self.late(), self.early()))

    def test_before_the_confirm_it_is_found_where_there_is_nothing_to_keep_it_in(self) -> None:
        runs = self.early(confirmed_late=True), self.early(confirmed_late=True)
        assert list(habits(case(*runs))) == ["early unconfirmed ack/payment"]
        stored = replace(WHOLE, stores={"payments": Store(name="payments", kind="sqlite", target="payments.db")})
        assert not habits(case(*runs, choreography=stored))

    def test_an_outbox_publishes_later(self) -> None:
        env = {"DATABASE_URL": "{stores.payments.url}"}
        payment = Service(name="payment", processes={"main": "run"}, env=env)
        declared = replace(
            WHOLE,
            services={**WHOLE.services, "payment": payment},
            stores={name: Store(name=name, kind="sqlite", target=f"{name}.db") for name in ("payments", "orders")},
        )
        outbox = replace(declared, quiet=QuietRules(outboxes={"payments": "select 0"}))
        of_another = replace(outbox, services={**outbox.services, "payment": WHOLE.services["payment"]})
        of_another = replace(of_another, services={**of_another.services, "other": replace(payment, name="other")})
        runs = self.early(), self.early()
        assert list(habits(case(*runs, choreography=declared))) == ["early ack/payment"]
        assert not habits(case(*runs, choreography=outbox))
        assert list(habits(case(*runs, choreography=of_another))) == ["early ack/payment"]


class TestRefusals:
    @staticmethod
    def refused(code: int, text: str = "", *, disturbed: bool = False, **fields: Any) -> Story:
        story = placed()
        if disturbed:
            story.fault("armed", "fired")
        told = {"what": "channel closed", "by": "broker", "clean": False, **fields}
        story.add(entries.Connection, service="order", connection=1, code=code, text=text, **told)
        return story

    @pytest.mark.parametrize(
        "story",
        [
            refused(406, "PRECONDITION_FAILED - unknown delivery tag 7"),
            refused(406, "PRECONDITION_FAILED - unknown delivery tag 7", disturbed=True),
            refused(404, "NOT_FOUND - no exchange 'events' in vhost '/'"),
            refused(405, "RESOURCE_LOCKED - cannot obtain exclusive access"),
            refused(503, "COMMAND_INVALID - unimplemented method", what="closed"),
        ],
    )
    def test_what_a_service_did_wrong_is_found(self, story: Story) -> None:
        assert list(habits(case(story))) == ["protocol error/order"]

    @pytest.mark.parametrize(
        "story",
        [
            refused(404, "NOT_FOUND - no queue 'later' in vhost '/'"),
            refused(404, "NOT_FOUND - no exchange 'other' in vhost '/'"),
            refused(405, "RESOURCE_LOCKED - cannot obtain exclusive access", disturbed=True),
            refused(320, "CONNECTION_FORCED - broker forced connection closure", what="closed"),
            refused(0, what="closed"),
            refused(404, "looked", by="service"),
            refused(406, "", by="misstep"),
            refused(200, "Normal shutdown", clean=True),
        ],
    )
    def test_questions_faults_and_good_byes_are_not(self, story: Story) -> None:
        assert not habits(case(story))
