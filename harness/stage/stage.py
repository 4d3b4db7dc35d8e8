"""A stage: one choreography's services, running on a broker space and stores of their own, every link in our hands.

It is opened once and serves one fresh run, or many warm ones: the same processes, new sagas with new keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from misstep.harness.brokers.port import Broker, Space
from misstep.harness.choreography.words import Choreography, Service
from misstep.harness.errors import PlanError, ServiceFailed
from misstep.harness.history import entries
from misstep.harness.history.handling import Taught
from misstep.harness.history.history import History
from misstep.harness.history.recorder import Recorder
from misstep.harness.outside.externals import Call, Externals
from misstep.harness.services.guardian import Guard
from misstep.harness.services.ports import PortLease, lease_port
from misstep.harness.services.service import ProcessEnd, RunningService
from misstep.harness.services.sockets import Address, addresses_of, bypasses
from misstep.harness.stage.assembly import Addresses, Scope, launch_of, scope_of, uses, wants_port
from misstep.harness.stores.port import Store
from misstep.harness.wire.amqp.session import amqp
from misstep.harness.wire.interceptor import Interceptor
from misstep.harness.wire.link import Link

if TYPE_CHECKING:
    import httpx
    from misstep.harness.wire.relay import Relay

ProcessEvent: TypeAlias = Literal["started", "ready", "exited", "stopped", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a stage is built from; all of it but the space and the stores outlives the stage.

    Attributes:
        kind: Which stage it is: ``embedded``, ``local``, ``docker``, ``remote``.
        guard: Starts every process.
        broker: Where the space is.
        space: The stage's own part of the broker.
        stores: The stage's own stores, by name.
        folder: Where logs go; it exists.
        clock: Seconds, from any origin, never going back.
        environment: What services inherit.
    """

    kind: str
    guard: Guard
    broker: Broker
    space: Space
    stores: Mapping[str, Store]
    folder: Path
    clock: Callable[[], float]
    environment: Mapping[str, str]


