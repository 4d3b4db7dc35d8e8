"""Messages on the wire: a method, a header and bodies in frames of their own, put together and taken apart.

See sections 2.3.5.2 and 4.2.6 of the AMQP 0-9-1 specification. The frames of one message are never interleaved with
others of the same channel, so one unfinished message a channel and direction is all there can be.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from misstep.harness.wire.amqp.frames import BODY, HEADER, OVERHEAD, Undecodable, frame
from misstep.harness.wire.amqp.tables import decode_table, encode_short, encode_table, encode_timestamp
from misstep.harness.wire.facts import Message
from pamqp import decode

_BODY_SIZE = struct.Struct(">Q")
_FLAGS = struct.Struct(">H")
_HEAD = struct.Struct(">HHQ")
_PROPERTIES_AT: Final = 7 + 14
_BASIC: Final = 60

PROPERTIES: Final[tuple[tuple[str, str], ...]] = (
    ("content_type", "short"),
    ("content_encoding", "short"),
    ("headers", "table"),
    ("delivery_mode", "octet"),
    ("priority", "octet"),
    ("correlation_id", "short"),
    ("reply_to", "short"),
    ("expiration", "short"),
    ("message_id", "short"),
    ("timestamp", "timestamp"),
    ("type", "short"),
    ("user_id", "short"),
    ("app_id", "short"),
    ("cluster_id", "short"),
)
"""The properties of a basic message in the order of their flags (bit 15 first), with their types."""

_KINDS = dict(PROPERTIES)


@dataclass(slots=True)
class Content:
    """A message with its method, as it came.

    Attributes:
        index: Which method carries it.
        method: The method's frame.
        header: The header's frame.
        bodies: The bodies' frames.
        body: The payload.
    """

    index: int
    method: bytes
    header: bytes = b""
    bodies: list[bytes] = field(default_factory=list)
    body: bytes = b""

    @property
    def rest(self) -> bytes:
        """All frames but the method's."""
        return b"".join((self.header, *self.bodies))

    @property
    def raw(self) -> bytes:
        """All frames, byte for byte."""
        return b"".join((self.method, self.header, *self.bodies))


class Assembler:
    """Puts the contents of one channel and direction together."""

    __slots__ = ("_content", "_missing")

    def __init__(self) -> None:
        self._content: Content | None = None
        self._missing = 0

    @property
    def busy(self) -> bool:
        """Whether a content is unfinished."""
        return self._content is not None

    def start(self, index: int, method: bytes) -> None:
        """Begin a content with its method's frame.

        Raises:
            Undecodable: Another one is unfinished.
        """
        if self._content is not None:
            raise Undecodable("a method where the rest of a message was due")
        self._content = Content(index, method)

    def add(self, kind: int, raw: bytes) -> Content | None:
        """Add a header's or body's frame; return the content once it is whole.

        Raises:
            Undecodable: This frame is not the one that was due.
        """
        content = self._content
        if (
            content is None
            or (kind == HEADER) == bool(content.header)
            or (kind == HEADER and len(raw) < _PROPERTIES_AT)
        ):
            raise Undecodable(f"a frame of type {kind} where none was due")
        if kind == HEADER:
            content.header = raw
            self._missing = int(_BODY_SIZE.unpack_from(raw, 11)[0])
        else:
            content.bodies.append(raw)
            self._missing -= len(raw) - OVERHEAD
        if self._missing > 0:
            return None
        if self._missing < 0:
            raise Undecodable(f"a message with {-self._missing} bytes more than its header said")
        content.body = (
            content.bodies[0][7:-1] if len(content.bodies) == 1 else b"".join(b[7:-1] for b in content.bodies)
        )
        self._content = None
        return content

    def abandon(self) -> bytes:
        """Forget the unfinished content; return its frames so far."""
        content, self._content = self._content, None
        return content.raw if content is not None else b""


@lru_cache(maxsize=256)
def _layout(flags: int) -> tuple[tuple[str, str], ...]:
    if flags & 3:
        raise ValueError(f"property flags {flags:#06x} are none of basic")
    return tuple(each for bit, each in enumerate(PROPERTIES) if flags & 0x8000 >> bit)


