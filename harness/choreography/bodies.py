"""What the body of a message says, whatever it is: JSON, the Python literal that ``str(dict)`` leaves, text, or bytes.

Nothing here raises on any body, and nothing changes one: a body that is not understood is simply not looked into.
"""

from __future__ import annotations

import ast
import json
import re
from functools import lru_cache
from typing import TypeAlias

import msgspec
from misstep.harness.choreography.paths import MISSING

Expression: TypeAlias = "re.Pattern[str]"

LARGEST_JSON = 16 * 2**20
LARGEST_TEXT = 2**20
LARGEST_LITERAL = 2**16
LARGEST_KEPT = 2**16
DEEPEST_LITERAL = 50

# Only what repr() writes: with anything else (an unknown escape, a name) the compiler may warn or do work of its own.
LITERAL_TOKEN = re.compile(
    r"""\s+|[{}\[\](),:]
    |b?'(?:[^'\\\n]|\\[\\'"abfnrtvxuU])*'
    |b?"(?:[^"\\\n]|\\[\\'"abfnrtvxuU])*"
    |-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])
    |(?:True|False|None)(?!\w)""",
    re.VERBOSE,
)
OPENING, CLOSING = frozenset("{[("), frozenset("}])")


def read_body(body: bytes) -> object:
    """Return the data that a body holds.

    Args:
        body: The payload, of any kind and size.

    Returns:
        The data, or ``MISSING`` where the body is neither JSON nor a Python literal, or is larger than 16 MiB. Not to
        be changed: the same object may be returned for the same body.
    """
    if len(body) > LARGEST_JSON:
        return MISSING
    return read_small(body) if len(body) <= LARGEST_KEPT else read_data(body)


def read_data(body: bytes) -> object:
    """Return the data of a body, read anew."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        pass  # what msgspec refuses may still be JSON to Python: NaN, a byte order mark, UTF-16
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return read_literal(body)


read_small = lru_cache(maxsize=64)(read_data)


def read_literal(body: bytes) -> object:
    """Return the Python literal that a body holds, such as ``{'order_id': 7}``, or ``MISSING``."""
    if len(body) > LARGEST_LITERAL:
        return MISSING
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return MISSING
    if not text or text[0] not in OPENING or not is_literal(text):
        return MISSING
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return MISSING


def is_literal(text: str) -> bool:
    """Say whether a text consists of a literal's tokens alone and is nested no deeper than a parser can bear."""
    position, depth = 0, 0
    while position < len(text):
        token = LITERAL_TOKEN.match(text, position)
        if token is None:
            return False
        depth += (token.group() in OPENING) - (token.group() in CLOSING)
        if depth > DEEPEST_LITERAL:
            return False
        position = token.end()
    return depth == 0


def read_text(body: bytes) -> str:
    """Return the first MiB of a body as text; bytes that are no UTF-8 become ``�``."""
    return body[:LARGEST_TEXT].decode(errors="replace")
