"""What outlives a run: the guard, the broker, the database servers; and the stages that are opened on them.

::

    async with House.open("embedded", choreography) as house:
        async with house.stage() as stage:
            run = await runner.run(stage, plan, arm=arm)
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

from misstep.harness.brokers.port import Broker
from misstep.harness.choreography.words import Choreography
from misstep.harness.outside.queries import is_scoped
from misstep.harness.services.guardian import Guard
from misstep.harness.stage.parts import Databases, make_broker, make_server
from misstep.harness.stage.stage import Means, Stage
from misstep.harness.stores.port import Store, StoreServer

Kind: TypeAlias = Literal["embedded", "local", "docker", "remote"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class House:
    """The guard, the broker and the database servers of one invocation.

    Attributes:
        kind: Which stages are opened here.
        choreography: What runs on them.
        broker: The broker, started.
        folder: Where logs and store files go while the house stands.
    """

    def __init__(
        self,
        kind: Kind,
        choreography: Choreography,
        *,
        folder: Path,
        environment: Mapping[str, str],
        label: str = "",
        shared_broker: str = "",
    ) -> None:
        self.kind = kind
        self.choreography = choreography
        self.folder = folder
        self.guard = Guard()
        self._environment = environment
        self._label = f"{label or os.getpid()}-{secrets.token_hex(3)}"
        self._numbers = itertools.count(1)
        self._closing = AsyncExitStack()
        self._servers: dict[str, StoreServer] = {}
        self._shared_broker = shared_broker
        self.broker: Broker

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        kind: Kind,
        choreography: Choreography,
        *,
        environment: Mapping[str, str] | None = None,
        label: str = "",
        shared_broker: str = "",
    ) -> AsyncIterator[Self]:
        """Start what all stages share; end it with everything under it afterwards.

        Args:
            kind: ``embedded``, ``local``, ``docker`` or ``remote``.
            choreography: What is to run.
            environment: What services inherit; that of this process where None.
            label: Tells apart the names that concurrent houses make on a shared broker, such as a worker's name.
            shared_broker: Where a ``local`` broker that somebody else owns is to be found; empty to start one.

        Raises:
            PartMissing: This machine does not have what the kind needs.
            BrokerFailed: The broker did not start.
        """
        folder = Path(tempfile.mkdtemp(prefix="misstep-"))
        house = cls(
            kind,
            choreography,
            folder=folder,
            environment=dict(os.environ) if environment is None else environment,
            label=label,
            shared_broker=shared_broker,
        )
        try:
            await house._start()
            yield house
        finally:
            await house._closing.aclose()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def stage(self) -> AsyncIterator[Stage]:
        """Open a fresh stage: a broker space of its own, new stores, new processes.

        Raises:
            ServiceFailed: A service did not become ready.
            StoreFailed: A store could not be made.
        """
        stage = await self.fresh()
        try:
            yield stage
        finally:
            await stage.close()

    async def fresh(self) -> Stage:
        """Open a fresh stage that the caller closes; see :meth:`stage`."""
        name = f"misstep-{self._label}-{next(self._numbers)}"
        folder = self.folder / name
        folder.mkdir()
        async with AsyncExitStack() as undo:
            space = await self.broker.space(name)
            undo.push_async_callback(space.discard)
            stores: dict[str, Store] = {}
            for store_name, server in self._servers.items():
                stores[store_name] = await server.fresh(f"{name}-{store_name}", folder)
                undo.push_async_callback(stores[store_name].discard)
            undo.pop_all()
        means = Means(
            kind=self.kind,
            guard=self.guard,
            broker=self.broker,
            space=space,
            stores=stores,
            folder=folder,
            clock=asyncio.get_running_loop().time,
            environment=self._environment,
        )
        stage = Stage(self.choreography, means)
        await stage.open()
        return stage

    @property
    def reusable(self) -> bool:
        """Whether one stage may serve many runs: each probe looks at one saga, rather than at everything."""
        return all(is_scoped(probe.sql, probe.http, probe.command) for probe in self.choreography.probes.values())

    async def _start(self) -> None:
        self._closing.push_async_callback(self.guard.close)
        await self.guard.adopt(self.folder)
        self.broker = make_broker(self.kind, self.choreography, self.guard, self._environment, self._shared_broker)
        self._closing.push_async_callback(self.broker.close)
        await self.broker.start()
        databases = Databases(self.guard)
        self._closing.push_async_callback(databases.close)
        for store in self.choreography.stores.values():
            server = make_server(store, self.choreography, databases)
            self._closing.push_async_callback(server.close)
            await server.start()
            self._servers[store.name] = server
