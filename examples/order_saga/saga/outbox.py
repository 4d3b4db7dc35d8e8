"""The outbox: events are written with the change they tell of, and published after the commit.

An event is marked as sent once the broker has confirmed it. A relay that is killed in between publishes it again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from saga.events import Event
from saga.store import Row, Store, Transaction

SCHEMA = """
create table if not exists outbox (
    position {serial},
    type text not null,
    order_id text not null,
    data text not null,
    cause text,
    sent integer not null default 0
);
create index if not exists outbox_unsent on outbox (position) where sent = 0;
"""
BATCH = 100
IDLE = 1.0
RETRY = 0.2

log = logging.getLogger(__name__)


async def put(tx: Transaction, event: Event) -> None:
    """Write an event down, to be published once the transaction is committed."""
    await tx.execute(
        "insert into outbox (type, order_id, data, cause) values (?, ?, ?, ?)",
        event.type,
        event.order_id,
        json.dumps(event.data),
        event.cause,
    )


class NotSent(Exception):
    """Some events are not known to have reached a queue; they stay in the outbox."""


class Relay:
    """Publishes what stands in the outbox: at once when it is woken, and by a timer should a wake-up be lost.

    Args:
        store: Where the outbox is.
        publish: Publishes one event and returns when the broker has it in a queue; raises when that is not certain.
    """

    def __init__(self, store: Store, publish: Callable[[Event], Awaitable[None]]) -> None:
        self._store = store
        self._publish = publish
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Relay until cancelled; what a former process left behind comes first."""
        while True:
            self._woken.clear()
            try:
                await self.flush()
            except Exception as error:  # whatever it was: the events are safe, and the next round tries again
                log.warning("outbox: %r; trying again", error)
                await asyncio.sleep(RETRY)
                continue
            await self._until_woken()

    async def flush(self) -> None:
        """Publish everything that is not sent yet.

        Raises:
            NotSent: Some events could not be published; the others are marked as sent.
        """
        while rows := await self._unsent():
            outcomes = await asyncio.gather(*map(self._send, rows), return_exceptions=True)
            confirmed = [row[0] for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
            if confirmed:
                async with self._store.transaction() as tx:
                    for position in confirmed:
                        await tx.execute("update outbox set sent = 1 where position = ?", position)
            if failures := [outcome for outcome in outcomes if outcome is not None]:
                raise NotSent(f"{len(failures)} of {len(rows)} events, the first for {failures[0]!r}")

    async def _unsent(self) -> list[Row]:
        sql = "select position, type, order_id, data, cause from outbox where sent = 0 order by position limit ?"
        async with self._store.transaction() as tx:
            return await tx.execute(sql, BATCH)

    async def _send(self, row: Row) -> None:
        _, type, order_id, data, cause = row
        await self._publish(Event(type, order_id, json.loads(data), cause))

    async def _until_woken(self) -> None:
        try:
            async with asyncio.timeout(IDLE):
                await self._woken.wait()
        except TimeoutError:
            return
