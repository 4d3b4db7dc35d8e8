"""A stage: set up whole or not at all, every link in our hands, warm or fresh, never silent about what went wrong."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from misstep.chaos import delivery, process
from misstep.chaos.faults.arm import arm
from misstep.chaos.faults.calm import Calm
from misstep.harness.choreography.words import (
    Choreography,
    Driver,
    Effect,
    EventRules,
    QuietRules,
    Ready,
    Saga,
    Selector,
    Service,
    Store,
)
from misstep.harness.disturbance import Disturbance, Ground, Tell
from misstep.harness.errors import DriverFailed, PlanError, ServiceFailed, StoreFailed
from misstep.harness.history import entries
from misstep.harness.plan import Drive, Fault, Plan, Site
from misstep.harness.runner import run
from misstep.harness.stage.house import House
from misstep.harness.stage.performance import Performance
from misstep.harness.stage.warm import WarmStage
from misstep.harness.stores.port import Rows

WORKER = Path(__file__).with_name("worker.py")
DRIVE = Plan(drives=(Drive(driver="job"),))


def choreography(how: str = "", *, within: float = 20.0, **env: str) -> Choreography:
    worker = Service(
        name="worker",
        processes={"main": f"{{python}} {WORKER} {how}"},
        env={"RABBITMQ_URL": "{broker.url}", **env},
        ready=Ready(consumers=1, within=within),
    )
    return Choreography(
        name="jobs",
        folder=WORKER.parent,
        services={"worker": worker},
        drivers={
            "job": Driver(name="job", publish="job", json={"n": 1}, properties={"correlation_id": "{correlation}"})
        },
        events=EventRules(correlation=Selector("property", "correlation_id")),
        sagas={"job": Saga(name="job", starts="job", completes=("done",))},
        quiet=QuietRules(silence=0.4),
    )


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    async with House.open("embedded", choreography()) as opened:
        yield opened


@pytest.mark.asyncio
async def test_a_stage_serves_many_runs_and_keeps_them_apart(house: House) -> None:
    async with house.stage() as stage:
        first = await run(stage, DRIVE, arm=arm)
        second = await run(stage, DRIVE, arm=arm, clean=[first.history])
    assert (first.answer, second.answer) == ("valid", "valid")
    assert (first.warm, second.warm) == (False, True)
    keys = [each.history.of(entries.Drove)[0].correlation for each in (first, second)]
    assert keys[0] != keys[1]
    names = [[each.message for each in done.history.of(entries.Published)] for done in (first, second)]
    assert names[0] == names[1] == ["1:job", "1:job/done"]


@pytest.mark.asyncio
async def test_a_run_that_is_not_valid_spoils_its_stage(house: House) -> None:
    warm = WarmStage(house)
    stage = await warm.get()
    never = Fault(kind="delivery.redeliver", at=Site(moment="ack", service="worker", event="nothing"))
    done = await run(stage, replace(DRIVE, faults=(never,)), arm=arm)
    assert done.answer == "unknown", "a fault that never fired proves nothing"
    assert stage.spoilt
    assert await warm.get() is not stage
    await warm.close()


@pytest.mark.asyncio
async def test_a_service_that_ends_between_two_runs_spoils_its_stage(house: House) -> None:
    warm = WarmStage(house)
    stage = await warm.get()
    assert (await run(stage, DRIVE, arm=arm)).answer == "valid"
    (dying,) = stage.services["worker"].processes.values()
    os.kill(dying.pid, signal.SIGKILL)
    await dying.wait()
    async with asyncio.timeout(20):
        while not stage.spoilt:  # noqa: ASYNC110 (nothing is told of it)
            await asyncio.sleep(0)
    assert await warm.get() is not stage, "a run without one of its services may pass for want of anybody to fail"
    await warm.close()


@pytest.mark.asyncio
async def test_a_killed_service_is_back_at_the_end_of_its_run(house: House) -> None:
    async with house.stage() as stage:
        clean = await run(stage, DRIVE, arm=arm)
        fault = process.crash("worker", at="ack", of="job")
        done = await run(stage, replace(DRIVE, faults=(fault,)), arm=arm, clean=[clean.history])
        assert stage.services["worker"].running
    whats = [each.what for each in done.history.of(entries.Process)]
    assert whats[-3:] == ["killed", "started", "ready"]
    assert [each.attempt for each in done.history.of(entries.Delivered)] == [1, 2]


@pytest.mark.asyncio
async def test_a_service_that_ends_by_itself_is_not_brought_back_by_the_healing_of_a_fault() -> None:
    async with House.open("embedded", choreography("fragile")) as house, house.stage() as stage:
        clean = await run(stage, DRIVE, arm=arm)
        fault = process.crash("worker", at="ack", of="job")
        done = await run(stage, replace(DRIVE, faults=(fault,)), arm=arm, clean=[clean.history])
    assert done.answer == "invalid"
    texts = [finding.text for verdict in done.verdicts for finding in verdict.findings]
    assert any("service worker ended by itself" in text for text in texts)


@pytest.mark.asyncio
async def test_a_fault_may_come_to_its_moment_by_another_ones_healing(house: House) -> None:
    async with house.stage() as stage:
        clean = await run(stage, DRIVE, arm=arm)
        faults = (process.stop("worker"), delivery.redeliver("job", to="worker"))
        done = await run(stage, replace(DRIVE, faults=faults), arm=arm, clean=[clean.history])
    fired = {each.number for each in done.history.of(entries.FaultEvent) if each.what == "fired"}
    assert fired == {1, 2}


@pytest.mark.asyncio
async def test_a_driver_that_does_not_exist_is_named_with_those_that_do(house: House) -> None:
    async with house.stage() as stage:
        with pytest.raises(DriverFailed, match="no driver 'jab'; drivers: job"):
            await run(stage, Plan(drives=(Drive(driver="jab"),)), arm=arm)


@pytest.mark.asyncio
async def test_a_fault_on_a_service_that_does_not_exist_is_refused(house: House) -> None:
    async with house.stage() as stage:
        with pytest.raises(PlanError, match="wurker"):
            await run(stage, replace(DRIVE, faults=(process.stop("wurker"),)), arm=arm)


async def opening(declared: Choreography) -> None:
    async with House.open("embedded", declared) as house, house.stage():
        pass


@pytest.mark.asyncio
async def test_a_service_that_dies_is_named_with_its_last_words() -> None:
    with pytest.raises(ServiceFailed, match=r"(?s)'worker'.*no licence found"):
        await opening(choreography("dies"))


@pytest.mark.asyncio
async def test_a_service_that_never_consumes_is_named_with_what_was_awaited() -> None:
    with pytest.raises(ServiceFailed, match=r"(?s)'worker' was not ready after 1.5 s.*consumer"):
        await opening(choreography("deaf", within=1.5))


@pytest.mark.asyncio
async def test_what_the_model_refuses_is_said() -> None:
    with pytest.raises(ServiceFailed, match=r"(?is)the broker says: .*tx.*--stage local"):
        await opening(choreography("transacts", within=10.0))


@pytest.mark.asyncio
async def test_a_service_that_bypasses_its_link_is_named() -> None:
    declared = choreography("bypasses", within=3.0, REAL_URL="")
    async with House.open("embedded", declared) as house:
        port = (await house.broker.space("elsewhere")).endpoint.port
        real = f"amqp://guest:guest@127.0.0.1:{port}/elsewhere"
        worker = declared.services["worker"]
        house.choreography = replace(
            declared, services={"worker": replace(worker, env={"REAL_URL": real}, ready=Ready(log="working"))}
        )
        with pytest.raises(ServiceFailed, match=r"(?s)bypass.*'worker' is connected to broker at 127.0.0.1"):
            await house.fresh()


@pytest.mark.asyncio
async def test_stages_of_one_house_do_not_disturb_each_other(house: House) -> None:
    async with house.stage() as one, house.stage() as other:
        done = await asyncio.gather(run(one, DRIVE, arm=arm), run(other, DRIVE, arm=arm))
    assert [each.answer for each in done] == ["valid", "valid"]
    assert all(len(each.history.of(entries.Delivered)) == 1 for each in done)


class Breaks(Calm):
    """A fault that cannot heal: our own mistake, rather than the stage's."""

    async def heal(self) -> None:
        raise KeyError("no such thing")


