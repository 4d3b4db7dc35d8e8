"""Which smallest plan is found: the quality of the shrinker, and of confirmation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.chaos import delivery, link, process
from misstep.chaos.explorer.confirm import confirm
from misstep.chaos.explorer.names import event_in
from misstep.chaos.explorer.shrink import shrink, simplifications
from misstep.harness.plan import Drive, Plan

pytestmark = pytest.mark.asyncio

CULPRIT = delivery.redeliver("order.placed", to="payment")
BYSTANDERS = (
    delivery.delay("payment.taken", to="order", by=0.5),
    process.crash("shipping", at="acked", of="stock.reserved"),
    link.cut("order", at="published", of="order.placed"),
    delivery.duplicate("order.shipped", to="order", when="later"),
)


def plan(*faults, drives=("place_order",)):
    return Plan(drives=tuple(Drive(driver=name) for name in drives), faults=faults)


def needs(*wanted):
    """A choreography that fails where all of these faults are made, whatever else is."""

    async def fails(tried):
        return all(fault in tried.faults for fault in wanted)

    return fails


@pytest.mark.parametrize("position", range(5))
async def test_one_guilty_fault_among_five_is_found(position):
    faults = [*BYSTANDERS]
    faults.insert(position, CULPRIT)
    assert (await shrink(plan(*faults), needs(CULPRIT))).plan == plan(CULPRIT)


async def test_two_faults_that_need_each_other_both_stay():
    other = BYSTANDERS[1]
    shrunk = await shrink(plan(BYSTANDERS[0], CULPRIT, other, BYSTANDERS[2]), needs(CULPRIT, other))
    assert shrunk.plan == plan(CULPRIT, other)


async def test_drivers_that_add_nothing_are_left_out_and_the_others_renumbered():
    named = replace(CULPRIT, at=replace(CULPRIT.at, event="", message="2:order.placed"))

    async def fails(tried):
        return any(fault.kind == "delivery.redeliver" for fault in tried.faults) and any(
            drive.driver == "sold_out" for drive in tried.drives
        )

    shrunk = await shrink(plan(named, drives=("place_order", "sold_out", "place_order")), fails)
    assert shrunk.plan == plan(CULPRIT, drives=("sold_out",))


async def test_data_that_adds_nothing_is_left_out():
    big = Plan(drives=(Drive(driver="place_order", data={"sku": "A", "quantity": 2}),), faults=(CULPRIT,))

    async def fails(tried):
        return tried.drives[0].data.get("quantity") == 2

    assert (await shrink(big, fails)).plan.drives == (Drive(driver="place_order", data={"quantity": 2}),)


async def test_a_crash_that_only_redelivers_becomes_a_redelivery():
    async def fails(tried):
        return all(fault.kind in ("process.crash", "link.cut", "delivery.redeliver") for fault in tried.faults)

    shrunk = await shrink(plan(process.crash("payment", of="order.placed", down=3)), fails)
    assert shrunk.plan == plan(CULPRIT)


async def test_parameters_attempts_and_names_become_plain():
    big = delivery.redeliver("1:order.placed", to="payment", times=4, attempt=2, queue="payments")

    async def fails(tried):
        return tried.faults[0].kind == "delivery.redeliver"

    assert (await shrink(plan(big), fails)).plan == plan(CULPRIT)


async def test_what_makes_it_fail_is_kept():
    late = delivery.duplicate("order.placed", to="payment", when="later", by=2.0)

    async def fails(tried):
        return tried.faults[0].with_.get("by") == 2.0

    assert (await shrink(plan(late), fails)).plan == plan(late)


async def test_no_plan_is_tried_twice_nor_one_that_is_known():
    tried = []

    async def fails(one):
        tried.append(one.digest)
        return CULPRIT in one.faults

    big = plan(*BYSTANDERS[:2], CULPRIT)
    known = {plan(*BYSTANDERS[:2]).digest: False}
    shrunk = await shrink(big, fails, known=known)
    assert shrunk.plan == plan(CULPRIT)
    assert len(tried) == len(set(tried)) == shrunk.tried
    assert not set(tried) & set(known)


async def test_shrinking_ends_when_it_was_tried_often_enough():
    shrunk = await shrink(plan(*BYSTANDERS, CULPRIT), needs(CULPRIT), most=1)
    assert shrunk.tried == 1


async def test_the_smallest_plan_has_no_simpler_form():
    assert list(simplifications(plan(CULPRIT))) == []


async def test_the_event_of_a_causal_name_is_its_last_part():
    assert event_in("1:order.placed/payment.taken#2") == "payment.taken"
    assert event_in("12:order.placed") == "order.placed"


@pytest.mark.parametrize(
    ("answers", "n", "failed", "confirmed"),
    [
        ((True, True), 2, 2, True),
        ((True, False), 2, 1, False),
        ((False,), 2, 0, False),
        ((False, True, True), 3, 2, True),
        ((True, True), 3, 2, True),
        ((False, False), 3, 0, False),
    ],
)
async def test_a_failure_is_confirmed_k_of_n_and_no_run_is_wasted(model, answers, n, failed, confirmed):
    left = iter(answers)
    bench = model(breaks=lambda plan: "charge" if next(left) else None)

    async def fresh(one):
        return await bench.run(one, fresh=True)

    sure = await confirm(plan(CULPRIT), frozenset({"effects: charge"}), fresh, k=2, n=n)
    assert (sure.failed, sure.of, sure.confirmed) == (failed, len(answers), confirmed)
    assert len(bench.asked) == len(answers)


async def test_a_run_that_fails_in_another_way_confirms_nothing(model):
    bench = model(breaks=lambda plan: "something else")

    async def fresh(one):
        return await bench.run(one, fresh=True)

    sure = await confirm(plan(CULPRIT), frozenset({"effects: charge"}), fresh)
    assert (sure.failed, sure.confirmed) == (0, False)
