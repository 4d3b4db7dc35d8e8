"""Dotted paths into data: ``order.items.0.sku``, ``items[0].sku`` and ``$.order.id`` are all understood.

A path only ever looks up keys and positions and never touches an attribute, so data of others cannot reach our code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final


class Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""What :func:`walk` answers when a path leads nowhere; None is a value like any other."""

POSITION = re.compile(r"\[(\d{1,9}|\*)\]")


@lru_cache(maxsize=1024)
def normal(path: str) -> str:
    """Return a path in its one form: no leading ``$``, positions as ``.0``."""
    if path == "$":
        return ""
    return POSITION.sub(r".\1", path.removeprefix("$.")).removeprefix("$").removeprefix(".")


def walk(value: object, path: str) -> object:
    """Follow a path into mappings and sequences.

    A key that holds dots itself is found where the rest of the path is such a key as a whole.

    Args:
        value: Where to start.
        path: The path; empty is the value itself.

    Returns:
        What stands there, or :data:`MISSING`.
    """
    rest = normal(path)
    while rest:
        if isinstance(value, Mapping):
            if rest in value:
                return value[rest]
            head, _, rest = rest.partition(".")
            if head not in value:
                return MISSING
            value = value[head]
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
            head, _, rest = rest.partition(".")
            if not (head.isascii() and head.isdigit() and len(head) < 10) or int(head) >= len(value):
                return MISSING
            value = value[int(head)]
        else:
            return MISSING
    return value


def without(value: object, path: str) -> object:
    """Return a copy of JSON data with whatever stands at a path left out.

    Where the path names a key and a list stands there, it is taken for every entry of the list; ``*`` stands for every
    key and every position.

    Args:
        value: The data.
        path: The path, such as ``id`` or ``orders.*.created_at``.
    """
    return drop(value, tuple(normal(path).split(".")))


def drop(value: object, path: tuple[str, ...]) -> object:
    """Leave out what stands at a split path; see :func:`without`."""
    head, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        if not rest:
            return {key: inner for key, inner in value.items() if head not in (key, "*")}
        return {key: drop(inner, rest) if head in (key, "*") else inner for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if head != "*" and not head.isdigit():
        return [drop(inner, path) for inner in value]
    chosen = range(len(value)) if head == "*" else (int(head),)
    if not rest:
        return [inner for position, inner in enumerate(value) if position not in chosen]
    return [drop(inner, rest) if position in chosen else inner for position, inner in enumerate(value)]
