"""``misstep replay``: run one saved plan again, fresh."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from misstep.harness.commands.choose import chosen, stage_option
from misstep.harness.exit_status import STATUS, UNKNOWN

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography
    from misstep.harness.plan import Plan
    from misstep.harness.runner import Run
    from misstep.harness.stage.house import Kind


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("where", default="", metavar="[CHOREOGRAPHY]")
@stage_option
@click.option("--strict", is_flag=True, help="Count warnings as failures.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def replay(file: Path, where: str, kind: Kind, strict: bool, as_json: bool) -> int:
    """Run the plan in FILE again, fresh, and judge it.

    CHOREOGRAPHY is the one that the plan was saved beside, unless another is named.

    Exit status: 0 valid, 1 invalid, 2 unknown or flaky, 3 usage, 4 an error of our own, 130 interrupted.
    """
    from misstep.chaos.explorer.outcome import answer_of, plain_findings, plain_plan
    from misstep.chaos.explorer.store import read, source_of
    from misstep.chaos.faults.arm import fit_plan
    from rich.console import Console

    plan = read(file)
    choreography = chosen(where or str(source_of(file)))
    fit_plan(plan, choreography)
    run = asyncio.run(again(choreography, kind, plan, strict))
    answer = answer_of(run, strict=strict)
    if as_json:
        result = {"plan": plain_plan(plan), "answer": answer, "findings": plain_findings(run.verdicts)}
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        from misstep.chaos.report import say, show_run

        console = Console()
        show_run(console, run, choreography)
        say(console, f"{choreography.name} on {run.stage}: {answer}", "bold")
    return STATUS.get(answer, UNKNOWN)


async def again(choreography: Choreography, kind: Kind, plan: Plan, strict: bool) -> Run:
    """Run a plan's drives clean, to compare with, and then the plan, fresh."""
    from misstep.chaos.explorer.bench import HouseBench
    from misstep.chaos.explorer.outcome import answer_of
    from misstep.harness.stage.house import House

    async with House.open(kind, choreography) as house:
        bench = HouseBench(house, strict=strict)
        try:
            clean = await bench.run(plan.without_faults(), fresh=True)
            if answer_of(clean, strict=strict) != "valid" or not plan.faults:
                return clean
            return await bench.run(plan, clean=(clean.history,), fresh=True)
        finally:
            await bench.close()