def decode_properties(header: bytes) -> tuple[dict[str, object], dict[str, object]]:
    """Decode the properties in a header's frame; return those that are set, and the headers apart.

    Raises:
        ValueError: They are malformed.
    """
    properties: dict[str, object] = {}
    headers: dict[str, object] = {}
    position, end = _PROPERTIES_AT, len(header) - 1
    for name, kind in _layout(header[_PROPERTIES_AT - 2] << 8 | header[_PROPERTIES_AT - 1]):
        if kind == "short":
            start = position + 1
            position = start + header[position]
            properties[name] = header[start:position].decode(errors="surrogateescape")
        elif kind == "octet":
            properties[name] = header[position]
            position += 1
        elif kind == "table":
            start = position
            position += 4 + int.from_bytes(header[start : start + 4], "big")
            headers = decode_table(header[start:position])
        else:
            properties[name] = _timestamp(header[position : position + 8])
            position += 8
        if position > end:
            raise ValueError(f"the property {name} is cut off")
    return properties, headers


def _timestamp(encoded: bytes) -> object:
    try:
        return decode.timestamp(encoded)[1]
    except (ValueError, OverflowError, OSError):
        return int(_BODY_SIZE.unpack(encoded)[0])  # beyond the calendar: some clients send garbage here


def _encoded_properties(header: bytes) -> list[tuple[str, bytes]]:
    """Split the properties in a header's frame, without decoding them."""
    found = []
    position, end = _PROPERTIES_AT, len(header) - 1
    for name, kind in _layout(_FLAGS.unpack_from(header, _PROPERTIES_AT - 2)[0]):
        start = position
        if kind == "short":
            position += 1 + header[position]
        elif kind == "octet":
            position += 1
        elif kind == "timestamp":
            position += 8
        else:
            position += 4 + int.from_bytes(header[position : position + 4], "big")
        if position > end:
            raise ValueError(f"the property {name} is cut off")
        found.append((name, header[start:position]))
    return found


def encode_content(channel: int, message: Message, limit: int, original: bytes = b"") -> bytes:
    """Return header and bodies of ``message`` as frames of at most ``limit`` bytes (0: no bound).

    What equals the properties in ``original``, a header's frame, keeps its bytes.

    Raises:
        TypeError: A property is unknown, or a value cannot be encoded.
    """
    payload = _HEAD.pack(_BASIC, 0, len(message.body)) + _encode_properties(message, original)
    parts = [frame(HEADER, channel, payload)]
    step = (limit - OVERHEAD) if limit else max(len(message.body), 1)
    parts.extend(frame(BODY, channel, message.body[at : at + step]) for at in range(0, len(message.body), step))
    return b"".join(parts)


def _encode_properties(message: Message, original: bytes) -> bytes:
    before = dict(_encoded_properties(original)) if original else {}
    values, headers = decode_properties(original) if original else ({}, {})
    unknown = sorted(set(message.properties) - set(_KINDS) | ({"headers"} & set(message.properties)))
    if unknown:
        raise TypeError(f"unknown properties {unknown}: expected some of {sorted(set(_KINDS) - {'headers'})}")
    flags, parts = 0, []
    for bit, (name, kind) in enumerate(PROPERTIES):
        if name == "headers":
            if not message.headers and not (name in before and not headers):
                continue
            same = name in before and message.headers == headers
            encoded = before[name] if same else encode_table(message.headers, before.get(name, b""))
        elif message.properties.get(name) is None:
            continue
        elif name in before and values[name] == message.properties[name]:
            encoded = before[name]
        else:
            encoded = _encode_property(name, kind, message.properties)
        flags |= 0x8000 >> bit
        parts.append(encoded)
    return _FLAGS.pack(flags) + b"".join(parts)


def _encode_property(name: str, kind: str, properties: Mapping[str, object]) -> bytes:
    value = properties[name]
    try:
        if kind == "short":
            return encode_short(value)  # type: ignore[arg-type]  # it checks
        if kind == "timestamp":
            return encode_timestamp(value)
        return bytes((value,))  # type: ignore[arg-type]  # bytes() checks
    except (TypeError, ValueError) as error:
        raise TypeError(f"property {name} is {value!r}: {error}") from error
