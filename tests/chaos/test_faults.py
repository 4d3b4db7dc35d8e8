"""Each fault: made to fire, and made not to."""

from __future__ import annotations

import asyncio

import pytest
from misstep.chaos import broker, delivery, link, message, process
from misstep.chaos.faults.message import GARBAGE
from misstep.harness.wire.interceptor import FORWARD, Cut, Drop, Hold, Inject, Kill, Replace

pytestmark = pytest.mark.asyncio


async def settle(work):
    """Let what was begun end, as the runner does before it judges."""
    for _ in range(3):
        await asyncio.sleep(0)
    return work.words.asked


async def test_redelivery_refuses_in_the_services_stead(at_work, traffic):
    work = await at_work(delivery.redeliver("order.placed", to="payment"))
    answer = work.disturbance.intercept(traffic.acked("order.placed"))
    assert isinstance(answer, Replace)
    assert (answer.fact.outcome, answer.fact.requeue) == ("nack", True)
    assert work.told == ["the acknowledgement of 1:order.placed by payment was lost"]
    assert work.disturbance.intercept(traffic.acked("order.placed", attempt=2)) is FORWARD


async def test_redelivery_repeats_as_often_as_asked(at_work, traffic):
    work = await at_work(delivery.redeliver("order.placed", to="payment", times=2))
    answers = [work.disturbance.intercept(traffic.acked("order.placed", attempt=n)) for n in (1, 2, 3)]
    assert [isinstance(answer, Replace) for answer in answers] == [True, True, False]


async def test_redelivery_does_not_fire_where_the_service_refuses_itself(at_work, traffic):
    work = await at_work(delivery.redeliver("order.placed", to="payment"))
    assert work.disturbance.intercept(traffic.settled(traffic.delivered("order.placed"), "nack")) is FORWARD
    assert work.told == []


