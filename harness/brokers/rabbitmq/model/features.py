"""What of RabbitMQ is modelled, and what is refused: the table that ``docs/amqp-features.md`` shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from misstep.harness.brokers.rabbitmq.model.broker import VERSION

Status = Literal["modelled", "refused", "ignored"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of the table.

    Attributes:
        area: What it is part of.
        name: What it is called; refusals name it.
        status: ``modelled`` as RabbitMQ does it; ``refused`` loudly, with 540 and an entry in ``Broker.refusals``;
            ``ignored`` where it changes nothing that a client can see of one node.
        note: What is worth knowing.
    """

    area: str
    name: str
    status: Status
    note: str = ""


FEATURES = (
    Feature("connections", "handshake", "modelled", "PLAIN and AMQPLAIN; tuning is checked as RabbitMQ does"),
    Feature("connections", "virtual hosts", "modelled", "deleting one closes its connections with 320"),
    Feature("connections", "heartbeats", "modelled", "a client silent for two of them is given up"),
    Feature("connections", "frame_max, channel_max", "modelled", "content is split both ways"),
    Feature("connections", "errors", "modelled", "codes, texts, and the method that caused them"),
    Feature("connections", "permissions", "ignored", "whoever logs in may do everything"),
    Feature("connections", "connection.blocked", "ignored", "memory and disk alarms never go off"),
    Feature("connections", "connection.update-secret", "ignored", "answered; nothing changes"),
    Feature("exchanges", "default, direct, fanout, topic", "modelled", "and the predeclared amq.* ones"),
    Feature("exchanges", "headers exchange", "refused", "amq.headers and amq.match too"),
    Feature("exchanges", "durable, auto-delete, internal", "modelled"),
    Feature("exchanges", "exchange to exchange bindings", "modelled"),
    Feature("exchanges", "alternate-exchange", "modelled"),
    Feature("exchanges", "plug-in exchange types", "refused", "503, as a RabbitMQ without the plug-in"),
    Feature("queues", "durable, exclusive, auto-delete, named by the broker", "modelled"),
    Feature("queues", "equivalence of declarations", "modelled", "406 and 405 in RabbitMQ's words"),
    Feature("queues", "passive declare, purge, delete", "modelled", "counts are exact; if-unused and if-empty"),
    Feature("queues", "x-expires", "modelled"),
    Feature("queues", "x-message-ttl, expiration", "modelled", "expiry happens at the head of the queue"),
    Feature("queues", "x-max-length, x-max-length-bytes", "modelled", "drop-head, reject-publish, reject-publish-dlx"),
    Feature("queues", "dead-lettering", "modelled", "x-death, x-first-death-*; cycles without a rejection end"),
    Feature("queues", "single active consumer", "modelled"),
    Feature("queues", "quorum queues", "modelled", "one node; x-delivery-limit, x-delivery-count, where returns go"),
    Feature(
        "queues", "pauses of quorum queues", "ignored", "no log is written: a no-ack consumer never loses its turn"
    ),
    Feature("queues", "at-least-once dead-lettering", "ignored", "no dead letter is lost on one node that is up"),
    Feature("queues", "lazy queues, queue versions", "ignored", "accepted; they change where messages are kept"),
    Feature("queues", "priorities", "refused", "x-max-priority; a message's priority property is handed on"),
    Feature("queues", "streams", "refused", "x-queue-type stream"),
    Feature("queues", "policies", "ignored", "nobody can set any"),
    Feature("consumers", "prefetch", "modelled", "per consumer and shared by a channel"),
    Feature("consumers", "turns", "modelled", "round robin; who has room again stands behind"),
    Feature("consumers", "priorities of consumers", "modelled", "x-priority"),
    Feature("consumers", "exclusive consumers, no-ack, cancel notification", "modelled"),
    Feature("consumers", "ack, nack, reject, recover", "modelled", "multiple; requeue to where it stood; redelivered"),
    Feature("consumers", "basic.get", "modelled"),
    Feature("consumers", "acknowledgement timeout", "ignored", "RabbitMQ's is half an hour"),
    Feature("consumers", "direct reply-to", "refused", "amq.rabbitmq.reply-to"),
    Feature("publishing", "confirms", "modelled", "one by one; a nack when a queue rejects"),
    Feature("publishing", "mandatory", "modelled", "the return comes before the confirm"),
    Feature("publishing", "immediate", "modelled", "540, as RabbitMQ"),
    Feature("publishing", "CC and BCC", "modelled"),
    Feature("publishing", "user-id, expiration", "modelled", "checked as RabbitMQ does"),
    Feature("publishing", "transactions", "refused", "tx.select, tx.commit, tx.rollback"),
    Feature("publishing", "channel.flow", "modelled", "active=false is 540, as in RabbitMQ"),
    Feature("crash", "durable state", "modelled", "durable exchanges, queues, bindings; persistent messages"),
)
"""Every feature, by area."""

NEWER = (
    ("3.12", "lazy mode is gone: `x-queue-mode` is ignored"),
    ("4.0", "`x-death` is kept by the broker: a client that publishes a message again loses its count"),
    ("4.0", "quorum queues have a delivery limit of 20 unless another is set"),
    ("4.0", "quorum queues know two priorities"),
    ("4.0", "`basic.qos` with `global` set is deprecated, and may be refused"),
    ("4.0", "the largest frame before login is 8192 bytes, and the largest message 16 MiB"),
)
"""Known differences of newer versions: since when, and what differs."""

_HEAD = f"""# What the broker model does

The embedded broker is an executable specification of RabbitMQ {VERSION}'s delivery semantics. Its conformance suite
runs against a real RabbitMQ as well, scenario by scenario and in random command sequences, and compares.

*Modelled*: as RabbitMQ does it. *Refused*: the connection is closed with 540 NOT_IMPLEMENTED, or with what the note
says, and the report names what was asked for. *Ignored*: accepted, and clients of one node could see no difference.

| area | feature | | note |
|---|---|---|---|
"""


def markdown() -> str:
    """Return the page ``docs/amqp-features.md``."""
    return _HEAD + "".join(_rows()) + "\n## Newer versions\n\n| since | what differs |\n|---|---|\n" + "".join(_newer())


def _rows() -> Iterator[str]:
    for feature in FEATURES:
        yield f"| {feature.area} | {feature.name} | {feature.status} | {feature.note} |\n"


def _newer() -> Iterator[str]:
    for since, difference in NEWER:
        yield f"| {since} | {difference} |\n"
