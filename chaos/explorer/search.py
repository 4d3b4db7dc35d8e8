"""The search: clean runs, then every plan, most suspicious first; what fails is confirmed, made small, and saved.

What is tried, and what is made of it, is decided by the pure modules beside this one; here plans are handed to
benches, and answers are collected. A warm run is a shortcut: what it leaves open, and what it finds wrong, is settled
by fresh ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from misstep.chaos.explorer.bench import Bench
from misstep.chaos.explorer.confirm import confirm
from misstep.chaos.explorer.faults_at import Candidate, candidates
from misstep.chaos.explorer.only import Only
from misstep.chaos.explorer.order import Agenda, Item, pairs, singles
from misstep.chaos.explorer.outcome import Exploration, Failure, Trial, TrialAnswer, answer_of, keys, reason
from misstep.chaos.explorer.repeatable import differences
from misstep.chaos.explorer.shrink import shrink
from misstep.chaos.explorer.sites import Places, common, places
from misstep.chaos.explorer.store import Saved, forget, load, save
from misstep.chaos.faults.arm import fit_plan
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import MisstepError, PlanError
from misstep.harness.history.history import History
from misstep.harness.plan import Drive, Plan
from misstep.harness.runner import Run

Work = TypeVar("Work")

MOST_ERRORS = 5
"""So many plans in a row that could not be run at all end a search: the stage is broken, not the choreography."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a search is to do.

    Attributes:
        drives: What to run, each of these for itself; where there is none, each driver that is declared.
        only: Which plans to try.
        faults: The most faults in one plan: 1 or 2.
        seconds: After so many seconds no further plan is begun; None is no bound.
        seed: The seed of all plans.
        strict: Whether warnings count as invalid.
        fail_fast: Whether to stop at the first failure.
        k, n: A failure must fail ``k`` of ``n`` fresh runs.
        saved: Where failing plans are kept; None keeps none.
    """

    drives: tuple[tuple[Drive, ...], ...] = ()
    only: Only = field(default_factory=Only)
    faults: int = 1
    seconds: float | None = None
    seed: int = 0
    strict: bool = False
    fail_fast: bool = False
    k: int = 2
    n: int = 2
    saved: Path | None = None


class Watching(Protocol):
    """Who is told how a search goes."""

    def begin(self, what: str, total: int) -> None:
        """A part of the search begins, with so many steps."""

    def trying(self, what: str) -> None:
        """Something is being run."""

    def tried(self, trial: Trial | None) -> None:
        """A step is done; None where it was no plan of the search's own."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Two clean runs of the same drives."""

    histories: tuple[History, ...]
    places: Places


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why nothing can be built on the clean runs of some drives; ``red`` is the run that was invalid, where one was."""

    why: str
    red: Run | None = None


class Search:
    """One search over one choreography.

    Args:
        choreography: What to search.
        benches: Where to run; as many plans run at once.
        stage: What to call the stage in the result.
        wish: What to do.
        clock: Seconds, from any origin.
        watching: Who is told how it goes.
    """

    def __init__(
        self,
        choreography: Choreography,
        benches: Sequence[Bench],
        *,
        stage: str,
        wish: Wish,
        clock: Callable[[], float],
        watching: Watching,
    ) -> None:
        self.choreography = choreography
        self.benches = benches
        self.stage = stage
        self.wish = wish
        self.clock = clock
        self.watching = watching
        self.began = clock()
        self.trials: list[Trial] = []
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.ended = ""
        self.red: Run | None = None
        self._clean: dict[str, Clean] = {}
        self._seen: dict[str, frozenset[str]] = {}
        self._failing: dict[str, frozenset[str]] = {}
        self._one_failure = asyncio.Lock()
        self._errors = 0
        self._stop = False

    async def run(self) -> Exploration:
        """Search until all is tried, or the time is up."""
        drives = self.wish.drives or tuple(
            (Drive(driver=name),) for name in self.choreography.drivers if self.wish.only.allows_driver(name)
        )
        plans = [Plan(drives=each, seed=self.wish.seed) for each in drives]
        self.watching.begin("clean runs", len(plans))
        await self._each(plans, self._begin, until=lambda: self._stop)
        if not plans:
            self.ended = "no driver is declared, or --only left none"
        agenda = self._agenda(plans) if not self.ended else Agenda(items=())
        not_tried: list[Item] = []
        if not self.ended:
            not_tried += await self._replay()
            not_tried += await self._round("plans of one fault", agenda.items)
        if not self.ended and self.wish.faults > 1:
            good = {trial.plan.digest for trial in self.trials if trial.answer == "valid"}
            single = [item for item in agenda.items if item.plan.digest in good]
            not_tried += await self._round("plans of two faults", tuple(pairs(single, self.wish.seed)))
        return Exploration(
            choreography=self.choreography.name,
            stage=self.stage,
            seed=self.wish.seed,
            drivers=tuple(called(plan) for plan in plans),
            trials=tuple(self.trials),
            failures=tuple(self.failures),
            not_tried=tuple(not_tried),
            equivalent=len(agenda.equivalent),
            ended=self.ended,
            red=self.red,
            notes=tuple(self.notes),
            seconds=self.clock() - self.began,
        )

    # -- clean runs

    async def _begin(self, bench: Bench, plan: Plan) -> None:
        """Run a driver clean, twice; a run that is red, or not the same twice, ends the search."""
        learned = await self._learn(bench, plan)
        if isinstance(learned, Unfit):
            self._end(learned.why)
            self.red = self.red or learned.red
        self.watching.tried(None)

    async def _learn(self, bench: Bench, plan: Plan) -> Clean | Unfit:
        """Run a plan of no faults twice, and remember it where it can be built on."""
        name = called(plan)
        histories: list[History] = []
        for which in ("first", "second"):
            self.watching.trying(f"{name}, {which} clean run")
            # What other drivers taught of how long services fall silent holds here as well.
            known = [history for clean in self._clean.values() for history in clean.histories]
            run = await bench.run(plan, clean=[*known, *histories])
            answer = answer_of(run, strict=self.wish.strict)
            if answer != "valid":
                why = f"driver {name} is {answer} without any fault: {reason(run, strict=self.wish.strict)}"
                return Unfit(why, run if answer == "invalid" else None)
            histories.append(run.history)
        if lines := differences(*histories):
            return Unfit(f"driver {name} did not do the same twice, so no fault could be judged: {'; '.join(lines)}")
        shared = common(places(histories[0]), places(histories[1]))
        self._clean[plan.digest] = Clean(tuple(histories), shared)
        return self._clean[plan.digest]

    def _end(self, why: str) -> None:
        self.ended = self.ended or why
        self._stop = True

    async def _clean_for(self, bench: Bench, plan: Plan) -> tuple[History, ...]:
        """Return clean runs of a plan's drives; those of a saved plan with drives of its own are run now."""
        bare = plan.without_faults()
        learned = self._clean.get(bare.digest) or await self._learn(bench, bare)
        if isinstance(learned, Unfit):
            raise MisstepError(learned.why)
        return learned.histories

    # -- what to try

    def _agenda(self, plans: Iterable[Plan]) -> Agenda:
        found: list[tuple[Plan, list[Candidate]]] = []
        for plan in plans:
            drivers = [self.choreography.drivers[drive.driver] for drive in plan.drives]
            all_ = candidates(self._clean[plan.digest].places, self.choreography, drivers)
            found.append((plan, [candidate for candidate in all_ if self.wish.only.allows(candidate)]))
        agenda = singles(found, self.choreography)
        if not agenda.items:
            self._end("there is nothing to try: the clean runs showed no delivery or publish that --only allows")
        return agenda

    async def _replay(self) -> list[Item]:
        """Try first what failed before; what fails no more is forgotten."""
        if self.wish.saved is None:
            return []
        saved, notes = load(self.wish.saved, self.choreography)
        self.notes += notes
        items: dict[str, Saved] = {}
        for one in saved:
            if self.wish.drives and one.plan.drives not in self.wish.drives:
                continue
            try:
                fit_plan(one.plan, self.choreography)
            except PlanError as error:
                self.notes.append(f"ignored {one.file.name}: {error}")
                continue
            items[one.plan.digest] = one
        replays = [saved_item(one.plan) for one in items.values() if one.plan.faults]
        left = await self._round("plans that failed before", replays) if replays else []
        healed = [trial.plan.digest for trial in self.trials if trial.answer == "valid"]
        forget([items[digest] for digest in healed if digest in items])
        return left

    async def _round(self, what: str, items: Sequence[Item]) -> list[Item]:
        """Try plans on all benches, and return those there was no time for."""
        tried = {trial.plan.digest for trial in self.trials}
        waiting = [item for item in items if item.plan.digest not in tried]
        self.watching.begin(what, len(waiting))
        return await self._each(waiting, self._try, until=self._over)

    async def _each(
        self, work: Sequence[Work], do: Callable[[Bench, Work], Awaitable[None]], *, until: Callable[[], bool]
    ) -> list[Work]:
        """Do work on all benches at once, in order, until it is done or no more is to be begun; return what is left."""
        waiting = list(reversed(work))

        async def labour(bench: Bench) -> None:
            while waiting and not until():
                await do(bench, waiting.pop())

        try:
            async with asyncio.TaskGroup() as group:
                for bench in self.benches:
                    group.create_task(labour(bench))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # so that a caller can tell what it is
        return list(reversed(waiting))

    def _over(self) -> bool:
        late = self.wish.seconds is not None and self.clock() - self.began >= self.wish.seconds
        return self._stop or late

    # -- one plan

    async def _try(self, bench: Bench, item: Item) -> None:
        """Try one plan; an error of the stage leaves it unknown, and several in a row end the search."""
        self.watching.trying(" and ".join(str(part.fault) for part in item.parts))
        began = self.clock()
        trial = Trial(plan=item.plan, answer="unknown", kind=item.kind, service=item.service)
        try:
            run = await self._run(bench, item.plan)
            trial = replace(
                trial,
                answer=answer_of(run, strict=self.wish.strict),
                why=reason(run, strict=self.wish.strict),
                seconds=self.clock() - began,
            )
            self._errors = 0
            if trial.answer == "invalid":
                async with self._one_failure:
                    trial = await self._failed(bench, run, trial)
        except MisstepError as error:
            once = f"failed once ({trial.why}), and then " if trial.answer == "invalid" else ""
            trial = replace(
                trial, answer="unknown", why=f"{once}could not be run: {error}", seconds=self.clock() - began
            )
            self._errors += 1
            if self._errors >= MOST_ERRORS:
                self._stop = True
                self.notes.append(f"ended early: {MOST_ERRORS} plans in a row could not be run")
        self.trials.append(trial)
        self.watching.tried(trial)

    async def _run(self, bench: Bench, plan: Plan) -> Run:
        """Run a plan warm; what that leaves open is run once more, fresh."""
        clean = await self._clean_for(bench, plan)
        run = await bench.run(plan, clean=clean)
        if answer_of(run, strict=self.wish.strict) in ("unknown", "vacuous"):
            run = await bench.run(plan, clean=clean, fresh=True)
        self._seen[plan.digest] = self._keys(run)
        return run

    def _keys(self, run: Run) -> frozenset[str]:
        """Return the keys of what makes a run invalid; none where it is not."""
        if answer_of(run, strict=self.wish.strict) != "invalid":
            return frozenset()
        return keys(run.verdicts, strict=self.wish.strict)

    async def _failed(self, bench: Bench, run: Run, trial: Trial) -> Trial:
        """Settle what a failing plan is: the same as an earlier one, flaky, or a failure of its own."""
        seen = self._keys(run)
        for digest, known in self._failing.items():
            if marks(seen, run.plan) & known:
                return replace(trial, same_as=digest)

        async def fresh(plan: Plan) -> Run:
            return await bench.run(plan, clean=await self._clean_for(bench, plan), fresh=True)

        self.watching.trying(f"{trial.plan.faults[0]} once more, fresh")
        sure = await confirm(run.plan, seen, fresh, k=self.wish.k, n=self.wish.n, strict=self.wish.strict)
        if not sure.confirmed or sure.run is None:
            answer: TrialAnswer = "flaky"
            return replace(trial, answer=answer, why=f"failed {sure.failed} of {sure.of} fresh runs: {trial.why}")
        failure = await self._small(fresh, sure.run, seen)
        failure = replace(failure, failed=sure.failed, of=sure.of)
        if self.wish.saved is not None:
            failure = replace(failure, file=str(save(failure, self.choreography, self.wish.saved)))
        self.failures.append(failure)
        self._failing[failure.plan.digest] = marks(seen, run.plan) | marks(self._keys(failure.run), failure.plan)
        self._stop = self._stop or self.wish.fail_fast
        return trial

    async def _small(self, fresh: Callable[[Plan], Awaitable[Run]], run: Run, seen: frozenset[str]) -> Failure:
        """Make a failing plan as small as it gets while there is time."""
        runs = {run.plan.digest: run}

        async def fails(plan: Plan) -> bool:
            if self._over():
                return False
            self.watching.trying(f"a smaller plan: {' and '.join(map(str, plan.faults))}")
            runs[plan.digest] = await fresh(plan)
            return bool(self._keys(runs[plan.digest]) & seen)

        known = {digest: bool(found & seen) for digest, found in self._seen.items() if digest in runs or not found}
        shrunk = await shrink(run.plan, fails, known=known)
        return Failure(
            plan=shrunk.plan, found=run.plan, run=runs[shrunk.plan.digest], failed=0, of=0, shrinks=shrunk.tried
        )


def marks(seen: frozenset[str], plan: Plan) -> frozenset[str]:
    """Return what a failure is known again by: its findings, and which checker finds fault with which faults.

    The same fault that one checker objects to in two sagas is one failure, though the sagas end differently.
    """
    faults = " and ".join(map(str, plan.faults))
    return seen | {f"{key.partition(':')[0]} under {faults}" for key in seen}


def called(plan: Plan) -> str:
    """Return what a plan's drives are called in messages."""
    return " and ".join(drive.driver for drive in plan.drives)


def saved_item(plan: Plan) -> Item:
    """Return a saved plan as one to be tried."""
    parts = tuple(Candidate(fault=fault, tier=-1, service=fault.at.service) for fault in plan.faults)
    return Item(plan=plan, parts=parts)
