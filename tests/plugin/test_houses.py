"""What the plugin stands on, without pytest: brokers that are shared or not, and work that nobody awaits in vain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from misstep.chaos import broker
from misstep.chaos.faults.arm import arm
from misstep.harness.choreography.file import load
from misstep.harness.errors import StageError
from misstep.harness.stage.loop import StageLoop
from misstep.harness.testing import Houses, SharedBroker, Trial

SHOP = Path(__file__).with_name("shop")


def port(trial: Trial) -> int:
    """Return the port of the broker that a trial's stage stands on."""
    return trial.performance.stage.means.space.endpoint.port


def test_a_fault_of_the_broker_gets_one_that_nobody_shares() -> None:
    choreography = load(SHOP)
    shared = SharedBroker()
    try:
        with Houses("local", shared_broker=shared.address, label="one") as houses:
            with houses.trial(choreography) as plain:
                assert f":{port(plain)}/" in shared.address
                saga = plain.blocking.drive("order")
                assert saga.settled().completed
                assert plain.conclude(strict=False) == ""
            with houses.trial(choreography, [broker.crash(at="quiet")], arm) as crashing:
                assert f":{port(crashing)}/" not in shared.address
    finally:
        shared.close()


def test_what_hangs_is_given_up() -> None:
    with StageLoop() as loop:
        hanging = asyncio.Event()
        with pytest.raises(StageError, match=r"Event\.wait was given up after 0\.05 s: the stage hangs"):
            loop.call(hanging.wait(), 0.05)
        assert loop.call(asyncio.sleep(0, "and the loop goes on"), 10) == "and the loop goes on"
