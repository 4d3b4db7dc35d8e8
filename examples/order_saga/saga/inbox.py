"""The inbox: an event changes something once, however often it is delivered.

What an event changes, the note that it did, and the events that follow from it are one transaction.
"""

from __future__ import annotations

from saga.events import Event
from saga.store import Transaction

SCHEMA = "create table if not exists inbox (event_id text primary key);"


async def is_known(tx: Transaction, event: Event) -> bool:
    """Say whether an event was handled before: a cheap look ahead of work that is not part of the transaction."""
    return bool(await tx.execute("select 1 from inbox where event_id = ?", event.id))


async def accept(tx: Transaction, event: Event) -> bool:
    """Note an event as handled; False means that it was before, and that nothing is left to do.

    The primary key decides, so of two copies that are handled at the same moment one wins.
    """
    sql = "insert into inbox (event_id) values (?) on conflict do nothing returning event_id"
    return bool(await tx.execute(sql, event.id))
