"""Waits until a run is quiet: gathers the facts of each moment; :mod:`misstep.harness.quiescence` judges them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from misstep.harness.errors import StoreFailed
from misstep.harness.history import entries
from misstep.harness.history.consuming import bereft, consumers_at_end, consumers_at_start
from misstep.harness.history.ending import saga_runs
from misstep.harness.history.history import History
from misstep.harness.quiescence import Moving, Silence, Stillness, judge, learn
from misstep.harness.stage.stage import Stage

BRIEFLY: Final = 0.01
"""Seconds between two looks while something moves."""
LONGEST: Final = 0.1
"""Seconds between two looks at the most, whatever silence is still asked for."""


class Watch:
    """Watches one run for silence.

    Args:
        stage: Where.
        clean: Histories of fault-free runs, to learn from how long services fall silent.
        pending: Says what the run itself still has to do, a line each.
    """

    def __init__(self, stage: Stage, clean: Sequence[History], pending: Callable[[], list[str]]) -> None:
        rules = stage.choreography.quiet
        self._stage = stage
        self._pending = pending
        self._healed = True
        self._back = False
        self._clean = [consumers_at_end(history) for history in clean]
        self._silence = learn(clean if rules.learn else (), default=rules.silence)

    @property
    def silence(self) -> Silence:
        """How long silence must last."""
        return self._silence

    async def wait(self, within: float | None = None, *, healed: bool = True, back: bool = False) -> entries.Quiet:
        """Wait until nothing is left to happen, or the deadline.

        Args:
            within: Seconds; the choreography's own ``quiet.within`` where None.
            healed: Whether every fault has healed. Until then a saga that has not ended may be waiting for just
                that, so it is given no time of its own; it is, once all has healed.
            back: Whether to wait, too, until every service that faults may have cut off consumes again.
        """
        self._healed, self._back = healed, back
        stage = self._stage
        deadline = stage.now() + (stage.choreography.quiet.within if within is None else within)
        while True:
            seen = await self._look(deadline)
            if seen.quiet or stage.now() >= deadline:
                return await self._entry(seen)
            await asyncio.sleep(min(max(seen.wait, BRIEFLY), LONGEST, max(0.0, deadline - stage.now())))

    async def _look(self, deadline: float) -> Stillness:
        """Look at the links first, which costs nothing; ask broker and stores only when these are still."""
        stage = self._stage
        pending = (*self._pending(), *self._own())
        cheap = self._moving(deadline, pending)
        seen = judge(cheap, self._silence)
        if seen.moving or seen.wait:
            return seen
        queues = await stage.means.space.queues(stage.queues())
        outboxes, unread = await self._outboxes()
        full = self._moving(deadline, (*pending, *unread), queues=queues, outboxes=outboxes)
        return judge(full, self._silence)

    def _moving(self, deadline: float, pending: tuple[str, ...], **more: object) -> Moving:
        stage = self._stage
        facts = {"queues": (), **more}
        return Moving(
            now=stage.now(),
            deadline=deadline,
            wire=stage.recorder.wire,
            able=stage.able(),
            pending=pending,
            open_sagas=self._open_sagas(),
            **facts,  # type: ignore[arg-type]
        )

    def _own(self) -> list[str]:
        """Say what the stage itself has pending."""
        stage = self._stage
        calls = stage.stub.in_flight
        lines = [f"{calls} calls of externals"] if calls else []
        lines += [f"service {name} is starting" for name in sorted(stage.starting)]
        return lines + self._bereft()

    def _bereft(self) -> list[str]:
        """Say which services could consume, and have not begun to again."""
        if not self._back:
            return []
        stage = self._stage
        now = {name: stage.recorder.wire.consumer_count(name) for name in stage.services}
        able = stage.able()
        return [line for name, line in bereft(consumers_at_start(stage.history), now, self._clean) if name in able]

    def _open_sagas(self) -> int:
        stage = self._stage
        if not stage.choreography.sagas or not self._healed:
            return 0
        runs = saga_runs(stage.choreography, stage.history)
        return sum(1 for run in runs if run.outcome in ("open", "absent"))

    async def _outboxes(self) -> tuple[dict[str, int], list[str]]:
        """Count the outboxes of who can act; say which could not be counted, and count as moving, as nobody knows."""
        stage = self._stage
        counted: dict[str, int] = {}
        unread: list[str] = []
        for name, sql in stage.choreography.quiet.outboxes.items():
            if not stage.users(name) & stage.able():
                continue
            try:
                rows = (await stage.means.stores[name].query(sql)).rows
                counted[name] = int(rows[0][0] or 0) if rows and rows[0] else 0
            except (StoreFailed, ValueError, TypeError) as error:
                unread.append(f"quiet.outboxes.{name} ({error}) could not be counted")
        return counted, unread

    async def _entry(self, seen: Stillness) -> entries.Quiet:
        stage = self._stage
        queues = await stage.means.space.queues(stage.queues())
        return entries.Quiet(
            at=stage.now(),
            quiet=seen.quiet,
            moving=seen.moving,
            waited=seen.asked,
            queues={state.name: state.ready for state in queues if state.ready},
        )
