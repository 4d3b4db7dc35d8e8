"""Shipping: ships what is reserved, if any carrier takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from saga import inbox, outbox
from saga.events import Event
from saga.service import Handler, serve
from saga.store import Store

SCHEMA = """
create table if not exists shipments (order_id text primary key, sku text not null, quantity integer not null);
create table if not exists cancelled (order_id text primary key);
"""
NO_CARRIER = {"piano"}


class Shipping:
    """Hands parcels to a carrier."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def ship(self, event: Event) -> None:
        """stock.reserved: ship, unless the order was cancelled or nobody carries the thing."""
        sku, quantity = str(event.data["sku"]), int(event.data["quantity"])
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            if await tx.execute("select 1 from cancelled where order_id = ?", event.order_id):
                return
            if sku in NO_CARRIER:
                await outbox.put(tx, event.then("shipping.failed"))
                return
            await tx.execute("insert into shipments values (?, ?, ?)", event.order_id, sku, quantity)
            await outbox.put(tx, event.then("order.shipped"))

    async def forget(self, event: Event) -> None:
        """order.cancelled: never ship this order, however late its stock.reserved arrives."""
        async with self.store.transaction() as tx:
            if await inbox.accept(tx, event):
                await tx.execute("insert into cancelled values (?)", event.order_id)


def handlers(store: Store) -> Mapping[str, Handler]:
    """Return what shipping does on which event."""
    shipping = Shipping(store)
    return {"stock.reserved": shipping.ship, "order.cancelled": shipping.forget}


if __name__ == "__main__":
    asyncio.run(serve("shipping", SCHEMA, handlers))
