"""Every planted bug is found by its checkers, by what brings it out and not without; every cure is clean."""

from __future__ import annotations

import pytest
from misstep.chaos.faults.arm import arm
from misstep.harness.runner import Run, run
from misstep.harness.stage.house import House

from .planted import SERVICES, Kind, Planted
from .table import TABLE

EACH = pytest.mark.parametrize(
    ("planted", "kind"),
    [pytest.param(planted, kind, id=f"{planted}-{kind}") for planted in TABLE for kind in planted.stages],
)


@pytest.mark.asyncio
@EACH
async def test_the_bug_is_found_by_its_checkers(planted: Planted, kind: Kind, broker: str) -> None:
    """Each run has a stage of its own, so nothing but what brings the bug out is to blame."""
    async with House.open(kind, planted.choreography("buggy"), shared_broker=broker) as house:
        async with house.stage() as stage:
            clean = await run(stage, planted.clean, arm=arm)
        async with house.stage() as stage:
            disturbed = await run(stage, planted.plan, arm=arm, clean=(clean.history,))
    if not planted.shows_clean:
        assert clean.answer == "valid", shown(clean)
    assert disturbed.answer == "invalid", shown(disturbed)
    assert set(planted.oracles) <= {v.checker for v in disturbed.verdicts if v.answer == "invalid"}, shown(disturbed)


@pytest.mark.asyncio
@EACH
async def test_the_cure_is_clean(planted: Planted, kind: Kind, broker: str) -> None:
    """Both runs are on one stage, as a search has them: what an earlier run left must not be held against a later."""
    async with (
        House.open(kind, planted.choreography("correct"), shared_broker=broker) as house,
        house.stage() as stage,
    ):
        clean = await run(stage, planted.clean, arm=arm)
        disturbed = await run(stage, planted.plan, arm=arm, clean=(clean.history,))
    assert clean.answer == "valid", shown(clean)
    assert disturbed.answer == "valid", shown(disturbed)


def test_every_program_has_its_row() -> None:
    programs = {path.stem for path in SERVICES.glob("b*")}
    assert programs == {f"b{planted.number:02}_{planted.slug}" for planted in TABLE}


def shown(judged: Run) -> str:
    """Say what the checkers answered, for a failure's message."""
    lines = [f"{judged.answer}: {'; '.join(map(str, judged.plan.faults)) or 'no fault'}"]
    for verdict in judged.verdicts:
        lines.append(f"  {verdict.checker}: {verdict.answer} {verdict.reason.partition(chr(10))[0]}")
        lines += [f"    {finding.text}" for finding in verdict.findings]
    return "\n".join(lines)
