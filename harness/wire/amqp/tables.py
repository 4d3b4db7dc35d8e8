"""Field tables, re-encoded so that nothing is lost: what was not changed keeps its very bytes.

Decoding alone is lossy (a 16-bit integer and a 64-bit one both become ``int``), so a changed table keeps the encoded
form of each entry whose value is as it was. The types are those of RabbitMQ:
https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pamqp import decode, encode

_SIZE = struct.Struct(">I")
_STAMP = struct.Struct(">Q")
_DOUBLE = struct.Struct(">d")
_STRING = ord("S")


def decode_table(data: bytes) -> dict[str, object]:
    """Decode a field table that starts at the first byte of ``data``.

    Raises:
        ValueError: It is malformed, or has an unknown type.
    """
    table: dict[str, object] = {}
    try:
        position, end = 4, 4 + _SIZE.unpack_from(data)[0]
        while position < end:
            start = position + 1
            position = start + data[position]
            key = data[start:position].decode(errors="surrogateescape")
            if data[position] == _STRING:
                start = position + 5
                position = start + _SIZE.unpack_from(data, position + 1)[0]
                table[key] = _text(data[start:position])
            else:
                consumed, table[key] = decode.embedded_value(data[position:end])
                position += consumed
    except Exception as error:  # the codec lets IndexError and others of its own through
        raise ValueError(f"malformed table: {error}") from error
    if position != end or end > len(data):
        raise ValueError("malformed table: its size is not that of its entries")
    return table


def _text(data: bytes) -> str | bytes:
    """Return a long string, which may hold any bytes, as text where it is some."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def encode_table(table: Mapping[str, object], original: bytes = b"") -> bytes:
    """Encode ``table``; an entry that equals the one in ``original`` (an encoded table) keeps its bytes.

    Raises:
        TypeError: A value is of a type that a table cannot hold.
    """
    known = _entries(original) if original else {}
    parts = []
    for key, value in table.items():
        before = known.get(key)
        same = before is not None and type(before[0]) is type(value) and before[0] == value
        parts.append(before[1] if before is not None and same else encode_short(key) + encode_value(value))
    data = b"".join(parts)
    return _SIZE.pack(len(data)) + data


def _entries(data: bytes) -> dict[str, tuple[object, bytes]]:
    """Split an encoded table into its entries: key to (value, the bytes of key and value)."""
    entries: dict[str, tuple[object, bytes]] = {}
    position, end = 4, 4 + _SIZE.unpack_from(data)[0]
    while position < end:
        start = position
        position += 1 + data[position]
        key = data[start + 1 : position].decode(errors="surrogateescape")
        consumed, value = decode.embedded_value(data[position:end])
        position += consumed
        entries[key] = (value, data[start:position])
    return entries


def encode_short(text: str) -> bytes:
    """Encode a short string; what was decoded from bytes that are no UTF-8 becomes those bytes again.

    Raises:
        TypeError: It is no string, or longer than 255 bytes.
    """
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no str")
    data = text.encode(errors="surrogateescape")
    if len(data) > 255:
        raise TypeError(f"{text[:40]!r}… has {len(data)} bytes: a short string holds at most 255")
    return bytes((len(data),)) + data


def encode_timestamp(moment: object) -> bytes:
    """Encode a timestamp, given as a datetime (naive ones are UTC) or in seconds.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(moment, datetime):
        moment = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not isinstance(moment, int) or isinstance(moment, bool) or moment < 0:
        raise TypeError(f"{moment!r} is no timestamp: expected a datetime, or whole seconds since 1970")
    return _STAMP.pack(moment)


def encode_value(value: object) -> bytes:
    """Encode one value of a table, with its type.

    Raises:
        TypeError: A table cannot hold it.
    """
    if value is None or isinstance(value, bool | int | Decimal | bytearray):
        return encode.encode_table_value(value)
    for kind, tag, encoded in _ENCODERS:
        if isinstance(value, kind):
            return tag + encoded(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}, which a header cannot hold")


def _encode_long(value: str | bytes) -> bytes:
    data = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    return _SIZE.pack(len(data)) + data


def _encode_array(values: Sequence[object]) -> bytes:
    data = b"".join(encode_value(item) for item in values)
    return _SIZE.pack(len(data)) + data


_ENCODERS: tuple[tuple[type, bytes, Callable[[Any], bytes]], ...] = (
    (float, b"d", _DOUBLE.pack),
    (str, b"S", _encode_long),
    (bytes, b"S", _encode_long),
    (datetime, b"T", encode_timestamp),
    (Mapping, b"F", encode_table),
    (list, b"A", _encode_array),
    (tuple, b"A", _encode_array),
)
"""What the codec encodes with a loss of precision, or not at all."""
