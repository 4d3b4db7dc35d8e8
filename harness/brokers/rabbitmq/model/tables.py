"""Field tables that keep every value's type and bytes as they came.

A broker must hand on what it was given: decoding and encoding again would turn a double into a float, or a long into
a byte. So a table is taken apart into raw fields, and put together again. The types are those of RabbitMQ's
"AMQP 0-9-1 errata", section 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from misstep.harness.brokers.rabbitmq.model.errors import AmqpError
from pamqp import decode

TYPE_NAMES = {
    "t": "bool",
    "b": "byte",
    "B": "unsignedbyte",
    "s": "short",
    "u": "unsignedshort",
    "I": "signedint",
    "i": "unsignedint",
    "l": "long",
    "f": "float",
    "d": "double",
    "D": "decimal",
    "S": "longstr",
    "x": "binary",
    "T": "timestamp",
    "A": "array",
    "F": "table",
    "V": "void",
}
"""RabbitMQ's name of each field type, as its error texts have it."""

INTEGERS = frozenset("bBsuIil")
"""The field types that hold an integer."""

_WIDTHS = {"t": 1, "b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "l": 8, "f": 4, "d": 8, "D": 5, "T": 8, "V": 0}
_FORMATS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "f": ">f", "d": ">d"}


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a table.

    Attributes:
        tag: The type's letter on the wire.
        raw: The value's bytes, length prefix included, without the letter.
    """

    tag: str
    raw: bytes

    @property
    def value(self) -> object:
        """The value in Python's types."""
        if self.tag in _FORMATS:
            return struct.unpack(_FORMATS[self.tag], self.raw)[0]
        if self.tag == "S":
            return self.raw[4:].decode("utf-8", "replace")
        if self.tag == "t":
            return self.raw != b"\x00"
        if self.tag == "F":
            return plain(split(self.raw[4:]))
        if self.tag == "A":
            return [field.value for field in split_array(self.raw[4:])]
        return decode.embedded_value(self.tag.encode() + self.raw)[1]

    @property
    def type_name(self) -> str:
        """RabbitMQ's name of the type."""
        return TYPE_NAMES[self.tag]


Table = dict[str, Field]
"""A field table: names to typed values."""


def _field_at(data: bytes, position: int) -> tuple[Field, int]:
    tag = chr(data[position]) if position < len(data) else ""
    position += 1
    if tag and tag in "SxAF":
        end = position + 4 + int.from_bytes(data[position : position + 4])
    elif tag in _WIDTHS:
        end = position + _WIDTHS[tag]
    else:
        raise AmqpError(502, f"field type {tag!r} at byte {position - 1} is none of {''.join(TYPE_NAMES)}")
    if end > len(data):
        raise AmqpError(502, f"a field of type {tag!r} ends at byte {end}, beyond its table of {len(data)} bytes")
    return Field(tag, data[position:end]), end


def split(data: bytes) -> Table:
    """Take a table (without its length prefix) apart.

    Raises:
        AmqpError: 502, since it has an unknown type, or ends early.
    """
    table: Table = {}
    position = 0
    while position < len(data):
        length = data[position]
        name = data[position + 1 : position + 1 + length].decode("utf-8", "surrogateescape")
        table[name], position = _field_at(data, position + 1 + length)
    return table


def split_array(data: bytes) -> list[Field]:
    """Take an array (without its length prefix) apart.

    Raises:
        AmqpError: 502, since it has an unknown type, or ends early.
    """
    fields = []
    position = 0
    while position < len(data):
        field, position = _field_at(data, position)
        fields.append(field)
    return fields


def join(table: Mapping[str, Field]) -> bytes:
    """Put a table together again, with its length prefix."""
    parts = []
    for name, field in table.items():
        encoded = name.encode("utf-8", "surrogateescape")
        parts.append(bytes([len(encoded)]) + encoded + field.tag.encode() + field.raw)
    data = b"".join(parts)
    return struct.pack(">I", len(data)) + data


def plain(table: Mapping[str, Field]) -> dict[str, object]:
    """Return a table with its values in Python's types."""
    return {name: field.value for name, field in table.items()}


def text_field(value: str) -> Field:
    """Return a long string."""
    data = value.encode("utf-8", "surrogateescape")
    return Field("S", struct.pack(">I", len(data)) + data)


def long_field(value: int) -> Field:
    """Return a 64-bit signed integer."""
    return Field("l", struct.pack(">q", value))


def timestamp_field(seconds: int) -> Field:
    """Return a timestamp, in seconds since 1970."""
    return Field("T", struct.pack(">Q", seconds))


def table_field(table: Mapping[str, Field]) -> Field:
    """Return a nested table."""
    return Field("F", join(table))


def array_field(fields: Iterable[Field]) -> Field:
    """Return an array."""
    data = b"".join(field.tag.encode() + field.raw for field in fields)
    return Field("A", struct.pack(">I", len(data)) + data)
