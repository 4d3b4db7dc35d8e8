"""What the pytest plugin stands on, free of pytest: houses kept over a session, and the trial that one test is.

Tests that want types find them here::

    from misstep.harness.testing import BlockingStage, StageHandle

    async def test_an_order_is_shipped(stage: StageHandle) -> None: ...
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from misstep.harness.choreography.words import Choreography
from misstep.harness.disturbance import Arm, Disturbance, Ground, Tell
from misstep.harness.errors import MisstepError, PlanError
from misstep.harness.history.history import History
from misstep.harness.plan import Fault, Plan
from misstep.harness.report.failure import failure_text, headline, plan_lines, story_text
from misstep.harness.report.kept import forget, keep
from misstep.harness.runner import Run, judged, run
from misstep.harness.services.guardian import Guard
from misstep.harness.stage.handles import BlockingSaga, BlockingStage, Hands, Saga, StageHandle
from misstep.harness.stage.house import House, Kind
from misstep.harness.stage.loop import StageLoop
from misstep.harness.stage.performance import Performance
from misstep.harness.stage.warm import WarmStage

__all__ = [
    "BlockingSaga",
    "BlockingStage",
    "Company",
    "Houses",
    "Saga",
    "SharedBroker",
    "StageHandle",
    "Trial",
    "arm_nothing",
]

END_WITHIN: Final = 60.0
"""Seconds after which the end of a test or a session is given up: the guard ends what is left with the process."""


def arm_nothing(fault: Fault, ground: Ground, tell: Tell) -> Disturbance:
    """Refuse every fault: the ``Arm`` of runs that have none.

    Raises:
        PlanError: Always.
    """
    raise PlanError(f"{fault.kind} cannot be made here: no package that makes faults is at work")


class SharedBroker:
    """One local broker that several processes use, such as the workers of a session; it ends with its owner.

    Attributes:
        address: Where it is and how it is used, credentials included: for those processes alone.

    Raises:
        PartMissing: This machine has no such broker.
        BrokerFailed: It did not start.
    """

    def __init__(self) -> None:
        self._closing = ExitStack()
        with ExitStack() as undo:
            self._loop = undo.enter_context(StageLoop())
            servers = AsyncExitStack()
            undo.callback(lambda: self._loop.call(servers.aclose(), END_WITHIN))
            self.address = self._loop.call(self._start(servers))
            self._closing = undo.pop_all()

    def close(self) -> None:
        """End it."""
        self._closing.close()

    async def _start(self, servers: AsyncExitStack) -> str:
        from misstep.harness.brokers.rabbitmq.local import LocalRabbit

        broker = await servers.enter_async_context(LocalRabbit(await servers.enter_async_context(Guard())))
        return broker.address


class Houses:
    """The houses of one test session, one for each choreography, on one event loop in its own thread.

    Args:
        kind: Which stages to open.
        seed: The seed of generated data.
        label: Tells concurrent sessions apart on a shared broker.
        shared_broker: The address of a local broker that somebody else owns; empty to start one where one is needed.
    """

    def __init__(self, kind: Kind, *, seed: int = 0, label: str = "", shared_broker: str = "") -> None:
        self.kind: Kind = kind
        self.seed = seed
        self.loop = StageLoop()
        self._label = label or secrets.token_hex(3)
        self._shared_broker = shared_broker
        self._open: dict[bool, list[Company]] = {False: [], True: []}
        self._closing = ExitStack()
        self._houses = AsyncExitStack()

    def __enter__(self) -> Self:
        self._closing.enter_context(self.loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._closing:
            self.loop.call(self._houses.aclose(), END_WITHIN)

    def company(self, choreography: Choreography, *, own_broker: bool = False) -> Company:
        """Return the house of a choreography with what was learned in it, opened where it is not yet.

        Args:
            choreography: What runs in it.
            own_broker: Whether it needs a broker that nobody shares.

        Raises:
            MisstepError: It could not be opened.
        """
        own_broker = own_broker and bool(self._shared_broker)
        for company in self._open[own_broker]:
            if company.house.choreography == choreography:
                return company
        company = self.loop.call(self._enter(choreography, "" if own_broker else self._shared_broker))
        self._open[own_broker].append(company)
        return company

    def trial(self, choreography: Choreography, faults: Sequence[Fault] = (), arm: Arm = arm_nothing) -> Trial:
        """Set a stage for one test, its faults armed; one that befalls the broker gets a broker of its own.

        Raises:
            PlanError: A fault does not fit the choreography.
            MisstepError: The stage could not be set up.
        """
        company = self.company(choreography, own_broker=any(fault.kind.startswith("broker.") for fault in faults))
        return Trial(self.loop, company, self.loop.call(company.begin(faults, arm)))

    async def _enter(self, choreography: Choreography, shared_broker: str) -> Company:
        label = f"{self._label}-{sum(map(len, self._open.values())) + 1}"
        house = House.open(self.kind, choreography, label=label, shared_broker=shared_broker)
        company = Company(await self._houses.enter_async_context(house), self.seed)
        self._houses.push_async_callback(company.close)
        return company


class Company:
    """A house and what its clean runs taught, kept over many tests.

    Attributes:
        house: Where stages are opened.
    """

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self._warm = WarmStage(house)
        self._seed = seed
        self._learned: list[History] = []
        self._clean: dict[str, Run] = {}

    async def begin(self, faults: Sequence[Fault], arm: Arm) -> Performance:
        """Begin a run whose drives are not known yet.

        Raises:
            PlanError: A fault does not fit the choreography.
            StageError: The stage could not be set up.
        """
        stage = await self._warm.get()
        plan = Plan(drives=(), faults=tuple(faults), seed=self._seed)
        performance = Performance(stage, plan, arm, self._learned)
        try:
            await performance.begin()
        except BaseException:
            await performance.end()
            raise
        return performance

    async def clean(self, plan: Plan, *, strict: bool) -> Run:
        """Return a fault-free run of a plan's drives, on a stage that no other run has touched; run once a session."""
        bare = plan.without_faults()
        if bare.digest not in self._clean:
            async with self.house.stage() as stage:
                self.learn(await run(stage, bare, arm=arm_nothing, strict=strict))
        return self._clean[bare.digest]

    def learn(self, clean: Run) -> None:
        """Keep the first fault-free run of some drives: of a valid one, later runs learn how services behave."""
        if clean.plan.digest in self._clean:
            return
        self._clean[clean.plan.digest] = clean
        if clean.answer == "valid":
            self._learned.append(clean.history)

    async def close(self) -> None:
        """Close the stage that is kept warm."""
        await self._warm.close()