@pytest.mark.asyncio
async def test_a_run_that_breaks_off_leaves_nothing_behind_and_spoils_its_stage(house: House) -> None:
    warm = WarmStage(house)
    stage = await warm.get()
    faults = (process.stop("worker"), process.pause("worker", at="drive", by=600.0))

    def breaks_first(fault: Fault, ground: Ground, tell: Tell) -> Disturbance:
        return Breaks() if fault is faults[0] else arm(fault, ground, tell)

    with pytest.raises(KeyError, match="no such thing"):
        await run(stage, replace(DRIVE, faults=faults), arm=breaks_first)
    assert stage.interceptors == []
    assert stage.able() == {"worker"}, "the other fault must be healed all the same"
    assert "KeyError" in stage.spoilt
    assert await warm.get() is not stage
    await warm.close()


def with_a_store(**quiet: object) -> Choreography:
    declared = choreography(DB="{stores.db.path}")
    store = Store(name="db", kind="sqlite", target="db.sqlite", schema="create table charges (id)")
    return replace(declared, stores={"db": store}, quiet=replace(declared.quiet, **quiet))  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_an_outbox_that_cannot_be_counted_is_held_against_nobody() -> None:
    declared = with_a_store(within=2.0, outboxes={"db": "select count(*) from nowhere"})
    async with House.open("embedded", declared) as house, house.stage() as stage:
        done = await run(stage, DRIVE, arm=arm)
    assert done.answer == "unknown"
    (reason,) = (verdict.reason for verdict in done.verdicts if verdict.checker == "progress")
    assert "no such table: nowhere" in reason


