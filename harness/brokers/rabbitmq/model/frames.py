"""Frames, cut out of a byte stream and made for it.

Methods are pamqp's; those that carry names the broker did not choose are encoded here, since pamqp refuses names that
RabbitMQ allows. Content headers and bodies stay bytes: a broker hands them on untouched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from misstep.harness.brokers.rabbitmq.model.errors import AmqpError
from pamqp import base, commands, frame

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
OVERHEAD = 8
"""Bytes of a frame that are not its payload."""

HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
PREAMBLE = b"AMQP\x00\x00\x09\x01"
"""What a client sends first, and what a server answers to any other greeting."""

_HEAD = struct.Struct(">BHI")
_ENVELOPE = struct.Struct(">BHIHH")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a client.

    Attributes:
        kind: Method, header, body or heartbeat.
        channel: The channel number.
        payload: What is between the frame's head and its end.
    """

    kind: int
    channel: int
    payload: bytes


class FrameReader:
    """Cuts frames out of a stream of bytes, however they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in bytes."""
        self._buffer += data

    def preamble(self) -> bytes | None:
        """Return the client's greeting once its eight bytes are there."""
        if len(self._buffer) < len(PREAMBLE):
            return None
        greeting = bytes(self._buffer[: len(PREAMBLE)])
        del self._buffer[: len(PREAMBLE)]
        return greeting

    def frames(self, longest: int) -> Iterator[Frame]:
        """Yield the frames that are complete.

        Args:
            longest: The largest frame allowed, in bytes, head and end included.

        Raises:
            AmqpError: 501 for a frame that is too large or does not end as a frame must.
        """
        buffer = self._buffer
        position = 0
        try:
            while len(buffer) - position >= OVERHEAD - 1:
                kind, channel, size = _HEAD.unpack_from(buffer, position)
                if size > longest - OVERHEAD:
                    raise _frame_error(kind, b"", f"{{frame_too_large,{size},{longest - 8}}}")
                end = position + OVERHEAD + size
                if end > len(buffer):
                    return
                payload = bytes(buffer[position + OVERHEAD - 1 : end - 1])
                position = end
                if buffer[end - 1] != END:
                    raise _frame_error(kind, payload, f"{{invalid_frame_end_marker,{buffer[end - 1]}}}")
                yield Frame(kind, channel, payload)
        finally:
            del buffer[:position]


def snippet(kind: int, payload: bytes) -> str:
    """Return a payload's beginning in the words of RabbitMQ's texts."""
    shown = payload[:16]
    printable = shown.isascii() and shown.decode("latin-1").isprintable() and shown
    inner = f'"{shown.decode()}"' if printable else ",".join(str(byte) for byte in shown)
    return f"type {kind}, {'first 16' if len(payload) > 16 else 'all'} octets = <<{inner}>>"


def _frame_error(kind: int, payload: bytes, problem: str) -> AmqpError:
    return AmqpError(501, f"{snippet(kind, payload)}: {problem}")


UNREADABLE = (struct.error, ValueError, IndexError, TypeError, OverflowError)
"""What decoding raises on bytes that are not what they should be."""


def decode_method(payload: bytes) -> base.Frame:
    """Decode a method.

    Raises:
        AmqpError: 503 for an unknown method, 502 for arguments that cannot be read.
    """
    index = int.from_bytes(payload[:4])
    known = cast("type[base.Frame] | None", commands.INDEX_MAPPING.get(index))
    if known is None:
        raise AmqpError(503, "unimplemented method")
    try:
        if index == commands.Basic.Publish.index:
            return _decode_publish(payload)
        # Not known(): decoding sets every attribute, and the constructor of a deprecated method warns.
        method: base.Frame = known.__new__(known)
        method.unmarshal(payload[4:])
    except UNREADABLE as error:
        raise AmqpError(502, f"cannot read {known.name}: {error}") from error
    return method


