"""Make things go wrong, and search for the smallest way.

Faults are written as they are read::

    delivery.redeliver("payment.taken", to="shipping")
    process.crash("payment", at="ack", of="order.placed")

Nothing is loaded until a name is used, so that an installed plugin costs no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from misstep.chaos.faults import broker, delivery, link, message, process

__all__ = ["broker", "delivery", "link", "message", "process"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return import_module(f"misstep.chaos.faults.{name}")
    raise AttributeError(f"misstep.chaos has no {name!r}; it has {', '.join(__all__)}")
