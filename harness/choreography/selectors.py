"""Where a message keeps its type, correlation and id.

Systems in the wild differ here, so it is configuration: ``routing_key``, ``queue``, ``topic``, ``exchange``,
``header:NAME``, ``property:NAME``, ``body:json.path``, and for bodies that are plain text
``body:/regular expression/``, whose first group (or whole match) is the value.
"""

from __future__ import annotations

import re
from typing import Final, cast

from misstep.harness.choreography.bodies import Expression, read_body, read_text
from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import text_of
from misstep.harness.choreography.templates import nearest
from misstep.harness.choreography.words import Selector, SelectorPart
from misstep.harness.wire.facts import Message

FORMS: Final = ("routing_key", "queue", "topic", "exchange", "header:NAME", "property:NAME", "body:json.path")
"""The forms of a selector, as they are shown in messages."""

PROPERTIES: Final = (
    "content_type",
    "content_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
    "expiration",
    "message_id",
    "timestamp",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
"""The properties of an AMQP 0-9-1 message, from its specification's class basic."""

ALONE = ("routing_key", "queue", "topic", "exchange")
NAMED = ("header", "property", "body")


def parse_selector(text: str) -> Selector:
    """Read a selector as it is written in a choreography.

    Args:
        text: Such as ``header:event-type``.

    Raises:
        ValueError: It is no selector; the message is what was expected.
    """
    part, colon, path = text.partition(":")
    if part not in ALONE + NAMED:
        raise ValueError(f"one of {', '.join(FORMS)}{meant(part, ALONE + NAMED)}")
    if part in ALONE and colon:
        raise ValueError(f"{part} alone, since a message has only one")
    if part in NAMED and not path:
        raise ValueError(f"{part}:NAME, such as {'body:order.id' if part == 'body' else f'{part}:type'}")
    if part == "property" and path not in PROPERTIES:
        raise ValueError(f"property:NAME with one of {', '.join(PROPERTIES)}{meant(path, PROPERTIES)}")
    if part == "body":
        path = path.removeprefix("json:")
        if (pattern := expression(path)) is not None:
            compile_expression(pattern)
    return Selector(cast(SelectorPart, part), path)


def meant(name: str, known: tuple[str, ...]) -> str:
    """Return a question after the nearest known name, or nothing."""
    near = nearest(name, list(known))
    return f"; did you mean {near}?" if near else ""


def expression(path: str) -> str | None:
    """Return the regular expression that a body's path is, without its slashes; None where it is a JSON path."""
    return path[1:-1] if len(path) > 2 and path[0] == path[-1] == "/" else None


def compile_expression(pattern: str) -> Expression:
    """Compile a selector's regular expression.

    Raises:
        ValueError: It is none.
    """
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"a regular expression between the slashes: {error}") from error


def select(selector: Selector, message: Message, queue: str = "") -> str | None:
    """Return what a selector finds in a message, as text; None where it finds nothing, or an empty text.

    Nothing that a message holds makes this raise.

    Args:
        selector: Where to look.
        message: The message.
        queue: The queue it was delivered from, where it is known.
    """
    found = find(selector, message, queue)
    return None if found is MISSING or found is None else text_of(found) or None


def find(selector: Selector, message: Message, queue: str) -> object:
    """Return the value that a selector finds in a message, or ``MISSING``."""
    match selector.part:
        case "routing_key":
            return message.routing_key
        case "queue":
            return queue
        case "topic" | "exchange":
            return message.exchange
        case "header":
            return walk(message.headers, selector.path)
        case "property":
            return message.properties.get(selector.path)
        case "body":
            return find_in_body(selector.path, message.body)


def find_in_body(path: str, body: bytes) -> object:
    """Return what stands at a JSON path of a body, or what a regular expression finds in its text, or ``MISSING``."""
    pattern = expression(path)
    if pattern is None:
        return walk(read_body(body), path)
    found = compile_expression(pattern).search(read_text(body))
    if found is None:
        return MISSING
    return found.group(1 if found.re.groups else 0)