def _decode_publish(payload: bytes) -> commands.Basic.Publish:
    end = 7 + payload[6]
    key_end = end + 1 + payload[end]
    bits = payload[key_end]
    method = commands.Basic.Publish()
    method.exchange = payload[7:end].decode("utf-8", "surrogateescape")
    method.routing_key = payload[end + 1 : key_end].decode("utf-8", "surrogateescape")
    method.mandatory, method.immediate = bool(bits & 1), bool(bits & 2)
    return method


def method_frame(channel: int, method: base.Frame) -> bytes:
    """Encode a method that carries nothing but what the broker chose itself."""
    return frame.marshal(method, channel)


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return bytes([len(data)]) + data


def _method(channel: int, class_id: int, method_id: int, arguments: bytes) -> bytes:
    return _ENVELOPE.pack(METHOD, channel, len(arguments) + 4, class_id, method_id) + arguments + b"\xce"


def deliver(channel: int, consumer: str, tag: int, *, redelivered: bool, exchange: str, routing_key: str) -> bytes:
    """Encode ``basic.deliver``."""
    head = _short(consumer) + struct.pack(">QB", tag, redelivered)
    return _method(channel, 60, 60, head + _short(exchange) + _short(routing_key))


def get_ok(channel: int, tag: int, *, redelivered: bool, exchange: str, routing_key: str, left: int) -> bytes:
    """Encode ``basic.get-ok``; ``left`` is how many messages are still ready."""
    head = struct.pack(">QB", tag, redelivered)
    return _method(channel, 60, 71, head + _short(exchange) + _short(routing_key) + struct.pack(">I", left))


def returned(channel: int, code: int, text: str, exchange: str, routing_key: str) -> bytes:
    """Encode ``basic.return``."""
    return _method(channel, 60, 50, struct.pack(">H", code) + _short(text) + _short(exchange) + _short(routing_key))


def ack(channel: int, tag: int) -> bytes:
    """Encode ``basic.ack``, the broker's confirm of one message."""
    return _method(channel, 60, 80, struct.pack(">QB", tag, 0))


def nack(channel: int, tag: int) -> bytes:
    """Encode ``basic.nack``, the broker's refusal of one message."""
    return _method(channel, 60, 120, struct.pack(">QB", tag, 0))


def cancel(channel: int, consumer: str) -> bytes:
    """Encode ``basic.cancel``, by which the broker tells that a consumer is gone."""
    return _method(channel, 60, 30, _short(consumer) + b"\x01")


def queue_declare_ok(channel: int, name: str, ready: int, consumers: int) -> bytes:
    """Encode ``queue.declare-ok``."""
    return _method(channel, 50, 11, _short(name) + struct.pack(">II", ready, consumers))


def content(channel: int, properties: bytes, body: bytes, longest: int) -> bytes:
    """Encode a content header and as many body frames as the body needs.

    Args:
        channel: The channel number.
        properties: The flags and values, as they came.
        body: The content.
        longest: The largest frame allowed, in bytes; 0 for any.
    """
    head = struct.pack(">HHQ", 60, 0, len(body)) + properties
    parts = [_HEAD.pack(HEADER, channel, len(head)), head, b"\xce"]
    room = longest - OVERHEAD if longest else len(body)
    for start in range(0, len(body), room or 1):
        piece = body[start : start + room]
        parts += [_HEAD.pack(BODY, channel, len(piece)), piece, b"\xce"]
    return b"".join(parts)


def arguments_at_end(payload: bytes, strings: int, bits: int = 1) -> bytes:
    """Return the raw field table that ends a method, without its length prefix.

    Args:
        payload: The method, class and method number included.
        strings: How many short strings stand between the ticket and the table.
        bits: How many octets of bits follow the strings.

    Raises:
        AmqpError: 502 when there are fewer bytes than that.
    """
    position = 6
    try:
        for _ in range(strings):
            position += 1 + payload[position]
    except IndexError as error:
        raise AmqpError(502, "a method ends before its arguments do") from error
    position += bits
    length = int.from_bytes(payload[position : position + 4])
    return payload[position + 4 : position + 4 + length]
