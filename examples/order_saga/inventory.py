"""Inventory: reserves stock for what was paid, and releases it when it cannot be shipped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from saga import inbox, outbox
from saga.events import Event
from saga.service import Handler, serve
from saga.store import Store

SCHEMA = """
create table if not exists stock (sku text primary key, available bigint not null check (available >= 0));
create table if not exists reservations (
    order_id text primary key, sku text not null, quantity integer not null, state text not null
);
insert into stock values ('A1', 1000000000), ('piano', 1000000000), ('sold-out', 0) on conflict do nothing;
"""


class Inventory:
    """Keeps the stock."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def reserve(self, event: Event) -> None:
        """payment.taken: hold what was ordered, or say that there is not enough of it."""
        sku, quantity = str(event.data["sku"]), int(event.data["quantity"])
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            taken = await tx.execute(
                "update stock set available = available - ? where sku = ? and available >= ? returning sku",
                quantity,
                sku,
                quantity,
            )
            if not taken:
                await outbox.put(tx, event.then("stock.out"))
                return
            await tx.execute("insert into reservations values (?, ?, ?, 'held')", event.order_id, sku, quantity)
            await outbox.put(tx, event.then("stock.reserved"))

    async def release(self, event: Event) -> None:
        """shipping.failed: put back what was held."""
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            ((sku, quantity),) = await tx.execute(
                "update reservations set state = 'released' where order_id = ? and state = 'held'"
                " returning sku, quantity",
                event.order_id,
            )
            await tx.execute("update stock set available = available + ? where sku = ?", quantity, sku)
            await outbox.put(tx, event.then("stock.released"))


def handlers(store: Store) -> Mapping[str, Handler]:
    """Return what inventory does on which event."""
    inventory = Inventory(store)
    return {"payment.taken": inventory.reserve, "shipping.failed": inventory.release}


if __name__ == "__main__":
    asyncio.run(serve("inventory", SCHEMA, handlers))
