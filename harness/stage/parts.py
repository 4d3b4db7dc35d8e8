"""Which broker and which store servers a kind of stage is made of; each is loaded only where it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from misstep.harness.brokers.port import Broker
from misstep.harness.choreography.templates import expand
from misstep.harness.choreography.words import Choreography, Store
from misstep.harness.errors import PartMissing, StoreFailed
from misstep.harness.services.guardian import Guard
from misstep.harness.stores.port import StoreServer

if TYPE_CHECKING:
    from misstep.harness.stage.house import Kind
    from misstep.harness.stores.postgres import Instance
    from misstep.harness.stores.postgres_url import PostgresUrl


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


class Databases:
    """The database servers of one house: one for each place that is named, however many stores are on it.

    Args:
        guard: Under which private ones run.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._instances: dict[str, SharedInstance] = {}

    def postgres(self, target: str) -> Instance:
        """Return the PostgreSQL that a store names: ``local``, ``docker``, or a URL.

        Raises:
            StoreFailed: The URL cannot be read.
        """
        if target not in self._instances:
            self._instances[target] = SharedInstance(self._make(target))
        return self._instances[target]

    async def close(self) -> None:
        """Stop those that are ours."""
        for instance in self._instances.values():
            await instance.end()

    def _make(self, target: str) -> Instance:
        from misstep.harness.stores.postgres_instances import DockerPostgres, GivenPostgres, LocalPostgres

        if target == "local":
            return LocalPostgres(self._guard)
        return DockerPostgres() if target == "docker" else GivenPostgres(target)


class SharedInstance:
    """A PostgreSQL that several stores are on: started with the first, and ended with the house."""

    def __init__(self, inner: Instance) -> None:
        self._inner = inner
        self._url: PostgresUrl | None = None

    async def start(self) -> PostgresUrl:
        """Start it, where no other store has."""
        if self._url is None:
            self._url = await self._inner.start()
        return self._url

    async def close(self) -> None:
        """Leave it to the other stores."""

    async def end(self) -> None:
        """Stop it."""
        if self._url is not None:
            await self._inner.close()


def make_server(store: Store, choreography: Choreography, databases: Databases) -> StoreServer:
    """Return what makes a store's fresh instances, not started yet.

    Args:
        store: The store as declared.
        choreography: In whose folder a schema file is looked for.
        databases: The servers that stores share.

    Raises:
        StoreFailed: The store's URL, or its schema file, cannot be read.
    """
    if store.kind == "tcp":
        from misstep.harness.stores.tcp import TcpServer

        return TcpServer(store.name, store.target)
    schema = schema_of(store, choreography.folder)
    if store.kind == "sqlite":
        from misstep.harness.stores.sqlite import SqliteServer

        return SqliteServer(store.name, store.target, schema)
    from misstep.harness.stores.postgres import PostgresServer

    return PostgresServer(store.name, databases.postgres(store.target), schema)


def schema_of(store: Store, folder: Path) -> str:
    """Return a store's schema, read from its file where it is one.

    Raises:
        StoreFailed: The file cannot be read.
    """
    if not store.schema.endswith(".sql"):
        return store.schema
    try:
        return (folder / store.schema).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreFailed(f"stores.{store.name}.schema: {folder / store.schema} could not be read: {error}") from error
