"""A test that passed by itself is judged; what fails it is told with the plan, the evidence, how to see it again."""

from __future__ import annotations

import json

from misstep.harness.plan import Plan

from .conftest import Project

pytest_plugins = ["pytester"]

REDELIVERY = 'delivery.redeliver("order.placed", to="payment")'

SURVIVES = f"""
@pytest.mark.chaos({REDELIVERY})
async def test_redelivery(stage):
    saga = await stage.drive("order", amount=7)
    assert (await saga.settled()).completed


@pytest.mark.chaos(process.crash("shipping", at="ack", of="order.paid"))
def test_crash(blocking_stage):
    blocking_stage.drive("order").settled()
"""

OTHERS = """
async def test_own_assertion(stage):
    saga = await stage.drive("order")
    await saga.settled()
    assert saga.compensated


@pytest.mark.chaos(delivery.redeliver("order.placed", to="shipping"))
async def test_never_fired(stage):
    await (await stage.drive("order")).settled()


async def test_no_drive(stage): ...


def test_by_hand(blocking_stage):
    blocking_stage.kill("shipping")
    saga = blocking_stage.drive("order")
    blocking_stage.start("shipping")
    assert saga.settled().completed


def test_left_down(blocking_stage):
    blocking_stage.stop("shipping")
    blocking_stage.drive("order")


def test_skipped_on_stage(blocking_stage):
    blocking_stage.drive("order")
    pytest.skip("not now")


@pytest.mark.xfail
async def test_expected(stage):
    await stage.drive("order")
    raise AssertionError("known")
"""

MISUSED = """
@pytest.mark.chaos("payment")
async def test_no_fault(stage): ...


@pytest.mark.chaos()
async def test_nothing(stage): ...


@pytest.mark.chaos(delivery.redeliver("order.placed", to="paiment"))
async def test_no_service(stage): ...


@pytest.mark.explore(fault=2)
async def test_no_option(stage): ...


@pytest.mark.explore(faults=3)
async def test_too_many(stage): ...


@pytest.mark.explore
@pytest.mark.chaos(delivery.redeliver("order.placed", to="payment"))
async def test_both(stage): ...
"""


def test_faults_are_survived_or_the_report_says_all(project: Project) -> None:
    project.test(SURVIVES)
    done = project.pytest()
    assert done.outcomes == {"test_redelivery": "passed", "test_crash": "passed"}, done.output
    kept = project.folder / ".misstep" / "failures"
    assert not kept.exists()

    project.naive()
    done = project.pytest("-k", "redelivery")
    failed = done.tests["test_redelivery"]
    assert failed.outcome == "failed"
    assert failed.text.startswith("shop: invalid on embedded")
    assert "saga 1: order(amount=7)\nfault 1: delivery.redeliver at ack of order.placed by payment" in failed.text
    assert "effects    invalid" in failed.text
    assert "happened 2 times" in failed.text
    assert "timeline of saga 1\n" in failed.text
    assert "parity     not asked: declare" in failed.text
    assert "[probes.NAME]" in failed.text
    (file,) = kept.iterdir()
    assert f"again: misstep replay .misstep/failures/{file.name}" in failed.text
    saved = json.loads(file.read_text())
    assert Plan.from_json(json.dumps(saved["plan"])).faults[0].kind == "delivery.redeliver"

    again = project.misstep("replay", f".misstep/failures/{file.name}")
    assert again.ret == 1, again.outlines
    assert "invalid" in again.outlines[-1]

    project.edit("choreography.toml", "payment naive", "payment correct")
    assert project.pytest("-k", "redelivery").outcomes == {"test_redelivery": "passed"}
    assert not file.exists(), "a plan that passes is kept no longer"


def test_each_outcome_says_what_it_must(project: Project) -> None:
    project.test(OTHERS)
    done = project.pytest()
    assert done.outcomes == {
        "test_own_assertion": "failed",
        "test_never_fired": "failed",
        "test_no_drive": "failed",
        "test_by_hand": "passed",
        "test_left_down": "failed",
        "test_skipped_on_stage": "skipped",
        "test_expected": "skipped",
    }, done.output
    own = done.tests["test_own_assertion"]
    assert "assert saga.compensated" in own.text
    assert "timeline of saga 1" in own.sections["misstep: what happened"]
    never = done.tests["test_never_fired"].text
    assert never.startswith("shop: unknown on embedded, and what is not known to be valid does not pass")
    assert "vacuity    unknown: fault 1 never fired" in never
    assert "again: misstep replay .misstep/unknown/" in never
    assert "no driver was run" in done.tests["test_no_drive"].text
    assert "await stage.drive(NAME)" in done.tests["test_no_drive"].text
    assert "which stopped shipping by its own hands" in done.tests["test_left_down"].text
    assert not (project.folder / ".misstep" / "failures").exists(), (
        "what is unknown is no failure to begin a search with"
    )


def test_a_marker_that_is_wrong_is_told_before_anything_runs(project: Project) -> None:
    project.test(MISUSED)
    done = project.pytest()
    assert set(done.outcomes.values()) == {"error"}, done.output
    assert "chaos('payment'): expected a fault" in done.tests["test_no_fault"].text
    assert "chaos() names no fault" in done.tests["test_nothing"].text
    assert "names service 'paiment'; did you mean 'payment'?" in done.tests["test_no_service"].text
    assert "explore has no option 'fault': its options are faults, seconds, only" in done.tests["test_no_option"].text
    assert "explore(faults=3): expected 1 or 2" in done.tests["test_too_many"].text
    assert "mark it with one of them" in done.tests["test_both"].text


def test_faults_are_judged_only_beside_a_clean_run_that_is_valid(project: Project) -> None:
    """The charge happens for a sum that payment never heard of: the drives themselves are red."""
    project.edit("choreography.toml", "times = 1", "times = 2")
    project.test(SURVIVES)
    done = project.pytest("-k", "redelivery")
    text = done.tests["test_redelivery"].text
    assert text.startswith("the same drives are invalid without any fault, so no fault can be judged by this test")
    assert "saga 1: order(amount=7)" in text
    assert "with what the test does: shop: " in text


def test_a_choreography_that_is_wrong_and_one_that_is_not_there(project: Project) -> None:
    project.edit("choreography.toml", "[quiet]", "[quite]")
    project.test("def test_it(blocking_stage): ...")
    text = project.pytest().tests["test_it"].text
    assert "did you mean" in text
    assert "Traceback" not in text
    (project.folder / "choreography.toml").unlink()
    assert "misstep init" in project.pytest().tests["test_it"].text


def test_a_service_that_never_starts_is_named(project: Project) -> None:
    project.edit("shop.py", "db = sqlite3", 'print("no database today")\nsys.exit(3)\ndb = sqlite3')
    project.test("def test_it(blocking_stage): ...")
    told = project.pytest().tests["test_it"]
    assert told.outcome == "error"
    assert "ended before it was ready" in told.text
    assert told.text.count("no database today") == 1, "once, without a chain of what led to it"
    assert "harness/" not in told.text
