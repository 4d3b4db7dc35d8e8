"""Whether a failure is one: it must fail again, fresh, in the same way, so often of so many times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from misstep.chaos.explorer.outcome import answer_of, keys
from misstep.harness.plan import Plan
from misstep.harness.runner import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What fresh runs of a failing plan said.

    Attributes:
        failed, of: How many of how many fresh runs failed in the same way.
        run: The last one that did; None where none did.
        confirmed: Whether enough of them failed.
    """

    failed: int
    of: int
    run: Run | None
    confirmed: bool


async def confirm(
    plan: Plan,
    seen: frozenset[str],
    run_fresh: Callable[[Plan], Awaitable[Run]],
    *,
    k: int = 2,
    n: int = 2,
    strict: bool = False,
) -> Confirmation:
    """Run a failing plan fresh until it is known whether it fails ``k`` of ``n`` times.

    Args:
        plan: The plan.
        seen: The keys of its findings; a run that fails in another way is no confirmation.
        run_fresh: Runs a plan with new processes and stores.
        k: How often it must fail.
        n: How often it is run at most.
        strict: Whether warnings count.
    """
    failed, last = 0, None
    for times in range(1, n + 1):
        run = await run_fresh(plan)
        if answer_of(run, strict=strict) == "invalid" and seen & keys(run.verdicts, strict=strict):
            failed, last = failed + 1, run
        if failed >= k or failed + n - times < k:
            return Confirmation(failed=failed, of=times, run=last, confirmed=failed >= k)
    return Confirmation(failed=failed, of=n, run=last, confirmed=False)