class Stage:
    """A choreography's services on links, broker space and stores of their own.

    Attributes:
        choreography: What runs.
        means: What it runs on.
        history: The record of the run in progress; before the first, that of setting the stage up.
        recorder: Writes it.
        interceptors: Who answers what is heard on the links to the broker; may change at any time.
        services: The running services, by name.
        links: Each service's link to the broker.
        store_links: The link of each service to each TCP store.
        stub: The externals.
        calls: The calls of externals in the run in progress.
        http: Sends the harness's own requests to services.
        runs: How many runs it has served.
        starting: Services that were started and are not ready yet.
        spoilt: Why it must not serve another run; empty while it may.
    """

    def __init__(self, choreography: Choreography, means: Means) -> None:
        self.choreography = choreography
        self.means = means
        self.history = History()
        self.recorder = Recorder(choreography.events, self.history, self.now)
        self.interceptors: list[Interceptor] = []
        self.services: dict[str, RunningService] = {}
        self.links: dict[str, Link] = {}
        self.store_links: dict[tuple[str, str], Relay] = {}
        self.stub = Externals(choreography.externals, self._called, environment=means.environment)
        self.calls: list[Call] = []
        self.runs = 0
        self.spoilt = ""
        self.starting: set[str] = set()
        self._frozen: set[str] = set()
        self._down: set[str] = set()
        self._locks = {name: asyncio.Lock() for name in choreography.services}
        self._origin = means.clock()
        self.http: httpx.AsyncClient
        self._ports: dict[str, PortLease] = {}
        self._closing = AsyncExitStack()

    @property
    def scope(self) -> Scope:
        """What names in the templates of drivers, probes and views mean here."""
        return scope_of(self._addresses(None), self.means.environment)

    async def open(self) -> None:
        """Start everything and wait until every service is ready.

        Raises:
            ServiceFailed: A service could not be started or did not become ready; nothing is left running.
        """
        try:
            await self._open()
        except ServiceFailed as error:
            await self.close()
            told = [f"\n  the broker says: {complaint.text}" for complaint in self.means.broker.complaints()]
            raise ServiceFailed(f"{error}{''.join(told)}") from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End the services, close the links, discard the broker space and the stores."""
        await self._closing.aclose()

    def now(self) -> float:
        """Return seconds since the run in progress began."""
        return self.means.clock() - self._origin

    def begin(self, seed: int, taught: Taught | None) -> History:
        """Begin the next run: its history, with what stands on the stage already.

        Args:
            seed: The seed of generated answers.
            taught: What led to what in clean runs.
        """
        self.runs += 1
        self._origin = self.means.clock()
        self.history = History()
        self.calls.clear()
        self.stub.begin(seed)
        self.recorder.begin(self.history, taught=taught)
        for name, running in self.services.items():
            self._happened(name, "ready" if running.running else "exited", running.incarnation)
        return self.history

    def kill(self, service: str) -> None:
        """Kill a service's processes at once, without waiting for anything; it stays down."""
        running = self.services[service]
        self._down.add(service)
        running.kill_now()
        self._happened(service, "killed", running.incarnation)

    async def stop(self, service: str) -> None:
        """Ask a service to end, and wait until it has."""
        running = self.services[service]
        self._down.add(service)
        await running.stop()
        self._happened(service, "stopped", running.incarnation)

    async def start(self, service: str) -> None:
        """Start a service that does not run, and wait until it is ready, or is killed or stopped meanwhile.

        Raises:
            ServiceFailed: It did not become ready.
        """
        async with self._locks[service]:
            running = self.services[service]
            if running.running and service not in self._down:
                return
            self.starting.add(service)
            try:
                await running.spawn()
                self._down.discard(service)
                if service in self.links:
                    self.links[service].incarnation = running.incarnation
                self._happened(service, "started", running.incarnation)
                try:
                    await running.until_ready()
                except ServiceFailed:
                    if service in self._down:
                        return  # Another fault ended it while it started, and sees to its return.
                    raise
                self._happened(service, "ready", running.incarnation)
            finally:
                self.starting.discard(service)

    def is_down(self, service: str) -> bool:
        """Say whether a service was killed or stopped here, and not started since."""
        return service in self._down

    def freeze(self, service: str, frozen: bool) -> None:
        """Suspend a service's processes where they stand, or let them go on."""
        self.services[service].freeze(frozen)
        (self._frozen.add if frozen else self._frozen.discard)(service)

    def able(self) -> frozenset[str]:
        """Return the services that can act: they run, and nobody keeps them from it."""
        return frozenset(
            name
            for name, running in self.services.items()
            if running.running
            and name not in self._frozen | self._down
            and not (name in self.links and self.links[name].refusing)
        )

    def users(self, store: str) -> frozenset[str]:
        """Return the services that are told where a store is."""
        return frozenset(name for name, service in self.choreography.services.items() if uses(service, store))

    def queues(self) -> tuple[str, ...]:
        """Return the queues that are known, but for those that belong to one connection alone."""
        return tuple(name for name, declared in self.recorder.topology.queues.items() if not declared.exclusive)

    def link(self, service: str) -> Link:
        """Return a service's link to the broker.

        Raises:
            PlanError: There is none.
        """
        if service not in self.links:
            raise PlanError(f"service {service!r} has no link to the broker; these have: {', '.join(self.links)}")
        return self.links[service]

    def store_link(self, service: str, store: str) -> Relay:
        """Return a service's link to a TCP store.

        Raises:
            PlanError: There is none.
        """
        if (service, store) not in self.store_links:
            known = ", ".join(f"{one} to {other}" for one, other in self.store_links) or "none"
            raise PlanError(f"service {service!r} has no link to a store {store!r}; links to stores: {known}")
        return self.store_links[service, store]

    async def _open(self) -> None:
        closing, means = self._closing, self.means
        closing.push_async_callback(means.space.discard)
        for store in means.stores.values():
            closing.push_async_callback(store.discard)
        import httpx  # takes a tenth of a second: only who opens a stage pays

        self.http = await closing.enter_async_context(httpx.AsyncClient(trust_env=False))
        await self.stub.open()
        closing.push_async_callback(self.stub.close)
        for service in self.choreography.services.values():
            await self._connect(service)
        real = await self._real()
        for service in self.choreography.services.values():
            launch = launch_of(service, self.choreography, self._addresses(service, real), means.environment)
            running = RunningService(
                launch,
                means.guard,
                means.folder,
                consumers=partial(self.recorder.wire.consumer_count, service.name),
                on_end=self._ended,
            )
            self.services[service.name] = running
            closing.push_async_callback(running.kill)
        await self._start_all()
        await self._refuse_bypasses(real)
        states = await means.space.queues()
        self.recorder.asked(await means.space.routes(), [state.name for state in states])

    async def _connect(self, service: Service) -> None:
        """Open a service's links, and lease it a port where it wants one."""
        if wants_port(service, self.choreography):
            lease = lease_port()
            self._closing.callback(lease.release)
            self._ports[service.name] = lease
        if service.broker:
            link = Link(
                service.name,
                self.means.space.endpoint,
                amqp(),
                self.recorder.heard,
                self.kill,
                interceptors=[self.recorder.answering(self.interceptors)],
                clock=self.means.clock,
            )
            await link.open()
            self._closing.push_async_callback(link.close)
            self.links[service.name] = link
        for name, store in self.means.stores.items():
            if store.endpoint is not None and uses(service, name):
                from misstep.harness.wire.relay import Relay

                relay = Relay(service.name, store.endpoint, clock=self.means.clock)
                await relay.open()
                self._closing.push_async_callback(relay.close)
                self.store_links[service.name, name] = relay

    async def _start_all(self) -> None:
        """Start each service once those it comes after are ready."""
        ready = {name: asyncio.Event() for name in self.services}

        async def start(name: str) -> None:
            for other in self.choreography.services[name].after:
                await ready[other].wait()
            await self.start(name)
            ready[name].set()

        try:
            async with asyncio.TaskGroup() as group:
                for name in self.services:
                    group.create_task(start(name))
        except* ServiceFailed as failures:
            raise ServiceFailed("\n".join(str(failure) for failure in failures.exceptions)) from failures.exceptions[0]

    def _happened(self, service: str, what: ProcessEvent, incarnation: int, detail: str = "") -> None:
        self.history.append(
            entries.Process(at=self.now(), service=service, what=what, incarnation=incarnation, detail=detail)
        )

    def _ended(self, end: ProcessEnd) -> None:
        """Note that a process ended; when nobody had asked it to, that is its own doing, and spoils the next run."""
        if end.asked:
            return
        self._happened(end.service, "exited", end.incarnation, f"process {end.process} {end.exit}")
        if self.runs:
            self.spoilt = self.spoilt or f"service {end.service} ended by itself"

    def _called(self, call: Call) -> None:
        self.calls.append(call)
        if not call.scripted:
            text = f"{call.external} has no answer to {call.method} {call.path}: {call.detail}"
            self.history.append(entries.Note(at=self.now(), what="external", text=text, unknown=True))
        self.history.append(
            entries.Called(
                at=self.now(),
                external=call.external,
                request=f"{call.method} {call.path}",
                status=call.status if call.answered else 0,
                once=call.once,
                repeat=call.replay,
                headers=call.headers,
                body=call.body,
            )
        )

    async def _refuse_bypasses(self, real: Mapping[str, frozenset[Address]]) -> None:
        """Name every service that is connected past its link: what it does there is neither heard nor disturbed.

        Raises:
            ServiceFailed: There is one.
        """
        found = []
        for name, running in self.services.items():
            past = bypasses((await running.sockets()).remote, real)
            found += [f"service {name!r} is connected to {where} at {address}" for where, address in past.items()]
        if found:
            lines = "\n".join(f"  {line}" for line in found)
            raise ServiceFailed(
                f"these connections bypass their links:\n{lines}\n  likely cure: let the service take its address from "
                "{broker.url} or {stores.NAME.url} in its environment, rather than from its code or its own settings"
            )

    async def _real(self) -> dict[str, frozenset[Address]]:
        """Return where broker and stores really are, which services must not be connected to."""
        places = {"broker": self.means.space.endpoint} if self.links else {}
        places |= {name: store.endpoint for name, store in self.means.stores.items() if store.endpoint is not None}
        return {name: await addresses_of(endpoint.host, endpoint.port) for name, endpoint in places.items()}

    def _addresses(self, service: Service | None, real: Mapping[str, frozenset[Address]] | None = None) -> Addresses:
        """Return where everything is: as one service is told, by its own links, or as the harness sees it."""
        space = self.means.space
        link = self.links.get(service.name) if service else None
        endpoint = space.endpoint
        if service is None:
            broker = space.url(endpoint.host, endpoint.port)
        else:
            broker = space.url(link.host, link.port) if link else ""
        links = {"broker": Address(link.host, link.port)} if link else {}
        stores: dict[str, Mapping[str, str]] = {}
        for name, store in self.means.stores.items():
            relay = self.store_links.get((service.name, name)) if service else None
            stores[name] = store.parts(relay.host, relay.port) if relay else store.parts()
            if relay:
                links[name] = Address(relay.host, relay.port)
        return Addresses(
            broker=broker,
            stores=stores,
            externals=self.stub.urls,
            ports={name: lease.port for name, lease in self._ports.items()},
            links=links,
            real=real or {},
        )
