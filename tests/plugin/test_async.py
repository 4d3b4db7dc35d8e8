"""A test asks for a stage, and needs no marker to be run: whatever runs async tests in its project."""

from __future__ import annotations

import pytest

from .conftest import Project

pytest_plugins = ["pytester"]

TESTS = """
@pytest.fixture
def order(stage):
    return stage.drive("order")


async def test_by_itself(stage):
    saga = await stage.drive("order", amount=5)
    assert (await saga.settled()).completed
    assert saga.events == ("order.placed", "order.paid", "order.shipped")
    charged = await stage.query("payments", "select amount from charges where order_id = ?", saga.correlation)
    assert charged == [(5,)]


async def test_by_a_fixture(order):
    assert (await (await order).settled()).completed


@pytest.mark.parametrize("amount", [1, 2])
async def test_with_parameters(stage, amount):
    await (await stage.drive("order", amount=amount)).settled()


class TestInAClass:
    async def test_method(self, stage):
        await (await stage.drive("order")).settled()


async def test_both_faces(stage, blocking_stage):
    saga = await stage.drive("order")
    blocking_stage.drive("order").settled()
    assert saga.completed
    assert len({entry.saga for entry in stage.history if hasattr(entry, "saga")} - {0}) == 2


def test_that_blocks(blocking_stage):
    saga = blocking_stage.drive("order")
    time.sleep(0.1)  # the wire does not mind
    assert saga.settled(within=10).completed
"""

PASSED = {
    "test_by_itself",
    "test_by_a_fixture",
    "test_with_parameters[1]",
    "test_with_parameters[2]",
    "TestInAClass::test_method",
    "test_both_faces",
    "test_that_blocks",
}


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_stage_needs_no_marker(project: Project, mode: str) -> None:
    project.test(TESTS)
    done = project.pytest("-o", f"asyncio_mode={mode}")
    assert done.outcomes == dict.fromkeys(PASSED, "passed"), done.output


def test_beside_anyio(project: Project) -> None:
    project.test(
        """
@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_of_anyio(stage):
    import anyio

    async with anyio.create_task_group() as group:
        group.start_soon(stage.drive, "order")
    await stage.quiet()


async def test_of_asyncio(stage):
    await (await stage.drive("order")).settled()
"""
    )
    done = project.pytest()
    assert done.outcomes == {"test_of_anyio": "passed", "test_of_asyncio": "passed"}, done.output
    done = project.pytest("-o", "anyio_mode=auto", "-p", "no:asyncio", "-c", str(bare(project)))
    assert done.outcomes == {"test_of_anyio": "passed", "test_of_asyncio": "passed"}, done.output


def test_a_stage_of_the_project_is_its_own(project: Project) -> None:
    project.test(
        """
@pytest.fixture
def stage():
    return "theirs"


def test_sync(stage):
    assert stage == "theirs"


async def test_async(stage):
    raise AssertionError("nobody marked it")
"""
    )
    done = project.pytest("-W", "ignore")
    assert done.outcomes["test_sync"] == "passed"
    assert "async def functions are not natively supported" in done.tests["test_async"].text


def test_wrong_use_is_told_with_what_is_right(project: Project) -> None:
    project.test(
        """
def test_sync(stage): ...


async def test_with_no_runner(stage): ...


def test_on_another_loop(misstep_trial):
    misstep_trial.handle.drive("order").send(None)
"""
    )
    done = project.pytest("-p", "no:asyncio", "-c", str(bare(project)))
    assert "async def test_sync(stage)" in done.tests["test_sync"].text
    assert "def test_sync(blocking_stage)" in done.tests["test_sync"].text
    assert "-p no:asyncio" in done.tests["test_with_no_runner"].text
    assert "def anyio_backend()" in done.tests["test_on_another_loop"].text


def test_errors_stand_in_the_line_of_the_test(project: Project) -> None:
    project.test(
        """
async def test_driver(stage):
    await stage.drive("ordr")


def test_service(blocking_stage):
    blocking_stage.kill("paiment")


async def test_store(stage):
    await stage.query("charges", "select 1")
"""
    )
    done = project.pytest()
    assert set(done.outcomes.values()) == {"failed"}
    assert "there is no driver 'ordr'; drivers: order" in done.tests["test_driver"].text
    assert "there is no service 'paiment'; services: payment, shipping" in done.tests["test_service"].text
    assert "there is no store 'charges'; stores: payments, parcels" in done.tests["test_store"].text
    assert not any("handles.py" in told.text for told in done.tests.values())


def bare(project: Project) -> object:
    """Return a configuration without the settings of pytest-asyncio."""
    file = project.folder / "bare.ini"
    file.write_text("[pytest]\nfilterwarnings = error\n")
    return file
