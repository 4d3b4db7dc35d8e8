"""Events that the harness publishes itself: by AMQP's own names, told apart as a service's are, and never unnoticed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.chaos.faults.arm import arm
from misstep.harness.choreography.words import EventRules, Selector
from misstep.harness.errors import BrokerFailed
from misstep.harness.history import entries
from misstep.harness.runner import run
from misstep.harness.stage.house import House

from .test_stage import DRIVE, choreography


@pytest.mark.asyncio
async def test_an_event_may_keep_its_type_in_the_property_of_that_name() -> None:
    declared = choreography()
    job = replace(declared.drivers["job"], properties={"type": "job", "correlation_id": "{correlation}"})
    rules = EventRules(type=Selector("property", "type"), correlation=Selector("property", "correlation_id"))
    declared = replace(declared, drivers={"job": job}, events=rules)
    async with House.open("embedded", declared) as house, house.stage() as stage:
        done = await run(stage, DRIVE, arm=arm)
    (given,) = done.history.of(entries.Delivered)
    assert (given.message, given.event) == ("1:job", "job")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["message_type", "colour"])
async def test_a_property_that_amqp_does_not_have_is_refused_with_those_it_has(name: str) -> None:
    async with House.open("embedded", choreography()) as house, house.stage() as stage:
        with pytest.raises(BrokerFailed, match=rf"no property '{name}'; it has app_id, .*, type, "):
            await stage.means.space.publish("", "job", b"", headers={}, properties={name: "x"})


@pytest.mark.asyncio
async def test_an_event_that_no_queue_takes_is_no_silent_success() -> None:
    declared = choreography()
    job = replace(declared.drivers["job"], publish="jab")
    async with House.open("embedded", replace(declared, drivers={"job": job})) as house, house.stage() as stage:
        done = await run(stage, DRIVE, arm=arm)
    (drove,) = done.history.of(entries.Drove)
    assert drove.result == "unknown"
    assert "no queue is bound" in drove.detail
    assert done.answer != "valid"
