"""When two sightings on the wire are one message: what it keeps between its publication and each of its deliveries.

A broker may redeliver a message, count its deliveries, or move it to another queue; it never changes the payload or the
producer's own properties. What brokers add is left out of the comparison, and where a dead-lettered copy comes by
another route, its record of deaths says by which it was published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from misstep.harness.wire.facts import Message

ADDED = frozenset(
    {
        "x-death",
        "x-delivery-count",
        "x-acquired-count",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
        "x-opt-deaths",
        "x-received-from",
        "x-stream-offset",
        "BCC",
    }
)
"""Headers that a broker adds, changes or takes away."""

# Not the expiration, which dead-lettering takes away (RabbitMQ, Dead Letter Exchanges).
KEPT = ("message_id", "correlation_id", "type", "app_id", "reply_to", "content_type")

Fingerprint = bytes


def fingerprint(message: Message) -> Fingerprint:
    """Return what is the same for a message each time it is seen, whichever way it came."""
    digest = blake2b(message.body, digest_size=12)
    get = message.properties.get
    digest.update(repr([get(name) for name in KEPT]).encode(errors="replace"))
    if message.headers:
        own = sorted((name, repr(value)) for name, value in message.headers.items() if name not in ADDED)
        if own:
            digest.update(repr(own).encode(errors="replace"))
    return digest.digest()


def routes(message: Message) -> Iterator[tuple[str, str]]:
    """Yield the exchange and key that a message was sent to, and all that its record of deaths names, newest first."""
    yield message.exchange, message.routing_key
    for death in deaths(message):
        keys = death.get("routing-keys")
        for key in keys if isinstance(keys, list | tuple) else ():
            yield str(death.get("exchange", "")), str(key)


def died_in(message: Message) -> str:
    """Return the queue that a message was last dead-lettered from; empty when it was not."""
    return next((str(death.get("queue", "")) for death in deaths(message)), "")


def deaths(message: Message) -> list[Mapping[str, object]]:
    """Return a message's record of deaths, newest first."""
    record = message.headers.get("x-death") if message.headers else None
    return [death for death in record if isinstance(death, Mapping)] if isinstance(record, list | tuple) else []


def trace(message: Message) -> tuple[str, str]:
    """Return the trace and the span that a message names in ``traceparent`` (W3C Trace Context, 3.2); empty if none."""
    value = message.headers.get("traceparent") if message.headers else None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    parts = text.split("-") if isinstance(text, str) else []
    return (parts[1], parts[2]) if len(parts) >= 4 and len(parts[1]) == 32 and len(parts[2]) == 16 else ("", "")
