"""Values of all kinds, brought to JSON in one canonical way, so that two looks at the same thing are equal."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date, time
from decimal import Decimal

from misstep.harness.choreography.words import Json

DEEPEST = 100


def plain(value: object, depth: int = 0) -> Json:
    """Return a value as JSON would carry it.

    Args:
        value: Anything: a database's value, a message header, a drawn value, parsed JSON.
        depth: How deep it stands inside what is being converted.

    Returns:
        Numbers, texts, truth values and None as they are; what is no number of JSON, dates, ids and all else by its own
        text; bytes as text where they are UTF-8, else as ``base64:…``; sets sorted; whatever is nested deeper than 100
        levels as ``…``, since it is no data that anybody compares.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, Set):
        return sorted((plain(inner, depth + 1) for inner in value), key=canonical)
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain(inner, depth + 1) for inner in value]
    return plain_scalar(value)


def plain_scalar(value: object) -> Json:
    """Return what is neither a collection nor JSON's own as JSON would carry it."""
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return plain_decimal(value)
        case bytes() | bytearray() | memoryview():
            return plain_bytes(bytes(value))
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def plain_decimal(value: Decimal) -> Json:
    """Return a decimal as an int where it is one, else as its shortest text, so that 1.50 and 1.5 are the same."""
    if not value.is_finite():
        return str(value)
    exponent = value.normalize().adjusted()
    if value == value.to_integral_value() and abs(exponent) < 30:
        return int(value)
    return f"{value.normalize():f}" if abs(exponent) < 30 else str(value.normalize())


def plain_bytes(value: bytes) -> str:
    """Return bytes as text where they are UTF-8, else as ``base64:…``."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def canonical(value: Json) -> str:
    """Return the one text of a JSON value: keys sorted, no blanks; what values are compared and sorted by."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text_of(value: object) -> str:
    """Return a value as a person would write it into a text: strings bare, all else as JSON; always valid Unicode."""
    shown = plain(value)
    text = shown if isinstance(shown, str) else canonical(shown)
    return text if text.isascii() else text.encode(errors="replace").decode()
