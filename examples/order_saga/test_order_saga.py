"""The order saga's own tests: ``pytest examples/order_saga``.

Each runs the real services, and is judged when it has passed: by what it asserts, and by every checker.
"""

from __future__ import annotations

import pytest
from misstep.chaos import delivery, process
from misstep.harness.testing import BlockingStage, StageHandle


async def test_an_order_is_shipped(stage: StageHandle) -> None:
    saga = await stage.drive("place_order")
    await saga.settled(within=15)
    assert saga.completed


async def test_out_of_stock_refunds_the_charge(stage: StageHandle) -> None:
    saga = await stage.drive("place_order", sku="sold-out")
    await saga.settled(within=15)
    assert saga.compensated
    assert "payment.refunded" in saga.events


def test_no_carrier_releases_the_stock_and_refunds_the_charge(blocking_stage: BlockingStage) -> None:
    saga = blocking_stage.drive("no_carrier")
    saga.settled(within=15)
    assert saga.compensated
    assert {"stock.released", "payment.refunded"} <= set(saga.events)


@pytest.mark.chaos(
    delivery.redeliver("payment.taken", to="inventory"),
    process.crash("payment", at="ack", of="order.placed"),
)
async def test_a_crash_of_payment_and_a_redelivery_cost_nobody_anything(stage: StageHandle) -> None:
    saga = await stage.drive("place_order")
    await saga.settled(within=15)
    assert saga.completed