async def test_duplicate_now_sends_copies_behind_the_original(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment", copies=2))
    assert work.disturbance.intercept(traffic.delivered("order.placed")) == Inject(2)
    assert work.told == ["1:order.placed reached payment 3 times at once"]


async def test_duplicate_now_does_not_fire_elsewhere(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment"))
    assert work.disturbance.intercept(traffic.delivered("order.placed", "shipping")) is FORWARD
    assert work.told == []


async def test_duplicate_later_waits_for_silence(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment", when="later"))
    assert work.disturbance.intercept(traffic.delivered("order.placed")) is FORWARD
    assert work.told == []
    await work.disturbance.quiet()
    assert work.words.asked == ["inject 1"]
    assert work.told == ["1:order.placed reached payment again, 1 copy later"]


async def test_duplicate_later_can_come_after_a_while(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment", when="later", by=0.5, copies=2))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.words.pass_time(0.4)
    assert work.words.asked == []
    work.words.pass_time(0.2)
    await work.disturbance.quiet()
    assert work.words.asked == ["inject 1", "inject 1"]


async def test_duplicate_later_comes_soon_where_the_original_came_after_the_silence(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment", when="later"))
    await work.disturbance.quiet()
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.words.pass_time(1)
    await work.disturbance.quiet()
    assert work.words.asked == ["inject 1"]


async def test_duplicate_later_does_not_fire_where_the_consumer_is_gone(at_work, traffic):
    work = await at_work(delivery.duplicate("order.placed", to="payment", when="later"))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.words.consumers_gone = True
    await work.disturbance.quiet()
    assert work.told == []


async def test_delay_holds_until_all_else_is_quiet(at_work, traffic):
    work = await at_work(delivery.delay("order.placed", to="payment"))
    assert isinstance(work.disturbance.intercept(traffic.delivered("order.placed")), Hold)
    assert work.words.asked == []
    await work.disturbance.quiet()
    await work.disturbance.heal()
    assert work.words.asked == ["release delay"]
    assert work.told == ["1:order.placed to payment was kept back until all else was quiet"]


async def test_delay_can_be_short(at_work, traffic):
    work = await at_work(delivery.delay("order.placed", to="payment", by=0.5))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.words.pass_time(0.6)
    assert work.words.asked == ["release delay"]


async def test_delay_does_not_fire_for_another_event(at_work, traffic):
    work = await at_work(delivery.delay("order.placed", to="payment"))
    assert work.disturbance.intercept(traffic.delivered("order.cancelled")) is FORWARD
    assert work.told == []


async def test_reorder_lets_the_late_one_go_when_the_other_is_handled(at_work, traffic):
    work = await at_work(delivery.reorder("order.placed", to="payment"))
    assert isinstance(work.disturbance.intercept(traffic.delivered("order.placed")), Hold)
    other = traffic.delivered("order.cancelled")
    assert work.disturbance.intercept(other) is FORWARD
    assert work.told == []
    work.disturbance.intercept(traffic.settled(other))
    assert work.words.asked == ["release reorder"]
    assert work.told == ["payment was given 1:order.cancelled before 1:order.placed"]


async def test_reorder_waits_for_the_event_that_was_named(at_work, traffic):
    work = await at_work(delivery.reorder("order.placed", to="payment", behind="order.cancelled"))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.disturbance.intercept(traffic.acked("order.changed"))
    assert work.told == []
    overtaking = traffic.delivered("order.cancelled", unsettled=False)
    work.disturbance.intercept(overtaking)
    work.words.pass_time(0.0)
    assert len(work.told) == 1


async def test_reorder_has_nothing_to_hold_where_the_other_came_first_by_itself(at_work, traffic):
    work = await at_work(delivery.reorder("order.placed", to="payment", behind="order.cancelled"))
    work.disturbance.intercept(first := traffic.delivered("order.cancelled"))
    work.disturbance.intercept(traffic.settled(first))
    assert work.disturbance.intercept(traffic.delivered("order.placed")) is FORWARD
    assert work.told == ["payment was given 1:order.cancelled before 1:order.placed by itself"]


async def test_reorder_waits_for_the_other_that_is_being_handled(at_work, traffic):
    work = await at_work(delivery.reorder("order.placed", to="payment", behind="order.cancelled"))
    work.disturbance.intercept(first := traffic.delivered("order.cancelled"))
    assert isinstance(work.disturbance.intercept(traffic.delivered("order.placed")), Hold)
    work.disturbance.intercept(traffic.settled(first))
    assert work.words.asked == ["release reorder"]


async def test_reorder_does_not_fire_where_nothing_overtakes(at_work, traffic):
    work = await at_work(delivery.reorder("order.placed", to="payment"))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.disturbance.intercept(traffic.acked("order.placed", "shipping"))
    await work.disturbance.quiet()
    assert work.words.asked == ["release reorder"]
    assert work.told == []


async def test_corruption_replaces_the_body(at_work, traffic):
    work = await at_work(message.corrupt("order.placed", to="payment"))
    answer = work.disturbance.intercept(traffic.delivered("order.placed"))
    assert isinstance(answer, Replace)
    assert answer.fact.message.body == GARBAGE
    assert work.disturbance.intercept(traffic.delivered("order.placed", attempt=2)) is FORWARD


async def test_poison_is_corrupt_at_every_delivery(at_work, traffic):
    work = await at_work(message.corrupt("order.placed", to="payment", times=0))
    answers = [work.disturbance.intercept(traffic.delivered("order.placed", attempt=n)) for n in (1, 2, 3)]
    assert all(isinstance(answer, Replace) for answer in answers)
    assert work.disturbance.intercept(traffic.delivered("order.cancelled")) is FORWARD


@pytest.mark.parametrize(("at", "after"), [("publish", False), ("published", True)])
async def test_crash_at_a_publish(at_work, traffic, at, after):
    work = await at_work(process.crash("payment", at=at, of="payment.taken"))
    assert work.disturbance.intercept(traffic.published("payment.taken")) == Kill(after=after)
    assert work.told == [f"payment was killed at {at} of 1:payment.taken"]


@pytest.mark.parametrize(("at", "after"), [("ack", False), ("acked", True)])
async def test_crash_at_an_acknowledgement_and_restart_at_once(at_work, traffic, at, after):
    work = await at_work(process.crash("payment", at=at, of="order.placed"))
    assert work.disturbance.intercept(traffic.acked("order.placed")) == Kill(after=after)
    work.words.running.discard("payment")
    assert work.words.due == []
    work.disturbance.intercept(traffic.closed())
    work.words.pass_time(0.0)
    assert await settle(work) == ["start payment"]
    await work.disturbance.heal()
    assert work.words.asked == ["start payment"]


async def test_a_crash_whose_death_nobody_heard_is_healed(at_work, traffic):
    work = await at_work(process.crash("payment", at="deliver", of="order.placed", down=60))
    work.disturbance.intercept(traffic.delivered("order.placed"))
    work.words.running.discard("payment")
    await work.disturbance.heal()
    assert work.words.asked == ["start payment"]


@pytest.mark.parametrize("at", ["drive", "quiet"])
async def test_crash_without_a_message(at_work, at):
    work = await at_work(process.crash("payment", at=at))
    for _ in range(2):
        await work.disturbance.quiet()
        await work.disturbance.heal()
    assert work.words.asked == ["kill payment", "start payment"]
    assert work.told == ["payment was killed"]


async def test_crash_does_not_fire_where_nothing_is_heard(at_work, traffic):
    work = await at_work(process.crash("payment", at="ack", of="order.placed"))
    assert work.disturbance.intercept(traffic.acked("order.placed", "shipping")) is FORWARD
    await work.disturbance.heal()
    assert work.words.asked == []
    assert work.told == []


async def test_stop_is_over_when_all_is_quiet(at_work):
    work = await at_work(process.stop("shipping"))
    assert work.words.asked == ["stop shipping"]
    await work.disturbance.heal()
    assert work.words.asked == ["stop shipping", "start shipping"]
    assert work.told == ["shipping was stopped"]


async def test_stop_at_a_site_for_a_while(at_work, traffic):
    work = await at_work(process.stop("payment", at="deliver", of="order.placed", down=0.5))
    assert work.disturbance.intercept(traffic.delivered("order.placed")) is FORWARD
    assert await settle(work) == ["stop payment"]
    work.words.pass_time(0.6)
    assert await settle(work) == ["stop payment", "start payment"]


async def test_stop_does_not_fire_where_its_site_is_never_reached(at_work):
    work = await at_work(process.stop("payment", at="deliver", of="order.placed"))
    await work.disturbance.heal()
    assert work.words.asked == work.told == []


async def test_pause_freezes_for_a_while(at_work, traffic):
    work = await at_work(process.pause("payment", of="order.placed", by=2))
    assert work.disturbance.intercept(traffic.delivered("order.placed")) is FORWARD
    assert work.words.asked == ["freeze payment"]
    work.words.pass_time(2)
    await work.disturbance.heal()
    assert work.words.asked == ["freeze payment", "thaw payment"]
    assert work.told == ["payment stood still for 2 s"]


async def test_pause_does_not_fire_where_its_site_is_never_reached(at_work):
    work = await at_work(process.pause("payment", of="order.placed"))
    await work.disturbance.heal()
    assert work.words.asked == work.told == []


@pytest.mark.parametrize(
    ("at", "after"), [("publish", False), ("published", True), ("deliver", False), ("ack", False), ("acked", True)]
)
async def test_cut_at_a_site(at_work, traffic, at, after):
    heard = {
        "publish": traffic.published("e"),
        "published": traffic.published("e"),
        "deliver": traffic.delivered("e"),
        "ack": traffic.acked("e"),
        "acked": traffic.acked("e"),
    }[at]
    work = await at_work(link.cut("payment", at=at, of="e"))
    assert work.disturbance.intercept(heard) == Cut(after=after)
    assert work.told == [f"payment's connection was cut at {at} of 1:e"]
    assert work.disturbance.intercept(heard) is FORWARD


@pytest.mark.parametrize("at", ["drive", "quiet"])
async def test_cut_without_a_message(at_work, at):
    work = await at_work(link.cut("payment", at=at))
    await work.disturbance.quiet()
    await work.disturbance.quiet()
    assert work.words.asked == ["link payment", "cut"]
    assert work.told == ["1 of payment's connections were cut"]


async def test_cut_does_not_fire_where_its_site_is_never_reached(at_work):
    work = await at_work(link.cut("payment", at="ack", of="order.placed"))
    await work.disturbance.quiet()
    await work.disturbance.heal()
    assert work.words.asked == work.told == []


async def test_refuse_until_all_is_quiet(at_work):
    work = await at_work(link.refuse("payment"))
    assert [a for a in work.words.asked if "link" not in a] == ["refuse True", "cut"]
    await work.disturbance.heal()
    await work.disturbance.heal()
    assert [a for a in work.words.asked if "link" not in a] == ["refuse True", "cut", "refuse False"]


async def test_refuse_at_a_site_cuts_the_other_connections_when_the_first_is_cut(at_work, traffic):
    work = await at_work(link.refuse("payment", at="published", of="payment.taken", by=1))
    assert work.disturbance.intercept(traffic.published("payment.taken")) == Cut(after=True)
    work.words.pass_time(0.0)
    assert "cut" not in work.words.asked
    work.disturbance.intercept(traffic.closed())
    work.words.pass_time(0.0)
    assert "cut" in work.words.asked
    work.words.pass_time(1.0)
    assert work.words.asked[-1] == "refuse False"


async def test_refuse_does_not_fire_where_its_site_is_never_reached(at_work):
    work = await at_work(link.refuse("payment", at="published", of="payment.taken"))
    await work.disturbance.heal()
    assert work.words.asked == work.told == []


async def test_broker_crash_after_a_confirm_loses_the_confirm(at_work, traffic):
    work = await at_work(broker.crash(at="published", of="payment.taken"))
    published = traffic.published("payment.taken")
    assert work.disturbance.intercept(published) is FORWARD
    assert work.disturbance.intercept(traffic.confirmed(published)) == Drop()
    assert await settle(work) == ["crash broker"]
    await work.disturbance.heal()
    assert work.words.asked == ["crash broker", "restart broker"]


async def test_broker_crash_behind_a_publish_that_nobody_confirms(at_work, traffic):
    work = await at_work(broker.crash(at="published", of="payment.taken", down=0.1))
    assert work.disturbance.intercept(traffic.published("payment.taken", confirming=False)) is FORWARD
    work.words.pass_time(0.0)
    assert await settle(work) == ["crash broker"]
    work.words.pass_time(0.1)
    assert await settle(work) == ["crash broker", "restart broker"]


@pytest.mark.parametrize("at", ["publish", "deliver", "ack"])
async def test_broker_crash_loses_what_is_on_its_way(at_work, traffic, at):
    heard = {"publish": traffic.published("e"), "deliver": traffic.delivered("e"), "ack": traffic.acked("e")}[at]
    work = await at_work(broker.crash(at=at, of="e"))
    assert work.disturbance.intercept(heard) == Drop()
    assert await settle(work) == ["crash broker"]
    await work.disturbance.heal()


@pytest.mark.parametrize("at", ["drive", "quiet"])
async def test_broker_crash_without_a_message(at_work, at):
    work = await at_work(broker.crash(at=at))
    for _ in range(2):
        await work.disturbance.quiet()
        await work.disturbance.heal()
    assert work.words.asked == ["crash broker", "restart broker"]


async def test_broker_crash_does_not_fire_where_its_site_is_never_reached(at_work):
    work = await at_work(broker.crash(at="published", of="payment.taken"))
    await work.disturbance.heal()
    assert work.words.asked == work.told == []


async def test_what_goes_wrong_in_the_background_is_raised_when_the_fault_heals(at_work, traffic):
    async def start(service):
        raise RuntimeError(f"{service} does not come back")

    work = await at_work(process.stop("payment", at="deliver", of="order.placed"))
    work.words.stop = start
    work.disturbance.intercept(traffic.delivered("order.placed"))
    with pytest.raises(RuntimeError, match="payment does not come back"):
        await work.disturbance.heal()
