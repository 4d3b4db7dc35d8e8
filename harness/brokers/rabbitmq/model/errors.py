"""AMQP's reply codes, and the one exception by which the model ends a channel or a connection.

Codes and their severity follow AMQP 0-9-1, section 1.2 ("Constants"); texts follow RabbitMQ 3.10.
"""

from __future__ import annotations

from misstep.harness.errors import MisstepError

NAMES = {
    311: "CONTENT_TOO_LARGE",
    312: "NO_ROUTE",
    313: "NO_CONSUMERS",
    320: "CONNECTION_FORCED",
    402: "INVALID_PATH",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}
"""The name RabbitMQ writes before the explanation of each reply code."""

SOFT = frozenset({311, 312, 313, 403, 404, 405, 406})
"""The codes that close a channel only; all others close the connection."""

_LONGEST_TEXT = 255


class AmqpError(MisstepError):
    """A client did what the protocol forbids, or what the model does not do.

    Attributes:
        code: The reply code.
        explanation: What RabbitMQ would explain.
        feature: The feature of the table in ``features.py`` that is refused; empty for a client's own mistake.
    """

    def __init__(self, code: int, explanation: str, *, feature: str = "") -> None:
        self.code = code
        self.explanation = explanation
        self.feature = feature
        super().__init__(self.text)

    @property
    def hard(self) -> bool:
        """Whether the whole connection ends, and not the channel alone."""
        return self.code not in SOFT

    @property
    def text(self) -> str:
        """The reply text as it goes on the wire, cut to what a short string holds."""
        text = f"{NAMES[self.code]} - {self.explanation}" if self.explanation else NAMES[self.code]
        if len(text.encode()) <= _LONGEST_TEXT:
            return text
        return text.encode()[: _LONGEST_TEXT - 3].decode(errors="ignore") + "..."


def queue_title(name: str, vhost: str) -> str:
    """Return how RabbitMQ names a queue in its texts."""
    return f"queue '{name}' in vhost '{vhost}'"


def exchange_title(name: str, vhost: str) -> str:
    """Return how RabbitMQ names an exchange in its texts."""
    return f"exchange '{name}' in vhost '{vhost}'"


def not_found(title: str) -> AmqpError:
    """Return the error for a queue or exchange that does not exist."""
    return AmqpError(404, f"no {title}")


def precondition_failed(explanation: str) -> AmqpError:
    """Return the error for what contradicts the state of the broker."""
    return AmqpError(406, explanation)


def refused(explanation: str, feature: str) -> AmqpError:
    """Return the error for what RabbitMQ does and this model does not; it always ends the connection, loudly."""
    return AmqpError(540, f"{explanation} (not modelled: see docs/amqp-features.md)", feature=feature)
