"""Order: takes orders by HTTP, and knows how each of them ended."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4, uuid5

import uvicorn
from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field
from saga import inbox, outbox
from saga.events import Event
from saga.service import Service, open_own_store
from saga.store import Store

ORDERS = UUID("b4b2b7f0-61e4-5b57-8f0e-8f6d0c1b7a11")
SCHEMA = """
create table if not exists orders (
    order_id text primary key, sku text not null, quantity integer not null, amount integer not null,
    status text not null
);
"""


class NewOrder(BaseModel):
    """What a customer orders; the amount is in cents."""

    sku: str
    quantity: int = Field(gt=0)
    amount: int = Field(gt=0)


class Orders:
    """The orders. A status moves once, from pending to how the order ended."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def place(self, order_id: str, order: NewOrder) -> None:
        """Take an order and tell of it; a request that is repeated with its key is the same order."""
        async with self.store.transaction() as tx:
            placed = await tx.execute(
                "insert into orders values (?, ?, ?, ?, 'pending') on conflict do nothing returning order_id",
                order_id,
                order.sku,
                order.quantity,
                order.amount,
            )
            if placed:
                await outbox.put(tx, Event("order.placed", order_id, order.model_dump()))

    async def status(self, order_id: str) -> str | None:
        """Return where an order stands, or None if there is no such order."""
        async with self.store.transaction() as tx:
            rows = await tx.execute("select status from orders where order_id = ?", order_id)
        return str(rows[0][0]) if rows else None

    async def confirm(self, event: Event) -> None:
        """order.shipped: the end."""
        async with self.store.transaction() as tx:
            if await inbox.accept(tx, event):
                await tx.execute(
                    "update orders set status = 'confirmed' where order_id = ? and status = 'pending'", event.order_id
                )

    async def cancel(self, event: Event) -> None:
        """payment.refused, payment.refunded: nobody owes anything any more."""
        async with self.store.transaction() as tx:
            if not await inbox.accept(tx, event):
                return
            cancelled = await tx.execute(
                "update orders set status = 'cancelled' where order_id = ? and status = 'pending' returning order_id",
                event.order_id,
            )
            if cancelled:
                await outbox.put(tx, event.then("order.cancelled"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Take part in the choreography while HTTP is served; orders are taken without a broker, too."""
    store = await open_own_store("order", SCHEMA)
    orders = Orders(store)
    handlers = {
        "order.shipped": orders.confirm,
        "payment.refused": orders.cancel,
        "payment.refunded": orders.cancel,
    }
    service = Service("order", store, handlers)
    app.state.orders, app.state.service = orders, service
    service.start()
    yield
    await service.stop()


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=202)
async def place(order: NewOrder, idempotency_key: Annotated[str | None, Header()] = None) -> dict[str, str]:
    """Take an order."""
    order_id = str(uuid5(ORDERS, idempotency_key) if idempotency_key else uuid4())
    await app.state.orders.place(order_id, order)
    app.state.service.relay.wake()
    return {"order_id": order_id}


@app.get("/orders/{order_id}")
async def status(order_id: str) -> dict[str, str]:
    """Tell where an order stands."""
    found = await app.state.orders.status(order_id)
    if found is None:
        raise HTTPException(404, f"no order {order_id}")
    return {"order_id": order_id, "status": found}


@app.get("/health")
async def health(response: Response) -> dict[str, bool]:
    """Tell whether this service hears events; one that does not is not healthy, whatever its HTTP face says."""
    healthy = app.state.service.healthy
    response.status_code = 200 if healthy else 503
    return {"healthy": healthy}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    uvicorn.run(app, host="127.0.0.1", port=arguments.parse_args().port, log_level="info", access_log=False)
