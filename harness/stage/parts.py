"""Which broker and which store servers a kind of stage is made of; each is loaded only where it is used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from misstep.harness.brokers.port import Broker
from misstep.harness.choreography.words import Choreography, Store
from misstep.harness.services.guardian import Guard
from misstep.harness.stores.port import StoreServer

if TYPE_CHECKING:
    from misstep.harness.stage.house import Kind


def make_broker(kind: Kind, choreography: Choreography, guard: Guard, folder: Path, shared: str = "") -> Broker:
    """Return the broker of a kind of stage, not started yet.

    Args:
        kind: The kind of stage.
        choreography: What runs on it.
        guard: Under which its processes run.
        folder: Where its files may go.
        shared: A local broker that somebody else owns, as :func:`misstep.harness.testing.shared_broker` names it.
    """
    if kind == "embedded":
        from misstep.harness.brokers.rabbitmq.embedded_broker import EmbeddedBroker

        return EmbeddedBroker()
    raise AssertionError(kind)


def make_server(store: Store, base: Path, guard: Guard, folder: Path) -> StoreServer:
    """Return what makes a store's fresh instances, not started yet.

    Args:
        store: The store as declared.
        base: The choreography's folder, where a schema file is looked for.
        guard: Under which its processes run.
        folder: Where its files may go.
    """
    schema = (base / store.schema).read_text() if store.schema.endswith(".sql") else store.schema
    if store.kind == "sqlite":
        from misstep.harness.stores.sqlite import SqliteServer

        return SqliteServer(store.name, store.target, schema)
    raise AssertionError(store.kind)
