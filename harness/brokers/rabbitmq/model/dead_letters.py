"""What a message carries when a queue discards it: ``x-death`` and its companions, and the end of cycles.

The rules are those of ``rabbit_dead_letter`` in RabbitMQ 3.10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from misstep.harness.brokers.rabbitmq.model.message import Message, join_properties, short_text
from misstep.harness.brokers.rabbitmq.model.queues import Queue
from misstep.harness.brokers.rabbitmq.model.tables import (
    Field,
    Table,
    array_field,
    join,
    long_field,
    split,
    split_array,
    table_field,
    text_field,
    timestamp_field,
)


def dead_message(queue: Queue, message: Message, reason: str, seconds: int) -> Message:
    """Return what is published to the dead-letter exchange.

    Args:
        queue: The queue that discards it.
        message: What it discards.
        reason: ``rejected``, ``expired``, ``maxlen`` or ``delivery_limit``.
        seconds: The time, since 1970.
    """
    values = message.values()
    headers = message.headers()
    death = _death(queue, message, reason, seconds)
    headers = _with_death(headers, death)
    key = queue.limits.dead_letter_key
    if key is not None:
        headers.pop("CC", None)
    values["headers"] = join(headers)
    values.pop("expiration", None)
    return replace(
        message,
        exchange=queue.limits.dead_letter_exchange or "",
        routing_key=message.routing_key if key is None else key,
        copies=message.copies if key is None else (),
        properties=join_properties(values),
        expiration=None,
    )


def _death(queue: Queue, message: Message, reason: str, seconds: int) -> dict[str, Field]:
    keys = [message.routing_key, *header_routes(message.headers())]
    expiration = short_text(message.values().get("expiration"))
    death = {
        "count": long_field(1),
        "reason": text_field(reason),
        "queue": text_field(queue.name),
        "time": timestamp_field(seconds),
        "exchange": text_field(message.exchange),
        "routing-keys": array_field(text_field(key) for key in keys),
    }
    return death | ({"original-expiration": text_field(expiration)} if expiration else {})


def _with_death(headers: Table, death: dict[str, Field]) -> Table:
    headers = dict(headers)
    earlier = headers.get("x-death")
    if earlier is None or earlier.tag != "A":
        if earlier is None:
            for part in ("reason", "queue", "exchange"):
                headers[f"x-first-death-{part}"] = death[part]
        headers["x-death"] = array_field([table_field(death)])
        return headers
    deaths = deaths_of(earlier)
    same = [one for one in deaths if (one.get("queue"), one.get("reason")) == (death["queue"], death["reason"])]
    others = [one for one in deaths if one not in same]
    if same:
        count = same[0].get("count")
        before = count.value if count is not None else 0
        death = same[0] | {"count": long_field((before if isinstance(before, int) else 0) + 1)}
    headers["x-death"] = array_field(table_field(one) for one in [death, *others])
    return headers


def deaths_of(field: Field) -> list[Table]:
    """Return the tables of an ``x-death`` header, the latest first."""
    return [split(item.raw[4:]) for item in split_array(field.raw[4:]) if item.tag == "F"]


def header_routes(headers: Table) -> list[str]:
    """Return the further routing keys that the headers CC and BCC ask for."""
    routes: list[str] = []
    for name in ("CC", "BCC"):
        field = headers.get(name)
        if field is not None and field.tag == "A":
            routes += [str(item.value) for item in split_array(field.raw[4:]) if item.tag == "S"]
    return routes


def outside_cycles(queues: Iterable[Queue], message: Message, reason: str) -> list[Queue]:
    """Leave out queues that a message came through before, never being rejected: it would go round for ever."""
    if reason == "rejected":
        return list(queues)
    field = message.headers().get("x-death")
    deaths = deaths_of(field) if field is not None and field.tag == "A" else []
    return [queue for queue in queues if not _is_cycle(queue.name, deaths)]


def _is_cycle(name: str, deaths: list[Table]) -> bool:
    for number, death in enumerate(deaths):
        if death.get("queue") == text_field(name):
            return all(one.get("reason") != text_field("rejected") for one in deaths[: number + 1])
    return False
