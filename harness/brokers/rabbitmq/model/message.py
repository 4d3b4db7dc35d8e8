"""A message, its properties kept as the bytes they came as.

The property list is that of AMQP 0-9-1's class ``basic``: flag bits from the highest down, then the values in order.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from misstep.harness.brokers.rabbitmq.model.tables import Field, Table, join, split

_SHORTSTR, _TABLE, _OCTET, _TIMESTAMP = "shortstr", "table", "octet", "timestamp"
_LAYOUT = (
    (0x8000, "content_type", _SHORTSTR),
    (0x4000, "content_encoding", _SHORTSTR),
    (0x2000, "headers", _TABLE),
    (0x1000, "delivery_mode", _OCTET),
    (0x0800, "priority", _OCTET),
    (0x0400, "correlation_id", _SHORTSTR),
    (0x0200, "reply_to", _SHORTSTR),
    (0x0100, "expiration", _SHORTSTR),
    (0x0080, "message_id", _SHORTSTR),
    (0x0040, "timestamp", _TIMESTAMP),
    (0x0020, "type", _SHORTSTR),
    (0x0010, "user_id", _SHORTSTR),
    (0x0008, "app_id", _SHORTSTR),
    (0x0004, "cluster_id", _SHORTSTR),
)


def split_properties(data: bytes) -> dict[str, bytes]:
    """Take a content header's flags and values apart; each value is as on the wire.

    Raises:
        ValueError: The values end early.
    """
    (flags,) = struct.unpack_from(">H", data)
    values: dict[str, bytes] = {}
    position = 2
    for bit, name, kind in _LAYOUT:
        if not flags & bit:
            continue
        end = _end_of(data, position, kind)
        if end > len(data):
            raise ValueError(f"property {name} ends at byte {end}, beyond the content header's {len(data)} bytes")
        values[name] = data[position:end]
        position = end
    return values


def _end_of(data: bytes, position: int, kind: str) -> int:
    if kind == _SHORTSTR:
        return position + 1 + (data[position] if position < len(data) else 0)
    if kind == _TABLE:
        return position + 4 + int.from_bytes(data[position : position + 4])
    return position + (1 if kind == _OCTET else 8)


def join_properties(values: Mapping[str, bytes]) -> bytes:
    """Put flags and values together again."""
    flags = sum(bit for bit, name, _ in _LAYOUT if name in values)
    return struct.pack(">H", flags) + b"".join(values[name] for _, name, _ in _LAYOUT if name in values)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was published.

    Attributes:
        exchange: Where it was published (or dead-lettered) to.
        routing_key: With which key.
        properties: The content header's flags and values, as on the wire.
        body: The content.
        persistent: Whether it survives a crash in a durable queue.
        expiration: Milliseconds it may wait at the head of a queue; None for ever.
        copies: Further routing keys, from the headers CC and BCC.
    """

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes
    persistent: bool = False
    expiration: int | None = None
    copies: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """What counts towards ``x-max-length-bytes``: the body."""
        return len(self.body)

    def values(self) -> dict[str, bytes]:
        """Return the properties it has, each as on the wire."""
        return split_properties(self.properties)

    def headers(self) -> Table:
        """Return its header table, taken apart; empty when it has none."""
        raw = self.values().get("headers")
        return split(raw[4:]) if raw else {}

    def with_headers(self, headers: Mapping[str, Field]) -> Message:
        """Return the same message with another header table."""
        values = self.values() | {"headers": join(headers)}
        return replace(self, properties=join_properties(values))


def short_text(raw: bytes | None) -> str:
    """Return the text of a short string property, empty when it is absent."""
    return raw[1:].decode("utf-8", "surrogateescape") if raw else ""
