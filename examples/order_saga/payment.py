"""Payment: charges an order when it is placed, and gives the money back when nothing can be delivered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from saga import inbox, outbox
from saga.events import Event
from saga.gateway import Gateway
from saga.service import Handler, serve
from saga.store import Store

SCHEMA = """
create table if not exists charges (order_id text primary key, charge_id text not null, amount integer not null);
create table if not exists refunds (order_id text primary key, charge_id text not null, amount integer not null);
"""


class Payment:
    """Moves money. The gateway is asked outside of any transaction, and the same question always has the same key."""

    def __init__(self, store: Store, gateway: Gateway) -> None:
        self.store = store
        self.gateway = gateway

    async def charge(self, event: Event) -> None:
        """order.placed: charge, and say whether the money was taken."""
        if await self.is_known(event):
            return
        amount = int(event.data["amount"])
        charge_id = await self.gateway.charge(event.order_id, amount, key=f"charge-{event.order_id}")
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            if charge_id is None:
                await outbox.put(tx, event.then("payment.refused"))
                return
            await tx.execute("insert into charges values (?, ?, ?)", event.order_id, charge_id, amount)
            await outbox.put(tx, event.then("payment.taken"))

    async def refund(self, event: Event) -> None:
        """stock.out, stock.released: nothing is held for the order any more, so give the money back."""
        if await self.is_known(event):
            return
        async with self.store.transaction() as tx:
            ((charge_id, amount),) = await tx.execute(
                "select charge_id, amount from charges where order_id = ?", event.order_id
            )
        await self.gateway.refund(event.order_id, charge_id, key=f"refund-{event.order_id}")
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            await tx.execute("insert into refunds values (?, ?, ?)", event.order_id, charge_id, amount)
            await outbox.put(tx, event.then("payment.refunded"))

    async def is_known(self, event: Event) -> bool:
        """Look before asking the gateway, which forgets its keys after a day or so."""
        async with self.store.transaction() as tx:
            return await inbox.is_known(tx, event)


def handlers(store: Store) -> Mapping[str, Handler]:
    """Return what payment does on which event."""
    payment = Payment(store, Gateway(os.environ["GATEWAY_URL"]))
    return {"order.placed": payment.charge, "stock.out": payment.refund, "stock.released": payment.refund}


if __name__ == "__main__":
    asyncio.run(serve("payment", SCHEMA, handlers))
