"""Which broker and which store servers a kind of stage is made of; each is loaded only where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from misstep.harness.brokers.port import Broker
from misstep.harness.choreography.templates import expand
from misstep.harness.choreography.words import Choreography, Store
from misstep.harness.errors import PartMissing
from misstep.harness.services.guardian import Guard
from misstep.harness.stores.port import StoreServer

if TYPE_CHECKING:
    from misstep.harness.stage.house import Kind


def make_broker(
    kind: Kind, choreography: Choreography, guard: Guard, environment: Mapping[str, str], shared: str = ""
) -> Broker:
    """Return the broker of a kind of stage, not started yet.

    Args:
        kind: The kind of stage.
        choreography: What runs on it.
        guard: Under which its processes run.
        environment: What ``{env.NAME}`` means in the URL of a remote broker.
        shared: The address of a local broker that somebody else owns.

    Raises:
        PartMissing: The choreography does not say where its remote broker is.
    """
    if kind == "embedded":
        from misstep.harness.brokers.rabbitmq.embedded_broker import EmbeddedBroker

        return EmbeddedBroker()
    if kind == "docker":
        from misstep.harness.brokers.rabbitmq.docker import DockerRabbit

        return DockerRabbit()
    if kind == "local" and not shared:
        from misstep.harness.brokers.rabbitmq.local import LocalRabbit

        return LocalRabbit(guard)
    from misstep.harness.brokers.rabbitmq.remote import RemoteRabbit

    if shared:
        from misstep.harness.brokers.rabbitmq.local import shared as parts_of

        return RemoteRabbit(*parts_of(shared))
    return RemoteRabbit(*remote_urls(choreography, environment))


def remote_urls(choreography: Choreography, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the URLs of a remote broker and of its management API, as declared.

    Raises:
        PartMissing: They are not declared.
    """
    if not choreography.broker_url:
        raise PartMissing(
            f"{choreography.name} does not say where its remote broker is: set [choreography] broker_url "
            '(and management_url) in its file, such as broker_url = "{env.STAGING_AMQP_URL}"'
        )
    scope = {"env": MappingProxyType(dict(environment))}
    return expand(choreography.broker_url, scope), expand(choreography.management_url, scope)


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