class Trial:
    """One test's run: its handles while it goes on, and the verdict afterwards.

    Attributes:
        loop: Where the stage runs.
        company: The house it stands in.
        performance: The run in progress.
        handle: The stage, for an async test.
        blocking: The stage, for a test that blocks.
        strict: Whether warnings count as invalid; known once the run is judged.
        run: The judged run; None before.
    """

    def __init__(self, loop: StageLoop, company: Company, performance: Performance) -> None:
        self.loop = loop
        self.company = company
        self.performance = performance
        self._hands = Hands(performance, loop)
        self.handle = StageHandle(self._hands)
        self.blocking = BlockingStage(self._hands)
        self.strict = False
        self.run: Run | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.run is None:
            self.performance.stage.spoilt = "a test on it ended before it was judged"
            self.loop.call(self.performance.end(), END_WITHIN)

    @property
    def choreography(self) -> Choreography:
        """What runs."""
        return self.performance.choreography

    @property
    def plan(self) -> Plan:
        """The drives that the test made, with its faults."""
        return replace(self.performance.plan, drives=tuple(self.performance.driven))

    @property
    def deeds(self) -> tuple[str, ...]:
        """What the test did to the stage by its own hands, which no plan holds."""
        return tuple(self._hands.deeds)

    def conclude(self, *, strict: bool) -> str:
        """Leave the stage alone until it is quiet, judge the run, and return why it fails; empty where it passes.

        A run with faults is compared with a clean one of the same drives: where that is not valid, nothing can be said
        of the faults, and the text says so.

        Raises:
            MisstepError: The stage of the clean run could not be set up.
        """
        self.strict = strict
        mine, clean = self.loop.call(self._judge())
        self.run = mine
        if clean is not None and clean.answer != "valid":
            why = f"the same drives are {clean.answer} without any fault, so no fault can be judged by this test"
            with_faults = f"with what the test does: {headline(self.choreography, mine)}"
            return f"{why}\n\n{self._failure(clean)}\n\n{with_faults}"
        if mine.answer != "valid":
            return self._failure(mine)
        if clean is None:
            self.company.learn(mine)
        forget(self.choreography, mine.plan)
        return ""

    def story(self) -> str:
        """Return what happened so far, for a test that failed by itself."""
        lines = "\n".join((*plan_lines(self.plan), *(f"by hand: {deed}" for deed in self.deeds)))
        parts = (lines, story_text(self.choreography, self.performance.history))
        return "\n\n".join(part for part in parts if part) or "nothing: no driver was run"

    async def _judge(self) -> tuple[Run, Run | None]:
        """Judge the run, and return it with the clean run that it was compared with."""
        performance, plan = self.performance, self.plan
        history = await performance.conclude()
        clean = None
        if plan.drives and (plan.faults or self.deeds):
            clean = await self.company.clean(plan, strict=self.strict)
        known = (clean.history,) if clean is not None and clean.answer == "valid" else ()
        done = judged(performance.stage, plan, history, clean=known, strict=self.strict, warm=performance.warm)
        return done, clean

    def _failure(self, failed: Run) -> str:
        return failure_text(self.choreography, failed, again=self._again(failed))

    def _again(self, failed: Run) -> str:
        """Say how to see a run again; its plan is kept, where that says all that happened."""
        if not failed.plan.drives:
            return "only what a driver starts can be judged: drive a saga in the test, as in `await stage.drive(NAME)`"
        if self.deeds and failed is self.run:
            return f"again: run this test, which {' and '.join(self.deeds)} by its own hands: no plan holds that"
        try:
            file = keep(self.choreography, failed)
        except MisstepError as error:
            plan = failed.plan.to_json()
            return f"again: save this as plan.json and run `misstep replay plan.json` ({error})\n{plan}"
        if not self.choreography.source:
            return f"again: run this test; its plan is kept in {shown(file)}"
        options = "".join(
            (f" --stage {failed.stage}" if failed.stage != "embedded" else "", " --strict" if self.strict else "")
        )
        return f"again: misstep replay {shlex.quote(shown(file))}{options}"


def shown(file: Path) -> str:
    """Return a path as a person in the current folder would write it."""
    try:
        return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)
    except OSError:
        return str(file)
