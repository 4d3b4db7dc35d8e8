"""``misstep inspect``: one clean run of every driver, and what can be seen in it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click
from misstep.harness.commands.choose import choreography_argument, chosen, stage_option
from misstep.harness.exit_status import STATUS

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography
    from misstep.harness.runner import Run


@click.command()
@choreography_argument
@stage_option
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of generated data.")
@click.option("--only", "only", multiple=True, metavar="DRIVER", help="Run this driver alone; may be given again.")
@click.option("--strict", is_flag=True, help="Let warnings count.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(where: str, kind: str, seed: int, only: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Run every driver once, without faults: topology, timelines, wire lint, events that nobody handles."""
    choreography = chosen(where)
    unknown = sorted(set(only) - set(choreography.drivers))
    if unknown:
        raise click.UsageError(f"there is no driver {unknown[0]!r}; drivers: {', '.join(choreography.drivers)}")
    runs = asyncio.run(_runs(choreography, kind, seed, only or tuple(choreography.drivers), strict))
    answers = [run.answer for run in runs]
    answer = "invalid" if "invalid" in answers else "valid" if answers and set(answers) == {"valid"} else "unknown"
    click.echo(json.dumps(_plain(runs, answer), indent=2) if as_json else _text(choreography, runs, answer))
    return STATUS[answer]


async def _runs(choreography: Choreography, kind: Any, seed: int, drivers: tuple[str, ...], strict: bool) -> list[Run]:
    from misstep.harness.disturbance import arm_nothing
    from misstep.harness.plan import Drive, Plan
    from misstep.harness.runner import run
    from misstep.harness.stage.house import House
    from misstep.harness.stage.warm import WarmStage

    async with House.open(kind, choreography) as house:
        warm = WarmStage(house)
        try:
            plans = [Plan(drives=(Drive(driver=driver),), seed=seed) for driver in drivers]
            return [await run(await warm.get(), plan, arm=arm_nothing, strict=strict) for plan in plans]
        finally:
            await warm.close()


def _text(choreography: Choreography, runs: list[Run], answer: str) -> str:
    from misstep.harness.history.timeline import timeline
    from misstep.harness.report.failure import verdict_lines
    from misstep.harness.report.topology import topology_lines

    parts = [f"{choreography.name}: {answer}"]
    if runs:
        parts.append("topology\n" + "\n".join(f"  {line}" for line in topology_lines([run.history for run in runs])))
    for run in runs:
        parts.append(f"{run.plan.drives[0].driver}: {run.answer}\n{timeline(run.history, 1)}")
        parts.append("\n".join(verdict_lines(run.verdicts)))
    return "\n\n".join(parts)


def _plain(runs: list[Run], answer: str) -> dict[str, Any]:
    import msgspec
    from misstep.harness.report.topology import topology_lines

    return {
        "answer": answer,
        "topology": list(topology_lines([run.history for run in runs])),
        "runs": [
            {
                "driver": run.plan.drives[0].driver,
                "answer": run.answer,
                "seconds": run.seconds,
                "verdicts": msgspec.to_builtins(run.verdicts),
                "history": [json.loads(line) for line in run.history.to_lines()],
            }
            for run in runs
        ],
    }
