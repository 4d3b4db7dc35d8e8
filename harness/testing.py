"""What the pytest plugin stands on, free of pytest: houses kept over a session, and the trial that one test is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from misstep.harness.choreography.words import Choreography
from misstep.harness.disturbance import Arm, arm_nothing
from misstep.harness.history.history import History
from misstep.harness.plan import Fault, Plan
from misstep.harness.report.failure import failure_text, story_text
from misstep.harness.runner import Run, judged, run
from misstep.harness.stage.handles import BlockingStage, StageHandle
from misstep.harness.stage.house import House, Kind
from misstep.harness.stage.loop import StageLoop
from misstep.harness.stage.performance import Performance
from misstep.harness.stage.warm import WarmStage


def no_chaos() -> tuple[tuple[Fault, ...], Arm]:
    """Return no faults, and what arms them."""
    return (), arm_nothing


class Houses:
    """The houses of one test session, one for each choreography, on one event loop in its own thread.

    Args:
        kind: Which stages to open.
        seed: The seed of generated data.
        label: Tells concurrent sessions apart on a shared broker.
        shared_broker: A local broker that somebody else owns; empty to start one where one is needed.
    """

    def __init__(self, kind: Kind, *, seed: int = 0, label: str = "", shared_broker: str = "") -> None:
        self.kind: Kind = kind
        self.seed = seed
        self.loop = StageLoop()
        self._label = label
        self._shared_broker = shared_broker
        self._open: list[Company] = []
        self._closing = ExitStack()
        self._houses = AsyncExitStack()

    def __enter__(self) -> Self:
        self._closing.enter_context(self.loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._closing:
            self.loop.call(self._houses.aclose())

    def company(self, choreography: Choreography) -> Company:
        """Return the house of a choreography with what was learned in it, opened where it is not yet."""
        for company in self._open:
            if company.house.choreography == choreography:
                return company
        company = self.loop.call(self._enter(choreography))
        self._open.append(company)
        return company

    def trial(self, choreography: Choreography, faults: Sequence[Fault], arm: Arm) -> Trial:
        """Set a stage for one test, its faults armed.

        Raises:
            PlanError: A fault does not fit the choreography.
            MisstepError: The stage could not be set up.
        """
        company = self.company(choreography)
        return Trial(self.loop, company, self.loop.call(company.begin(faults, arm)), arm)

    async def _enter(self, choreography: Choreography) -> Company:
        house = await self._houses.enter_async_context(
            House.open(self.kind, choreography, label=self._label, shared_broker=self._shared_broker)
        )
        company = Company(house, self.seed)
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
        self._clean: dict[str, list[History]] = {}

    async def begin(self, faults: Sequence[Fault], arm: Arm) -> Performance:
        """Begin a run whose drives are not known yet."""
        stage = await self._warm.get()
        learned = [history for histories in self._clean.values() for history in histories]
        performance = Performance(stage, Plan(drives=(), faults=tuple(faults), seed=self._seed), arm, learned)
        await performance.begin()
        return performance

    async def clean(self, plan: Plan) -> tuple[History, ...]:
        """Return histories of fault-free runs of a plan's drives, run now where there are none yet."""
        bare = plan.without_faults()
        if bare.digest not in self._clean:
            done = await run(await self._warm.get(), bare, arm=arm_nothing)
            if done.answer == "invalid":
                return ()
            self._clean[bare.digest] = [done.history]
        return tuple(self._clean[bare.digest])

    async def close(self) -> None:
        """Close the stage that is kept warm."""
        await self._warm.close()

    def learn(self, plan: Plan, history: History) -> None:
        """Keep the history of a fault-free run that was valid."""
        self._clean.setdefault(plan.without_faults().digest, []).append(history)


class Trial:
    """One test's run: its handles while it runs, and the verdict afterwards.

    Attributes:
        handle: The stage, for an async test.
        blocking: The stage, for a test that blocks.
        concluded: Whether it has been judged.
        run: The judged run; None before.
    """

    def __init__(self, loop: StageLoop, company: Company, performance: Performance, arm: Arm) -> None:
        self.loop = loop
        self.company = company
        self.arm = arm
        self.handle = StageHandle(performance, loop)
        self.blocking = BlockingStage(performance, loop)
        self.concluded = False
        self.run: Run | None = None
        self._performance = performance

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.concluded:
            self._performance.stage.spoilt = "a test on it failed before it was judged"
            self.loop.call(self._performance.end())

    @property
    def plan(self) -> Plan:
        """The drives that the test made, with its faults."""
        return replace(self._performance.plan, drives=tuple(self._performance.driven))

    def conclude(self, *, strict: bool) -> str:
        """Leave the stage alone until it is quiet, judge the run, and return why it fails; empty where it passes."""
        self.concluded = True
        self.run = self.loop.call(self._judge(strict))
        if self.run.answer == "valid" and not self.plan.faults:
            self.company.learn(self.plan, self.run.history)
        return "" if self.run.answer == "valid" else failure_text(self._performance.choreography, self.run)

    def story(self) -> str:
        """Return what happened so far, for a test that failed by itself."""
        return story_text(self._performance.choreography, self._performance.history)

    async def _judge(self, strict: bool) -> Run:
        performance = self._performance
        history = await performance.conclude()
        clean = await self.company.clean(self.plan) if self.plan.faults and self.plan.drives else ()
        return judged(performance.stage, self.plan, history, clean=clean, strict=strict, warm=performance.warm)
