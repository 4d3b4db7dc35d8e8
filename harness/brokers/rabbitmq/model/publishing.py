"""Publishing on one channel: content put together, returns, confirms."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from misstep.harness.brokers.rabbitmq.model import frames
from misstep.harness.brokers.rabbitmq.model.dead_letters import header_routes
from misstep.harness.brokers.rabbitmq.model.errors import AmqpError, precondition_failed
from misstep.harness.brokers.rabbitmq.model.message import Message, join_properties, short_text, split_properties
from misstep.harness.brokers.rabbitmq.model.tables import join, split
from pamqp import commands

if TYPE_CHECKING:
    from misstep.harness.brokers.rabbitmq.model.connection import Connection

_BASIC = 60
_HEAD = struct.Struct(">HHQ")
_PERSISTENT = b"\x02"


class Content:
    """A content header and the body frames that follow it.

    Attributes:
        properties: The header's flags and values; empty until it is there.
    """

    def __init__(self) -> None:
        self.properties = b""
        self._missing = -1
        self._parts: list[bytes] = []

    @property
    def complete(self) -> bool:
        """Whether the whole body is there."""
        return self._missing == 0

    @property
    def body(self) -> bytes:
        """The body as far as it is there."""
        return b"".join(self._parts)

    def add(self, kind: int, payload: bytes) -> None:
        """Take in the next frame.

        Raises:
            AmqpError: 505 for a frame that is not the one to come.
        """
        if self._missing < 0:
            self._add_header(kind, payload)
        elif kind == frames.BODY:
            self._parts.append(payload)
            self._missing -= len(payload)
        else:
            raise AmqpError(505, "expected content body, got non content body frame instead")

    def _add_header(self, kind: int, payload: bytes) -> None:
        if kind != frames.HEADER:
            raise AmqpError(505, "expected content header for class 60, got non content header frame instead")
        if len(payload) < _HEAD.size:
            raise AmqpError(502, f"a content header has {len(payload)} bytes, and needs {_HEAD.size}")
        class_id, _, size = _HEAD.unpack_from(payload)
        if class_id != _BASIC:
            raise AmqpError(505, f"expected content header for class 60, got one for class {class_id} instead")
        self.properties = payload[12:]
        self._missing = size


class Publisher:
    """What one channel publishes.

    Attributes:
        confirms: Whether every message is confirmed.
    """

    def __init__(self, connection: Connection, number: int) -> None:
        self.confirms = False
        self._connection = connection
        self._number = number
        self._published = 0

    def publish(self, method: commands.Basic.Publish, content: Content) -> None:
        """Publish one message: return it if it must be, then confirm it if that was asked for.

        Raises:
            AmqpError: It cannot be published.
        """
        if method.immediate:
            raise AmqpError(540, "immediate=true")
        vhost = self._connection.vhost
        assert vhost is not None
        vhost.exchange(method.exchange)
        outcome = vhost.publish(self._message(method, content))
        if method.mandatory and not outcome.routed:
            self._return(method, content)
        if self.confirms:
            self._published += 1
            encode = frames.ack if outcome.accepted else frames.nack
            self._connection.write(encode(self._number, self._published))

    def _return(self, method: commands.Basic.Publish, content: Content) -> None:
        connection = self._connection
        head = frames.returned(self._number, 312, "NO_ROUTE", method.exchange, method.routing_key)
        connection.write(head + frames.content(self._number, content.properties, content.body, connection.frame_max))

    def _message(self, method: commands.Basic.Publish, content: Content) -> Message:
        properties = content.properties
        try:
            values = split_properties(properties)
            headers = split(values["headers"][4:]) if "headers" in values else {}
        except frames.UNREADABLE as error:
            raise AmqpError(502, f"cannot read the content header: {error}") from error
        self._check_user(short_text(values.get("user_id")))
        copies = header_routes(headers) if "CC" in headers or "BCC" in headers else []
        if headers.pop("BCC", None) is not None:
            properties = join_properties(values | {"headers": join(headers)})
        return Message(
            method.exchange,
            method.routing_key,
            properties,
            content.body,
            persistent=values.get("delivery_mode") == _PERSISTENT,
            expiration=_expiration(values.get("expiration")),
            copies=tuple(copies),
        )

    def _check_user(self, claimed: str) -> None:
        if claimed and claimed != self._connection.user:
            raise precondition_failed(
                f"user_id property set to '{claimed}' but authenticated user was '{self._connection.user}'"
            )


def _expiration(raw: bytes | None) -> int | None:
    text = short_text(raw)
    if raw is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise precondition_failed(f"invalid expiration '{text}': {_expiration_problem(text)}")
    return int(text)


def _expiration_problem(text: str) -> str:
    if text.removeprefix("-").isdigit():
        return f"{{value_negative,{text}}}"
    digits = len(text) - len(text.lstrip("0123456789"))
    return f'{{leftover_string,"{text[digits:]}"}}' if digits else "no_integer"
