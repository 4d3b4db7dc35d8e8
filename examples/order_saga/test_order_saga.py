"""The order saga's own tests: ``pytest examples/order_saga``."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.asyncio


async def test_an_order_is_confirmed(stage: Any) -> None:
    saga = await stage.drive("place_order")
    await saga.settled(within=10)
    assert saga.completed


async def test_out_of_stock_refunds_the_charge(stage: Any) -> None:
    saga = await stage.drive("place_order", sku="sold-out")
    await saga.settled(within=10)
    assert saga.compensated


async def test_no_carrier_releases_the_stock_and_refunds_the_charge(stage: Any) -> None:
    saga = await stage.drive("no_carrier")
    await saga.settled(within=10)
    assert saga.compensated
