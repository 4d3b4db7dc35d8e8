"""Raw frames: cut a byte stream at their borders, without decoding what nobody asks for.

Frames are described in section 2.3 of the AMQP 0-9-1 specification: a header of seven bytes (type, channel, size), the
payload, and the octet 0xCE. A frame here is always the whole of it, as ``bytes``, so that it can go on untouched.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar, cast

from pamqp import base, commands
from pamqp import frame as codec

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3
HEARTBEAT: Final = 8
FRAME_END: Final = 0xCE
OVERHEAD: Final = 8
"""Bytes of a frame that are not payload."""

PROTOCOL_HEADER_SIZE: Final = 8
UNTUNED_LIMIT: Final = 1 << 17
"""Largest frame that is believed before ``connection.tune-ok`` has set one: no server's first frames come near it."""

KINDS: Final = frozenset((METHOD, HEADER, BODY, HEARTBEAT))

M = TypeVar("M", bound=base.Frame)

_FRAME = struct.Struct(">BHI")
_INDEX = struct.Struct(">I")
_END = bytes((FRAME_END,))


class Undecodable(Exception):
    """Bytes that should be AMQP and are not; the message says what was seen."""


class Splitter:
    """Cuts one direction of a connection into frames, however the bytes were chunked.

    Attributes:
        limit: The largest frame to believe, in bytes; larger ones mean that this is no AMQP. 0 is no bound.
        broken: Why what follows the frames that were cut is no frame; empty as long as all is well.
    """

    __slots__ = ("_greeting", "_have", "_need", "_parts", "broken", "limit")

    def __init__(self) -> None:
        self.limit = UNTUNED_LIMIT
        self.broken = ""
        self._parts: list[bytes] = []
        self._have = 0
        self._need = PROTOCOL_HEADER_SIZE
        self._greeting = True

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Take the next bytes; return the frames that are complete now, as (type, channel, whole frame).

        A protocol header (``AMQP0091``) at the start of the stream is returned as type 0. When :attr:`broken` is set
        afterwards, the bytes behind these frames are in :meth:`rest`.
        """
        self._have += len(data)
        if self._have < self._need:
            self._parts.append(data)
            return []
        if self._parts:
            self._parts.append(data)
            data = b"".join(self._parts)
        return self._cut(data)

    def _cut(self, data: bytes) -> list[tuple[int, int, bytes]]:
        frames: list[tuple[int, int, bytes]] = []
        position, end, need, limit = 0, len(data), OVERHEAD, self.limit
        if self._greeting:
            self._greeting = False
            if data.startswith(b"AMQP"):
                position = PROTOCOL_HEADER_SIZE
                frames.append((0, 0, data[:position]))
        unpack = _FRAME.unpack_from
        while end - position >= OVERHEAD:
            kind, channel, size = unpack(data, position)
            stop = position + size + OVERHEAD
            if kind not in KINDS or 0 < limit < size + OVERHEAD or (stop <= end and data[stop - 1] != FRAME_END):
                self.broken = f"no frame: type {kind}, channel {channel}, size {size} of at most {limit}"
                break
            if stop > end:
                need = size + OVERHEAD
                break
            frames.append((kind, channel, data[position:stop]))
            position = stop
        self._parts = [data[position:]] if position < end else []
        self._have, self._need = end - position, need
        return frames

    @property
    def buffered(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return self._have

    def rest(self) -> bytes:
        """Return the bytes that were not cut into frames, and forget them."""
        rest = b"".join(self._parts)
        self._parts = []
        self._have = 0
        return rest


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Return a whole frame around ``payload``."""
    return _FRAME.pack(kind, channel, len(payload)) + payload + _END


def method_index(raw: bytes) -> int:
    """Return class and method of a method frame, as ``class << 16 | method``; 0 where the frame is too short."""
    return int(_INDEX.unpack_from(raw, 7)[0]) if len(raw) >= OVERHEAD + 4 else 0


def method_name(index: int) -> str:
    """Return a method's name as the specification writes it, such as ``basic.get-ok``."""
    known = commands.INDEX_MAPPING.get(index)
    if known is None:
        return f"method {index >> 16}.{index & 0xFFFF}"
    group, _, name = cast("type[base.Frame]", known).name.partition(".")
    return f"{group.lower()}." + "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def decode_method(raw: bytes, kind: type[M]) -> M:
    """Decode a whole frame of the method ``kind``.

    Raises:
        Undecodable: It is malformed, or another method.
    """
    wanted = kind.__name__
    try:
        _, _, method = codec.unmarshal(raw)
    except Exception as error:  # the codec lets IndexError, UnicodeDecodeError and others of its own through
        raise Undecodable(f"{method_name(method_index(raw))}: {error}") from error
    if not isinstance(method, kind):
        raise Undecodable(f"{method_name(method_index(raw))} where {wanted} was due")
    return method


def encode_method(channel: int, method: base.Frame) -> bytes:
    """Return ``method`` as a whole frame on ``channel``."""
    return codec.marshal(method, channel)
