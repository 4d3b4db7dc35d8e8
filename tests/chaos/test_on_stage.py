"""Each fault on the embedded stage: real processes, real links, and what the history says of it afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio
from misstep.chaos import broker, delivery, link, message, process
from misstep.chaos.explorer.bench import HouseBench
from misstep.chaos.faults.arm import KINDS
from misstep.harness.choreography.words import Choreography, Driver, QuietRules, Saga, Service
from misstep.harness.history.entries import (
    Connection,
    Delivered,
    Drove,
    FaultEvent,
    Lost,
    Note,
    Process,
    Published,
    Quiet,
    Settled,
)
from misstep.harness.plan import Drive, Plan
from misstep.harness.stage.house import House

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACED, TAKEN = "1:order.placed", "1:order.placed/payment.taken"
CHOREOGRAPHY = Choreography(
    name="relay",
    folder=Path(__file__).parent,
    services={
        name: Service(name=name, processes={"main": f"{{python}} relay.py {name}"}, env={"BROKER_URL": "{broker.url}"})
        for name in ("payment", "shipping")
    },
    drivers={
        "place_order": Driver(
            name="place_order",
            publish="order.placed",
            exchange="shop",
            json={"order": "{correlation}"},
            properties={"correlation_id": "{correlation}"},
        )
    },
    sagas={"order": Saga(name="order", starts="order.placed", completes=("order.shipped",))},
    quiet=QuietRules(silence=0.4),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench():
    async with House.open("embedded", CHOREOGRAPHY) as house:
        bench = HouseBench(house)
        yield bench
        await bench.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clean(bench):
    return (await bench.run(Plan(drives=(Drive(driver="place_order"),)))).history


@pytest.fixture
def disturbed(bench, clean):
    async def run(*faults):
        plan = Plan(drives=(Drive(driver="place_order"),), faults=faults)
        return (await bench.run(plan, clean=(clean,))).history

    return run


def fired(history):
    return [entry for entry in history.of(FaultEvent) if entry.what == "fired"]


def given(history, service, event):
    return [e for e in history.of(Delivered) if (e.service, e.event) == (service, event)]


def acked(history, delivered):
    return any(s.delivery == delivered.delivery and s.outcome == "ack" for s in history.of(Settled))


def before(history, first, second):
    entries = list(history)
    return entries.index(first) < entries.index(second)


def incarnations(history, service):
    return [(p.what, p.incarnation) for p in history.of(Process) if p.service == service]


async def test_a_clean_run_is_what_the_faults_are_held_against(clean):
    assert [e.message for e in clean.of(Delivered)][:2] == [PLACED, TAKEN]
    assert not any(e.redelivered or e.copy for e in clean.of(Delivered))
    assert clean.of(Quiet)[-1].quiet


async def test_redelivery_is_the_brokers_own(disturbed):
    history = await disturbed(delivery.redeliver("payment.taken", to="shipping", times=2))
    assert [(e.attempt, e.redelivered, e.copy) for e in given(history, "shipping", "payment.taken")] == [
        (1, False, False),
        (2, True, False),
        (3, True, False),
    ]
    assert len(fired(history)) == 2
    assert [s.by for s in history.of(Settled) if s.message == TAKEN] == ["misstep", "misstep", "service"]


async def test_a_duplicate_at_once_is_a_copy_that_the_broker_knows_nothing_of(disturbed):
    history = await disturbed(delivery.duplicate("payment.taken", to="shipping", copies=2))
    assert [e.copy for e in given(history, "shipping", "payment.taken")] == [False, True, True]
    assert len(fired(history)) == 1


async def test_a_duplicate_later_comes_when_all_was_quiet(disturbed):
    history = await disturbed(delivery.duplicate("payment.taken", to="shipping", when="later"))
    original, copy = given(history, "shipping", "payment.taken")
    assert copy.copy
    assert before(history, history.of(Quiet)[0], copy)
    assert acked(history, original)
    assert len(fired(history)) == 1


async def test_a_delay_until_quiet_delivers_after_the_end(disturbed):
    history = await disturbed(delivery.delay("payment.taken", to="shipping"))
    (late,) = given(history, "shipping", "payment.taken")
    first, *_ = history.of(Quiet)
    assert first.quiet
    assert before(history, first, late)
    assert acked(history, late)
    assert given(history, "shipping", "receipt.sent")[0].at < late.at


async def test_a_short_delay_holds_as_long_as_it_says(disturbed):
    history = await disturbed(delivery.delay("payment.taken", to="shipping", by=0.3))
    (late,) = given(history, "shipping", "payment.taken")
    assert late.at - fired(history)[0].at >= 0.3
    assert before(history, late, history.of(Quiet)[0])


async def test_reordering_turns_two_deliveries_round(disturbed):
    history = await disturbed(delivery.reorder("payment.taken", to="shipping", behind="receipt.sent"))
    order = [e.event for e in history.of(Delivered) if e.service == "shipping"]
    assert order == ["receipt.sent", "payment.taken"]
    assert fired(history)[0].detail.startswith("shipping was given")


async def test_what_cannot_be_read_is_put_back_and_then_read(disturbed):
    history = await disturbed(message.corrupt("payment.taken", to="shipping"))
    outcomes = [s.outcome for s in history.of(Settled) if s.message == TAKEN]
    assert outcomes == ["nack", "ack"]
    assert len(fired(history)) == 1


async def test_a_crash_before_a_publish_loses_the_message_and_comes_back(disturbed):
    history = await disturbed(process.crash("payment", at="publish", of="payment.taken"))
    assert [e.message for e in history.of(Lost)] == [TAKEN]
    assert ("killed", 1) in [(what, min(1, number)) for what, number in incarnations(history, "payment")]
    assert [e.attempt for e in given(history, "payment", "order.placed")] == [1, 2]
    assert given(history, "shipping", "payment.taken")


async def test_a_crash_after_a_publish_leaves_the_message_with_the_broker(disturbed):
    history = await disturbed(process.crash("payment", at="published", of="payment.taken"))
    assert history.of(Lost) == []
    assert [e.attempt for e in given(history, "payment", "order.placed")] == [1, 2]
    assert len(given(history, "shipping", "payment.taken")) == 2


async def test_a_crash_before_an_acknowledgement_repeats_the_message(disturbed):
    history = await disturbed(process.crash("shipping", at="ack", of="payment.taken"))
    first, second = given(history, "shipping", "payment.taken")
    assert not first.redelivered
    assert second.redelivered
    assert second.incarnation > first.incarnation
    assert acked(history, second)


async def test_a_crash_after_an_acknowledgement_does_not(disturbed):
    history = await disturbed(process.crash("shipping", at="acked", of="payment.taken"))
    assert len(given(history, "shipping", "payment.taken")) == 1
    assert "killed" in [what for what, _ in incarnations(history, "shipping")]


async def test_a_crash_before_a_delivery_gives_it_to_the_next_incarnation(disturbed):
    history = await disturbed(process.crash("shipping", at="deliver", of="payment.taken", down=0.2))
    (only,) = given(history, "shipping", "payment.taken")
    assert only.incarnation > 1
    assert acked(history, only)


async def test_a_service_that_is_killed_while_it_starts_comes_back(disturbed):
    first, second = (
        process.crash("shipping", at=at, of="payment.taken", attempt=n) for at, n in (("ack", 1), ("ack", 2))
    )
    history = await disturbed(first, second)
    assert len(fired(history)) == 2
    assert [what for what, _ in incarnations(history, "shipping")].count("killed") == 2
    assert acked(history, given(history, "shipping", "payment.taken")[-1])
    assert not any(note.unknown for note in history.of(Note))


async def test_an_offline_consumer_is_given_all_when_it_is_back(disturbed):
    history = await disturbed(process.stop("shipping"))
    stopped = next(p for p in history.of(Process) if p.what == "stopped")
    assert before(history, stopped, history.of(Drove)[0])
    late = given(history, "shipping", "payment.taken")[0]
    assert before(history, history.of(Quiet)[0], late)
    assert acked(history, late)


async def test_a_pause_freezes_a_service_in_its_tracks(disturbed):
    history = await disturbed(process.pause("shipping", of="payment.taken", by=0.4))
    (delivered,) = given(history, "shipping", "payment.taken")
    settled = next(s for s in history.of(Settled) if s.delivery == delivered.delivery)
    assert settled.at - fired(history)[0].at >= 0.4
    assert "killed" not in [what for what, _ in incarnations(history, "shipping")]


@pytest.mark.parametrize(("at", "times"), [("publish", 1), ("published", 2)])
async def test_a_cut_at_a_publish_loses_it_or_its_confirm(disturbed, at, times):
    history = await disturbed(link.cut("payment", at=at, of="payment.taken"))
    assert len(given(history, "shipping", "payment.taken")) == times
    assert [c.by for c in history.of(Connection) if c.service == "payment" and c.what == "closed"] == ["misstep"]
    assert [p for p in history.of(Published) if p.event == "payment.taken"]


@pytest.mark.parametrize(("at", "times"), [("ack", 2), ("acked", 1), ("deliver", 1)])
async def test_a_cut_at_a_delivery(disturbed, at, times):
    history = await disturbed(link.cut("shipping", at=at, of="payment.taken"))
    deliveries = given(history, "shipping", "payment.taken")
    assert len(deliveries) == times
    assert acked(history, deliveries[-1])


async def test_an_outage_ends_and_the_work_is_done(disturbed):
    history = await disturbed(link.refuse("shipping", by=0.5))
    assert fired(history)[0].detail == "shipping could not reach the broker for 0.5 s"
    (late,) = given(history, "shipping", "payment.taken")
    assert late.at - fired(history)[0].at >= 0.5
    assert acked(history, late)


async def test_an_outage_at_a_publish_lasts_until_all_is_quiet(disturbed):
    history = await disturbed(link.refuse("payment", at="publish", of="payment.taken"))
    late = given(history, "shipping", "payment.taken")[0]
    assert before(history, history.of(Quiet)[0], late)
    assert acked(history, late)


async def test_a_broker_that_crashes_after_a_confirm_still_has_the_message(disturbed):
    history = await disturbed(broker.crash(at="published", of="payment.taken", down=0.2))
    assert len(fired(history)) == 1
    assert given(history, "shipping", "payment.taken")
    assert {c.service for c in history.of(Connection) if c.what == "closed"} == {"payment", "shipping"}
    assert history.of(Quiet)[-1].quiet


async def test_no_kind_fires_where_its_site_is_never_reached(bench, clean):
    never = "never.heard"
    faults = (
        delivery.redeliver(never, to="shipping"),
        delivery.duplicate(never, to="shipping"),
        delivery.duplicate(never, to="shipping", when="later"),
        delivery.delay(never, to="shipping"),
        delivery.reorder("payment.taken", to="shipping", behind=never),
        message.corrupt(never, to="shipping"),
        process.crash("shipping", of=never),
        process.stop("shipping", at="deliver", of=never),
        process.pause("shipping", of=never),
        link.cut("shipping", of=never),
        link.refuse("shipping", at="ack", of=never),
        broker.crash(at="published", of=never),
    )
    assert {fault.kind for fault in faults} == set(KINDS)
    run = await bench.run(Plan(drives=(Drive(driver="place_order"),), faults=faults), clean=(clean,))
    assert fired(run.history) == []
    assert run.answer == "unknown"
    assert acked(run.history, given(run.history, "shipping", "payment.taken")[0])
