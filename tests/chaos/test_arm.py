"""What a person may write wrong in a fault, and what the message says."""

from __future__ import annotations

import json

import pytest
from misstep.chaos import broker, delivery, link, message, process
from misstep.chaos.faults.arm import KINDS, arm, fit_plan
from misstep.harness.errors import PlanError
from misstep.harness.plan import Drive, Fault, Plan, Site

ACK = Site(moment="ack", service="payment", event="order.placed")


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(kind="delivery.redelivr", at=ACK), "no fault 'delivery.redelivr'; did you mean 'delivery.redeliver'?"),
        (Fault(kind="delivery.redeliver", at=Site(moment="deliver", event="a")), "moment 'deliver'.*expected 'ack'"),
        (Fault(kind="delivery.redeliver", at=Site(moment="ack", event="a")), "names no service"),
        (Fault(kind="delivery.redeliver", at=Site(moment="ack", service="payment")), "names no message"),
        (Fault(kind="delivery.redeliver", at=ACK, with_={"time": 2}), "no parameter 'time'.*did you mean 'times'"),
        (
            Fault(kind="delivery.redeliver", at=ACK, with_={"times": 0}),
            "times = 0: expected a whole number of at least 1",
        ),
        (Fault(kind="delivery.redeliver", at=ACK, with_={"times": True}), "times = True"),
        (Fault(kind="process.crash", at=ACK, with_={"down": -1}), "down = -1: expected seconds"),
        (Fault(kind="process.crash", at=ACK, with_={"down": float("nan")}), "down = nan: expected seconds"),
        (Fault(kind="process.crash", at=Site(moment="ak", service="a", event="b")), "did you mean 'ack'"),
        (Fault(kind="link.cut", at=ACK, with_={"by": 1}), "no parameter 'by'.*it takes none"),
        (Fault(kind="process.crash", at=Site(moment="ack", service="paymnt", event="a")), "did you mean 'payment'"),
        (Fault(kind="process.crash", at=Site(moment="ack", service="payment", event="a", attempt=-1)), "attempt -1"),
        (
            Fault(
                kind="delivery.duplicate",
                at=Site(moment="deliver", service="payment", event="a"),
                with_={"when": "soon"},
            ),
            "when = 'soon': expected one of 'now', 'later'",
        ),
    ],
)
def test_every_mistake_is_named_with_what_is_right(words, fault, says):
    with pytest.raises(PlanError, match=says):
        arm(fault, words, print)


def test_a_constructor_refuses_at_once():
    with pytest.raises(PlanError, match=r"delivery\.delay has by = -1"):
        delivery.delay("payment.taken", to="order", by=-1)


def test_a_plan_must_name_drivers_that_there_are(choreography):
    with pytest.raises(PlanError, match="no driver 'place_ordr'; did you mean 'place_order'"):
        fit_plan(Plan(drives=(Drive(driver="place_ordr"),)), choreography)
    fit_plan(Plan(drives=(Drive(driver="place_order"),), faults=(process.crash("payment", of="a"),)), choreography)


FAULTS = [
    delivery.redeliver("payment.taken", to="shipping", times=2),
    delivery.duplicate("payment.taken", to="shipping", when="later", by=1, copies=3),
    delivery.delay("1:order.placed/payment.taken", to="order", by=0.5),
    delivery.reorder("payment.taken", to="order", behind="stock.reserved", queue="orders"),
    message.corrupt("payment.taken", to="order", times=0),
    process.crash("payment", at="published", of="payment.taken", down=1),
    process.stop("shipping"),
    process.pause("shipping", of="payment.taken"),
    link.cut("payment", at="published", of="payment.taken"),
    link.refuse("payment", by=1),
    broker.crash(at="quiet"),
]


def test_every_kind_has_a_constructor():
    assert {fault.kind for fault in FAULTS} == set(KINDS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_a_fault_as_written_goes_through_json_and_to_work(words, fault):
    plan = Plan(drives=(Drive(driver="place_order"),), faults=(fault,))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert json.loads(again.to_json())["faults"][0]["kind"] == fault.kind
    arm(again.faults[0], words, print)
