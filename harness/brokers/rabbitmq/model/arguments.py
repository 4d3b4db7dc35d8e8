"""The arguments of ``queue.declare``: what is valid, what is refused, and what follows from them.

Checks and texts follow ``rabbit_amqqueue:check_declare_arguments`` of RabbitMQ 3.10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from misstep.harness.brokers.rabbitmq.model.errors import precondition_failed, refused
from misstep.harness.brokers.rabbitmq.model.tables import INTEGERS, Field, Table

_LONGEST_EXPIRY = 3_153_600_000_000 - 1
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_SHARED = frozenset(
    {
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-length-bytes",
        "x-overflow",
        "x-single-active-consumer",
        "x-queue-type",
    }
)
_QUORUM_ONLY = frozenset(
    {"x-delivery-limit", "x-dead-letter-strategy", "x-quorum-initial-group-size", "x-queue-leader-locator"}
)
_CLASSIC_ONLY = frozenset({"x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator"})
_IN_MEMORY = frozenset({"x-max-in-memory-length", "x-max-in-memory-bytes"})
_STREAM_ONLY = frozenset({"x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size"})

COMPARED = {
    "classic": _SHARED | _CLASSIC_ONLY,
    "quorum": _SHARED | _QUORUM_ONLY | _IN_MEMORY,
}
"""The arguments that a second declaration must repeat, by the type of queue."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a queue's arguments ask of it; times in seconds, None where there is no limit.

    Attributes:
        quorum: Whether it is a quorum queue.
        ttl: How long a message may wait at the head.
        expires: How long the queue may be unused.
        max_length: How many messages may be ready.
        max_bytes: How many bytes of bodies may be ready.
        overflow: What happens beyond: ``drop-head``, ``reject-publish`` or ``reject-publish-dlx``.
        dead_letter_exchange: Where discarded messages go; None when they are dropped.
        dead_letter_key: With which routing key; None for the message's own.
        delivery_limit: How often a quorum queue delivers a message again.
        single_active: Whether one consumer at a time is served.
    """

    quorum: bool = False
    ttl: float | None = None
    expires: float | None = None
    max_length: int | None = None
    max_bytes: int | None = None
    overflow: str = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    delivery_limit: int | None = None
    single_active: bool = False


def read(title: str, arguments: Table) -> Limits:
    """Check the arguments of a new queue and say what follows.

    Args:
        title: How the queue is named in RabbitMQ's texts.
        arguments: What the client sent.

    Raises:
        AmqpError: 406 for an invalid argument, 540 for one that is not modelled.
    """
    kind = queue_type(title, arguments)
    target = arguments.get("x-dead-letter-exchange")
    if target is not None and target.tag != "S":
        raise precondition_failed(f"invalid type '{target.type_name}' for arg 'x-dead-letter-exchange' in {title}")
    known = COMPARED[kind]
    for name, field in arguments.items():
        if name in known and (problem := _problem(name, field)):
            raise precondition_failed(f"invalid arg '{name}' for {title}: {problem}")
    for name in arguments:
        if name in (_QUORUM_ONLY | _CLASSIC_ONLY | _IN_MEMORY | _STREAM_ONLY) - known:
            raise precondition_failed(f"invalid arg '{name}' for {title} of queue type rabbit_{kind}_queue")
    if "x-max-priority" in arguments:
        raise refused(f"x-max-priority on {title}", "priorities")
    _check_dead_letter_pair(title, arguments)
    return Limits(
        quorum=kind == "quorum",
        ttl=_seconds(arguments, "x-message-ttl"),
        expires=_seconds(arguments, "x-expires"),
        max_length=_integer(arguments, "x-max-length"),
        max_bytes=_integer(arguments, "x-max-length-bytes"),
        overflow=_text(arguments, "x-overflow") or "drop-head",
        dead_letter_exchange=_text(arguments, "x-dead-letter-exchange"),
        dead_letter_key=_text(arguments, "x-dead-letter-routing-key"),
        delivery_limit=_integer(arguments, "x-delivery-limit"),
        single_active=bool("x-single-active-consumer" in arguments and arguments["x-single-active-consumer"].value),
    )


def queue_type(title: str, arguments: Table) -> str:
    """Return ``classic`` or ``quorum``.

    Raises:
        AmqpError: 540 for streams, 406 for anything else.
    """
    field = arguments.get("x-queue-type")
    if field is None:
        return "classic"
    if field.tag != "S":
        raise precondition_failed(
            f"invalid arg 'x-queue-type' for {title}: \"expected a string, got {field.type_name}\""
        )
    kind = str(field.value)
    if kind == "stream":
        raise refused(f"x-queue-type 'stream' on {title}", "streams")
    if kind not in COMPARED:
        raise precondition_failed(f"invalid arg 'x-queue-type' for {title}: \"unsupported queue type '{kind}'\"")
    return kind


def _check_dead_letter_pair(title: str, arguments: Table) -> None:
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        raise precondition_failed(
            f"invalid arg 'x-dead-letter-routing-key' for {title}: routing_key_but_no_dlx_defined"
        )


def _not_integer(field: Field) -> str:
    return "" if field.tag in INTEGERS else f'"expected integer, got {field.type_name}"'


def _count(field: Field) -> str:
    return _not_integer(field) or ("" if _number(field) >= 0 else f"{{value_negative,{field.value}}}")


def _expiry(field: Field) -> str:
    if problem := _not_integer(field):
        return problem
    if _number(field) > _LONGEST_EXPIRY:
        return f"{{value_too_big,{field.value}}}"
    return "" if _number(field) >= 0 else f"{{value_negative,{field.value}}}"


def _lifetime(field: Field) -> str:
    return "{value_zero,0}" if field.tag in INTEGERS and field.value == 0 else _expiry(field)


def _string(field: Field) -> str:
    return "" if field.tag == "S" else f"{{unacceptable_type,{field.type_name}}}"


def _boolean(field: Field) -> str:
    return "" if field.tag == "t" else f"{{unacceptable_type,{field.type_name}}}"


def _overflow(field: Field) -> str:
    return _string(field) or ("" if field.value in _OVERFLOWS else "invalid_overflow")


_CHECKS: dict[str, Callable[[Field], str]] = {
    "x-expires": _lifetime,
    "x-message-ttl": _expiry,
    "x-max-length": _count,
    "x-max-length-bytes": _count,
    "x-overflow": _overflow,
    "x-dead-letter-exchange": _string,
    "x-dead-letter-routing-key": _string,
    "x-single-active-consumer": _boolean,
    "x-max-priority": _count,
}


def _problem(name: str, field: Field) -> str:
    check = _CHECKS.get(name)
    return check(field) if check else ""


def _number(field: Field) -> int:
    value = field.value
    assert isinstance(value, int)
    return value


def _integer(arguments: Table, name: str) -> int | None:
    field = arguments.get(name)
    return _number(field) if field is not None else None


def _seconds(arguments: Table, name: str) -> float | None:
    milliseconds = _integer(arguments, name)
    return None if milliseconds is None else milliseconds / 1000


def _text(arguments: Table, name: str) -> str | None:
    field = arguments.get(name)
    return str(field.value) if field is not None else None


def check_equivalence(title: str, key: str, current: object, received: object) -> None:
    """Compare one property of a queue or exchange with that of a second declaration.

    Booleans are compared as they are; arguments are fields, None when absent.

    Raises:
        AmqpError: 406, with both values in RabbitMQ's words.
    """
    if _same(key, current, received):
        return
    raise precondition_failed(
        f"inequivalent arg '{key}' for {title}: received {_shown(received, current)} "
        f"but current is {_shown(current, received)}"
    )


def _same(key: str, current: object, received: object) -> bool:
    if current == received:
        return True
    if isinstance(current, Field) and isinstance(received, Field):
        alike = current.tag == received.tag or {current.tag, received.tag} <= INTEGERS
        return alike and current.value == received.value
    present = current if current is not None else received
    return key == "x-queue-type" and isinstance(present, Field) and present.value == "classic"


def _shown(value: object, other: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Field):
        inner = str(value.value).lower() if value.tag == "t" else str(value.value)
        return f"'{inner}'" if isinstance(other, Field) else f"the value '{inner}' of type '{value.type_name}'"
    return f"'{str(value).lower()}'" if isinstance(value, bool) else f"'{value}'"


def check_redeclaration(title: str, kind: str, current: Table, received: Table) -> None:
    """Compare the arguments of a second declaration with those of the first.

    Raises:
        AmqpError: 406 for the first that differs.
    """
    for name in sorted(COMPARED[kind]):
        check_equivalence(title, name, current.get(name), received.get(name))


def raise_unless_quorum_fits(title: str, *, durable: bool, exclusive: bool, auto_delete: bool) -> None:
    """Refuse a quorum queue that is not durable, is exclusive, or is deleted automatically.

    Raises:
        AmqpError: 406, as RabbitMQ.
    """
    if exclusive:
        raise precondition_failed(f"invalid property 'exclusive-owner' for {title}")
    if not durable:
        raise precondition_failed(f"invalid property 'non-durable' for {title}")
    if auto_delete:
        raise precondition_failed(f"invalid property 'auto-delete' for {title}")
