"""The world outside one run: it drives sagas, watches views, and looks at effects and probes when all is quiet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

from misstep.harness.choreography.fakes import Fakes
from misstep.harness.choreography.words import Effect
from misstep.harness.errors import BrokerFailed
from misstep.harness.history import entries
from misstep.harness.outside import drivers, effects, probes, views
from misstep.harness.outside.queries import is_scoped
from misstep.harness.plan import Drive
from misstep.harness.stage.stage import Stage
from misstep.harness.stores.port import Rows
from misstep.harness.wire.facts import Message


class Clients:
    """Everybody who is no service, for one run.

    Args:
        stage: Where.
        seed: The seed that generated data is drawn from.

    Attributes:
        driving: How many drivers have begun and not ended: until then no run is quiet.
    """

    def __init__(self, stage: Stage, *, seed: int) -> None:
        self._stage = stage
        self._seed = seed
        self._correlations: dict[int, str] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._before: dict[str, effects.Count] = {}
        self.driving = 0
        self._kinds = {name: store.kind for name, store in stage.choreography.stores.items()}

    async def begin(self) -> None:
        """Note what effects earlier runs on the same stage left, so that only this run's are counted."""
        if self._stage.runs > 1:
            for effect in self._stage.choreography.effects.values():
                if effect.store and not is_scoped(effect.sql):
                    self._before[effect.name] = await self._count(effect)

    async def drive(self, saga: int, drive: Drive) -> drivers.Driven:
        """Run a driver; its saga's views are watched from then on."""
        stage = self._stage
        driver = stage.choreography.drivers[drive.driver]

        async def publish(
            exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
        ) -> None:
            message = Message(exchange, key, body, dict(properties), dict(headers))
            name = stage.recorder.published_by_driver(saga, message)
            try:
                await stage.means.space.publish(exchange, key, body, headers=headers, properties=properties)
            except BrokerFailed:
                stage.recorder.confirmed_to_driver(name, ok=False)
                raise
            stage.recorder.confirmed_to_driver(name)

        means = drivers.Means(
            client=stage.http, publish=publish, folder=stage.choreography.folder, environment=stage.means.environment
        )
        fakes = Fakes(f"{self._seed}/driver/{saga}")
        keys = Fakes(f"{self._seed}/{stage.means.space.name}/{stage.runs}/key/{saga}")
        stage.recorder.driving(saga)
        self.driving += 1
        try:
            driven = await drivers.drive(
                driver, drive, saga=saga, scope=stage.scope, fakes=fakes, keys=keys, means=means
            )
        finally:
            self.driving -= 1
        stage.recorder.drove(saga, driver.name, driven.outcome, correlation=driven.correlation, detail=driven.detail)
        self._correlations[saga] = driven.correlation
        if driven.correlation:
            self._watch(saga, driven.correlation)
        return driven

    async def look(self) -> None:
        """Count every effect and look at every probe; what could not be seen is recorded as such."""
        await self._stop_watching()
        stage = self._stage
        for effect in stage.choreography.effects.values():
            count = await self._count(effect)
            counts = Counter(count.counts)
            before = self._before.get(effect.name, effects.Count(effect=effect.name))
            counts.subtract(before.counts)
            stage.history.append(
                entries.Measured(
                    at=stage.now(),
                    effect=effect.name,
                    counts={key: number for key, number in counts.items() if number},
                    error=count.error or before.error,
                )
            )
        for probe in stage.choreography.probes.values():
            scoped = is_scoped(probe.sql, probe.http, probe.command)
            for saga in self._correlations if scoped else (0,):
                await self._probe(probe.name, saga)

    async def close(self) -> None:
        """Stop watching."""
        await self._stop_watching()

    async def _probe(self, name: str, saga: int) -> None:
        stage = self._stage
        probe = stage.choreography.probes[name]
        correlation = self._correlations.get(saga, "")
        if saga and not correlation:
            seen = probes.Look(probe=name, error=f"saga {saga} has no known business key to look for")
        else:
            means = probes.Means(
                client=stage.http,
                query=self._query,
                kinds=self._kinds,
                folder=stage.choreography.folder,
                environment=stage.means.environment,
            )
            names = {key: f"saga {number}" for number, key in self._correlations.items() if key}
            seen = await probes.look(probe, scope=stage.scope, correlation=correlation, names=names, means=means)
        stage.history.append(entries.Probed(at=stage.now(), probe=name, saga=saga, value=seen.value, error=seen.error))

    async def _count(self, effect: Effect) -> effects.Count:
        """Count an effect for the whole run; a query that asks for one saga alone is asked for each."""
        if not is_scoped(effect.sql):
            return await self._measure(effect, "")
        total: Counter[str] = Counter()
        for correlation in filter(None, self._correlations.values()):
            count = await self._measure(effect, correlation)
            if count.error:
                return count
            total.update(count.counts)
        return effects.Count(effect=effect.name, counts=dict(total))

    async def _measure(self, effect: Effect, correlation: str) -> effects.Count:
        return await effects.measure(
            effect, calls=self._stage.calls, query=self._query, kinds=self._kinds, correlation=correlation
        )

    async def _query(self, store: str, sql: str, parameters: Sequence[object]) -> Rows:
        return await self._stage.means.stores[store].query(sql, parameters)

    def _watch(self, saga: int, correlation: str) -> None:
        stage = self._stage

        def tell(seen: views.Glimpse) -> None:
            stage.history.append(
                entries.Seen(at=seen.at, view=seen.view, saga=saga, value=seen.value, error=seen.error)
            )

        for view in stage.choreography.views.values():
            watch = views.poll(view, correlation, tell, scope=stage.scope, client=stage.http, clock=stage.now)
            self._watching.append(asyncio.create_task(watch))

    async def _stop_watching(self) -> None:
        """End every poller after its last look; an error of one is an error of the run."""
        watching, self._watching = self._watching, []
        for task in watching:
            task.cancel()
        for result in await asyncio.gather(*watching, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result
