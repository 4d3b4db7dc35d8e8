"""Tests to paste: valid Python that makes the same plan."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from misstep.chaos import broker, delivery, link, message, paste, process
from misstep.harness.plan import Drive, Plan

FAULTS = [
    delivery.redeliver("payment.taken", to="shipping"),
    delivery.redeliver("payment.taken", to="shipping", times=2, attempt=2, queue="q"),
    delivery.duplicate("payment.taken", to="shipping", when="later", by=1.5, copies=3),
    delivery.duplicate("payment.taken", to="shipping"),
    delivery.delay("1:order.placed/payment.taken#2", to="order", by=0.5),
    delivery.reorder("payment.taken", to="order", behind="stock.reserved"),
    message.corrupt('odd "name"', to="it's", times=0),
    process.crash("payment", at="published", of="payment.taken", down=1),
    process.crash("payment", at="drive"),
    process.stop("shipping"),
    process.pause("shipping", of="payment.taken"),
    link.cut("payment", at="published", of="payment.taken"),
    link.refuse("payment", by=1),
    broker.crash(at="published", of="payment.taken", by="payment"),
    broker.crash(at="quiet"),
]
NAMES = {"broker": broker, "delivery": delivery, "link": link, "message": message, "process": process}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_written_as_the_call_that_makes_it(fault):
    assert eval(paste.call(fault), NAMES) == fault


def test_a_test_reads_as_a_person_would_write_it():
    plan = Plan(
        drives=(Drive(driver="place_order", data={"sku": "B"}),),
        faults=(delivery.redeliver("order.placed", to="payment"),),
    )
    assert paste.source(plan, ["effects: charge of order 17 happened 2 times"]) == (
        "import pytest\n"
        "from misstep.chaos import delivery\n"
        "\n"
        "\n"
        "# effects: charge of order 17 happened 2 times\n"
        '@pytest.mark.chaos(delivery.redeliver("order.placed", to="payment"))\n'
        "async def test_place_order_survives_redelivery_of_order_placed_to_payment(stage):\n"
        '    saga = await stage.drive("place_order", sku="B")\n'
        "    await saga.settled()\n"
    )


class FakeStage:
    """Takes down what a pasted test drives."""

    def __init__(self):
        self.drives = []

    async def drive(self, driver, **data):
        self.drives.append(Drive(driver=driver, data=data))
        return self

    async def settled(self):
        pass


PLANS = [
    Plan(drives=(Drive(driver="place_order"),), faults=tuple(FAULTS)),
    Plan(drives=(Drive(driver="place_order", data={"class": 1, "driver": 2}), Drive(driver="sold_out"))),
    Plan(drives=(Drive(driver="größe \n"),), faults=(delivery.delay("a\n# b", to="x"),)),
]


@pytest.mark.parametrize("plan", PLANS, ids=["many faults", "no fault, odd data", "odd names"])
def test_a_pasted_test_compiles_and_makes_the_same_plan(plan):
    names = {}
    exec(compile(paste.source(plan, ["a comment\nof two lines"]), "pasted", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    stage = FakeStage()
    if "driver" not in {key for drive in plan.drives for key in drive.data}:
        asyncio.run(test(stage))
        assert tuple(stage.drives) == plan.drives
    marks = getattr(test, "pytestmark", [])
    assert [fault for mark in marks for fault in mark.args] == list(plan.faults)


def test_a_pasted_test_is_left_alone_by_a_linter(tmp_path):
    file = tmp_path / "test_pasted.py"
    file.write_text(paste.source(PLANS[0]))
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F,I", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