@pytest.mark.asyncio
async def test_an_effect_of_which_it_is_not_known_what_was_there_before_is_not_counted() -> None:
    effect = Effect(name="charge", store="db", sql="select id, 1 from charges", times={"completed": 0})
    declared = replace(with_a_store(), effects={"charge": effect})
    async with House.open("embedded", declared) as house, house.stage() as stage:
        assert (await run(stage, DRIVE, arm=arm)).answer == "valid"
        store = stage.means.stores["db"]
        answers = [StoreFailed("the store is down"), Rows(("id", "n"), (("of an earlier run", 1),))]

        async def query(sql: str, params: object = ()) -> Rows:
            answer = answers.pop(0)
            if isinstance(answer, StoreFailed):
                raise answer
            return answer

        store.query = query  # type: ignore[method-assign]
        done = await run(stage, DRIVE, arm=arm)
    assert done.answer == "unknown"
    assert "the store is down" in done.history.of(entries.Measured)[0].error


@pytest.mark.asyncio
async def test_a_stage_is_not_quiet_while_a_driver_is_in_flight() -> None:
    declared = choreography()
    slow = Driver(name="slow", command="sleep 30", json={"key": "{correlation}"}, within=1.0)
    async with House.open("embedded", replace(declared, drivers={"slow": slow})) as house, house.stage() as stage:
        performance = Performance(stage, Plan(drives=()), arm)
        await performance.begin()
        driving = asyncio.create_task(performance.drive(Drive(driver="slow")))
        assert not await performance.quiet(within=0.6)
        assert (await driving).outcome == "unknown"
        await performance.end()
    (seen,) = performance.history.of(entries.Quiet)
    assert seen.moving == ("1 drivers in flight",)
