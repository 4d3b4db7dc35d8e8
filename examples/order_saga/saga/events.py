"""An event: what happened to which order, and which event led to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

EVENTS = UUID("6f0a2a3e-3c1b-5c7e-9d55-0b7b6a1f2c4d")


class MalformedEvent(Exception):
    """A message that will never be understood, however often it is delivered."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one order.

    Each type happens at most once to an order, so its id follows from the two: an event that is published again,
    by a relay that was killed before it noted the confirm, say, is recognised wherever it arrives.
    """

    type: str
    order_id: str
    data: dict[str, Any] = field(default_factory=dict)
    cause: str | None = None
    received_as: str | None = None

    @property
    def id(self) -> str:
        """The message id; the same for every copy of the event."""
        return str(uuid5(EVENTS, f"{self.order_id}/{self.type}"))

    def then(self, type: str, **data: Any) -> Event:
        """Return the event that this one led to; it carries the data on."""
        return Event(type, self.order_id, {**self.data, **data}, cause=self.received_as or self.id)

    def encode(self) -> bytes:
        """Return the body of its message."""
        return json.dumps({"order_id": self.order_id, **self.data}).encode()

    @classmethod
    def decode(cls, type: str, body: bytes, message_id: str | None) -> Event:
        """Read a message; its id is only kept to be named as a cause, since not every producer repeats it.

        Raises:
            MalformedEvent: Its body is no JSON object, or names no order.
        """
        try:
            data = json.loads(body)
            return cls(type, str(data.pop("order_id")), data, received_as=message_id)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedEvent(f"{type}: {body[:80]!r}: {error!r}") from error
