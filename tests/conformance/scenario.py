"""The register of scenarios: each returns what a client saw, and says what RabbitMQ 3.10 shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from misstep.harness.brokers.rabbitmq.model.errors import NAMES
from pamqp import base

from .world import World

Play = Callable[[World], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario and what every broker has to show."""

    name: str
    play: Play
    expected: Any


SCENARIOS: dict[str, Scenario] = {}


def scenario(expected: Any) -> Callable[[Play], Play]:
    """Register a scenario under its function's name."""

    def register(play: Play) -> Play:
        name = play.__name__
        assert name not in SCENARIOS, f"two scenarios are called {name}"
        SCENARIOS[name] = Scenario(name, play, expected)
        return play

    return register


LOCKED = (
    "cannot obtain exclusive access to locked queue 'mine' in vhost 'V'. It could be originally declared on another "
    "connection or the exclusive property value does not match that of the original declaration."
)
"""What is said of a queue ``mine`` that another connection has for itself."""


def channel_error(code: int, explanation: str, by: type[base.Frame] | None = None) -> tuple[Any, ...]:
    """Return what a client sees when a method of this type ends its channel."""
    return ("Channel.Close", *_error(code, explanation, by))


def connection_error(code: int, explanation: str, by: type[base.Frame] | None = None) -> tuple[Any, ...]:
    """Return what a client sees when a method of this type ends its connection."""
    return ("Connection.Close", *_error(code, explanation, by))


def _error(code: int, explanation: str, by: type[base.Frame] | None) -> tuple[Any, ...]:
    index = by.index if by is not None else 0
    return (code, f"{NAMES[code]} - {explanation}", index >> 16, index & 0xFFFF)
