"""Requests as they are written in a choreography: ``POST http://…`` to send, ``POST /charges/*`` to match."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SECRET = re.compile(r"authorization|cookie|token|secret|passw|signature|credential|api[-_]?key", re.IGNORECASE)
NO_SECRET = re.compile(r"idempoten", re.IGNORECASE)
PART_FORMS = {"json": "json:PATH", "header": "header:NAME", "path": "path:N (the Nth segment of the path, from 1)"}


def split_request(text: str) -> tuple[str, str]:
    """Split ``METHOD url`` into its method and the rest.

    Raises:
        ValueError: It is not of this form; the message is what was expected.
    """
    method, _, target = text.strip().partition(" ")
    if method not in METHODS or not target.strip():
        raise ValueError(
            f"METHOD and url, such as POST http://{{services.order.address}}/orders, METHOD one of {', '.join(METHODS)}"
        )
    return method, target.strip()


def check_pattern(text: str) -> str:
    """Return a pattern of requests as it is.

    Raises:
        ValueError: It is not of the form ``METHOD /path`` or ``*``.
    """
    if text != "*" and not re.fullmatch(r"(?:\*|[A-Z]+) [/*]\S*", text):
        raise ValueError("METHOD /path, such as POST /charges/*, or * for every request")
    return text


def matches(pattern: str, method: str, target: str) -> bool:
    """Say whether a request is meant by ``METHOD /path``, with shell wildcards; ``*`` alone means every request.

    Args:
        pattern: What was declared.
        method: The request's method.
        target: Its path, with the query where it has one; a pattern may speak of either.
    """
    if pattern == "*":
        return True
    wanted, _, path = pattern.partition(" ")
    if not fnmatchcase(method, wanted):
        return False
    return fnmatchcase(target, path) or fnmatchcase(target.partition("?")[0], path)


def split_part(text: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """Split where something stands in a request or an answer: ``json:PATH``, ``header:NAME``, ``path:N``.

    Args:
        text: What was declared.
        kinds: The kinds that are allowed here.

    Raises:
        ValueError: It is none of them; the message is what was expected.
    """
    kind, _, rest = text.partition(":")
    if kind not in kinds or not rest or (kind == "path" and not rest.isdecimal()):
        raise ValueError(" or ".join(PART_FORMS[kind] for kind in kinds))
    return kind, rest


def is_secret(name: str) -> bool:
    """Say whether a header or a field of a query holds a secret, by its name; an idempotency token is none."""
    return bool(SECRET.search(name)) and not NO_SECRET.search(name)
