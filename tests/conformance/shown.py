"""What a broker sent, as short tuples of plain values that are the same on every broker."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Any

from pamqp import base
from pamqp.commands import Basic, Channel, Connection, Queue

Answer = tuple[Any, ...]


@dataclass(slots=True)
class Content:
    """A method with the content that follows it."""

    method: base.Frame
    properties: Basic.Properties | None = None
    body: bytes = b""
    size: int = -1
    frames: int = 0


def show(content: Content, vhost: str) -> Answer:
    """Show a method as a tuple of its name and of what is the same on every broker."""
    method = content.method
    if isinstance(method, (Channel.Close, Connection.Close)):
        text = re.sub(r"amq\.(gen|ctag)-[\w-]+", "<generated>", method.reply_text or "")
        text = text.replace(f"'{vhost}'", "'V'").replace(vhost, "V")
        return (method.name, method.reply_code, text, method.class_id, method.method_id)
    if isinstance(method, Queue.DeclareOk):
        return (method.name, generated(method.queue), method.message_count, method.consumer_count)
    if isinstance(method, Basic.GetOk):
        return (method.name, short(content), method.exchange, method.routing_key, method.message_count)
    if isinstance(method, Basic.Return):
        return (method.name, method.reply_code, method.reply_text, method.exchange, method.routing_key, short(content))
    if isinstance(method, Basic.Deliver):
        tag = generated(method.consumer_tag or "")
        return (method.name, tag, method.delivery_tag, short(content), method.exchange, method.routing_key)
    values = [value for name, value in method if name in ("consumer_tag", "message_count", "active")]
    return (method.name, *(generated(value) if isinstance(value, str) else value for value in values))


def generated(name: str) -> str:
    """Show a name, unless the broker made it up."""
    return "<generated>" if re.match(r"amq\.(gen|ctag)-", name) else name


def short(content: Content) -> str:
    """Show a message's body, with a trailing ``*`` when it was delivered before."""
    again = getattr(content.method, "redelivered", False)
    return content.body.decode() + ("*" if again else "")


def headers(content: Content) -> dict[str, Any]:
    """Return a message's headers, times shown as ``<time>``."""
    assert content.properties is not None
    return {name: _timeless(value) for name, value in (content.properties.headers or {}).items()}


def _timeless(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return "<time>"
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items()}
    return [_timeless(one) for one in value] if isinstance(value, list) else value
