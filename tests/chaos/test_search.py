"""The search, on a model whose runs follow from their plans alone."""

from __future__ import annotations

import itertools
import json

import pytest
from misstep.chaos import delivery, process
from misstep.chaos.explorer.coverage import coverage
from misstep.chaos.explorer.only import sort_words
from misstep.chaos.explorer.search import Search, Wish
from misstep.chaos.explorer.store import load
from misstep.harness.errors import PlanError, StageError
from misstep.harness.plan import Drive, Plan

pytestmark = pytest.mark.asyncio


class Watch:
    """Counts what it is told."""

    def __init__(self):
        self.parts, self.tries, self.done = [], [], 0

    def begin(self, what, total):
        self.parts.append((what, total))

    def trying(self, what):
        self.tries.append(what)

    def tried(self, trial):
        self.done += 1


def breaks_where(kind, service, key="charge"):
    return lambda plan: key if any((f.kind, f.at.service) == (kind, service) for f in plan.faults) else None


@pytest.fixture
def search(choreography):
    async def run(*benches, clock=lambda: 0.0, watch=None, **wish):
        going = Search(choreography, benches, stage="model", wish=Wish(**wish), clock=clock, watching=watch or Watch())
        return await going.run()

    return run


async def test_a_choreography_without_bugs_is_valid(search, model):
    watch = Watch()
    found = await search(model(), watch=watch)
    assert found.exit_status == 0
    assert found.counts == {"valid": len(found.trials)}
    assert found.failures == ()
    assert found.not_tried == ()
    assert found.drivers == ("place_order", "sold_out")
    assert [what for what, _ in watch.parts] == ["clean runs", "plans of one fault"]
    assert watch.done == sum(total for _, total in watch.parts)


async def test_a_bug_is_found_confirmed_and_told_once(search, model):
    bench = model(breaks=breaks_where("delivery.redeliver", "payment"))
    found = await search(bench)
    assert found.exit_status == 1
    (failure,) = found.failures
    assert failure.plan.faults == (delivery.redeliver("order.placed", to="payment"),)
    assert (failure.failed, failure.of) == (2, 2)
    wrong = [trial for trial in found.trials if trial.answer == "invalid"]
    assert [trial.same_as for trial in wrong] == ["", failure.plan.digest]
    assert found.trials[0].answer == "invalid"


async def test_two_different_bugs_are_two_failures(search, model):
    def breaks(plan):
        return breaks_where("delivery.redeliver", "payment", "charge")(plan) or breaks_where(
            "process.crash", "shipping", "parcel"
        )(plan)

    found = await search(model(breaks=breaks))
    assert [failure.plan.faults[0].kind for failure in found.failures] == ["delivery.redeliver", "process.crash"]


async def test_a_crash_is_made_small(search, model):
    def breaks(plan):
        repeats = ("process.crash", "link.cut", "delivery.redeliver")
        return "charge" if any(f.kind in repeats and f.at.event == "order.placed" for f in plan.faults) else None

    found = await search(model(breaks=breaks), only=sort_words(["process.crash"], services=[], events=[], drivers=[]))
    assert found.failures[0].plan.faults == (delivery.redeliver("order.placed", to="payment"),)
    assert found.failures[0].found.faults[0].kind == "process.crash"


async def test_what_fails_only_warm_is_flaky_and_no_pass(search, model):
    bench = model(breaks=breaks_where("delivery.redeliver", "payment"), warm_only=frozenset({"charge"}))
    found = await search(bench)
    assert found.exit_status == 2
    assert found.failures == ()
    assert found.counts["flaky"] == 2
    assert "failed 0 of 1 fresh runs" in found.trials[0].why


async def test_a_fault_that_never_fires_is_vacuous_and_no_pass(search, model):
    bench = model(never=lambda fault: fault.kind == "link.refuse")
    found = await search(bench)
    assert found.exit_status == 2
    vacuous = [trial for trial in found.trials if trial.answer == "vacuous"]
    assert {trial.kind for trial in vacuous} == {"link.refuse"}
    assert vacuous[0].why.startswith("never fired: link.refuse at publish of")
    assert (vacuous[0].plan, True) in bench.asked


async def test_a_red_clean_run_ends_the_search(search, model):
    found = await search(bench := model(breaks=lambda plan: "charge"))
    assert found.exit_status == 1
    assert found.trials == ()
    assert found.ended.startswith("driver place_order is invalid without any fault: effects: charge happened twice")
    assert found.red is not None
    assert len(bench.asked) == 1


async def test_a_clean_run_that_is_not_the_same_twice_ends_the_search(search, model):
    found = await search(model(changing=itertools.count(1)))
    assert found.exit_status == 2
    assert found.trials == ()
    assert "did not do the same twice" in found.ended
    assert "only in the second clean run: order published 2 times extra in saga 1" in found.ended


async def test_no_further_plan_is_begun_when_the_time_is_up(search, model):
    ticks = itertools.count()
    found = await search(model(), clock=lambda: float(next(ticks)), seconds=20)
    assert found.trials
    assert found.not_tried
    assert found.exit_status == 0
    assert {item.plan.digest for item in found.not_tried}.isdisjoint({t.plan.digest for t in found.trials})


async def test_no_time_at_all_is_no_pass(search, model):
    found = await search(model(), seconds=0)
    assert found.trials == ()
    assert found.exit_status == 2


async def test_fail_fast_stops_at_the_first_failure(search, model):
    found = await search(model(breaks=breaks_where("delivery.redeliver", "payment")), fail_fast=True)
    assert len(found.trials) == 1
    assert found.not_tried


async def test_a_plan_that_cannot_be_run_is_unknown_and_the_search_goes_on(search, model):
    bench = model(errors=lambda plan: any(fault.kind == "process.stop" for fault in plan.faults))
    found = await search(bench)
    assert found.exit_status == 2
    assert found.counts["unknown"] == 4
    assert any("could not be run: no stage for" in trial.why for trial in found.trials)


async def test_a_failure_that_could_not_be_confirmed_is_unknown(search, model):
    class NoFresh(model):
        async def run(self, plan, *, clean=(), fresh=False):
            if fresh:
                raise StageError("no stage left")
            return await super().run(plan, clean=clean, fresh=fresh)

    found = await search(NoFresh(breaks=breaks_where("delivery.redeliver", "payment")))
    assert found.failures == ()
    assert found.counts["invalid"] == 0
    assert found.exit_status == 2
    assert found.trials[0].why.startswith("failed once (effects: charge happened twice), and then could not be run: no")


async def test_a_broken_stage_ends_the_search(search, model):
    found = await search(model(errors=lambda plan: bool(plan.faults)))
    assert len(found.trials) == 5
    assert found.notes == ("ended early: 5 plans in a row could not be run",)
    assert found.exit_status == 2


async def test_several_benches_try_the_same_plans(search, model):
    alone, first, second = model(), model(), model()
    one = await search(alone)
    two = await search(first, second)
    assert {trial.plan.digest for trial in two.trials} == {trial.plan.digest for trial in one.trials}
    assert first.asked
    assert second.asked


async def test_only_keeps_to_what_was_asked_for(search, model, choreography):
    words = sort_words(
        ["delivery", "payment", "sold_out"],
        services=choreography.services,
        events=["order.placed"],
        drivers=choreography.drivers,
    )
    found = await search(model(), only=words)
    assert found.drivers == ("sold_out",)
    assert {trial.service for trial in found.trials} == {"payment"}
    assert {trial.kind.partition(".")[0] for trial in found.trials} == {"delivery"}


async def test_what_is_only_tried_on_request_is_tried_on_request(search, model):
    found = await search(model(), only=sort_words(["message.corrupt"], services=[], events=[], drivers=[]))
    assert {trial.kind for trial in found.trials} == {"message.corrupt"}
    assert "message.corrupt" not in {trial.kind for trial in (await search(model())).trials}


async def test_a_word_that_means_nothing_is_refused(choreography):
    with pytest.raises(PlanError, match=r"--only 'paymnt' is no kind of fault.*did you mean 'payment'"):
        sort_words(["paymnt"], services=choreography.services, events=[], drivers=[])


async def test_only_that_leaves_nothing_is_no_pass(search, model):
    words = sort_words(["message.corrupt", "a"], services=["a"], events=[], drivers=[])
    found = await search(model(), only=words)
    assert found.exit_status == 2
    assert "there is nothing to try" in found.ended


async def test_a_bug_that_takes_two_faults_is_found(search, model):
    def breaks(plan):
        kinds = {(fault.kind, fault.at.service) for fault in plan.faults}
        return "charge" if {("delivery.redeliver", "payment"), ("process.stop", "shipping")} <= kinds else None

    found = await search(model(breaks=breaks), faults=2, fail_fast=True)
    (failure,) = found.failures
    assert {fault.kind for fault in failure.plan.faults} == {"delivery.redeliver", "process.stop"}


async def test_two_faults_are_not_tried_where_one_is_enough(search, model):
    found = await search(model(breaks=breaks_where("delivery.redeliver", "payment")), faults=2, seed=3)
    pairs = [trial for trial in found.trials if len(trial.plan.faults) == 2]
    guilty = delivery.redeliver("order.placed", to="payment")
    assert pairs
    assert not any(guilty in trial.plan.faults for trial in pairs)


async def test_a_failure_is_saved_tried_first_and_forgotten_once_it_is_mended(search, model, tmp_path):
    broken = model(breaks=breaks_where("process.crash", "shipping"))
    first = await search(broken, saved=tmp_path)
    assert first.failures[0].file == str(tmp_path / f"{first.failures[0].plan.digest}.json")

    watch = Watch()
    again = await search(broken, saved=tmp_path, watch=watch)
    assert again.trials[0].plan == first.failures[0].plan
    assert ("plans that failed before", 1) in watch.parts
    assert len({trial.plan.digest for trial in again.trials}) == len(again.trials)

    assert (await search(model(), saved=tmp_path)).exit_status == 0
    assert load(tmp_path, "order saga") == ([], [])


async def test_a_saved_plan_that_does_not_fit_is_noted(search, model, tmp_path):
    plan = Plan(drives=(Drive(driver="place_order"),), faults=(process.crash("cashier", of="a"),))
    (tmp_path / "x.json").write_text(plan.to_json())
    found = await search(model(), saved=tmp_path)
    assert found.notes[0].startswith("ignored x.json: process.crash at ack of a by cashier names service 'cashier'")


async def test_a_saved_plan_with_drives_of_its_own_is_compared_with_its_own_clean_runs(search, model, tmp_path):
    drives = (Drive(driver="place_order", data={"sku": "B"}), Drive(driver="sold_out"))
    plan = Plan(drives=drives, faults=(delivery.redeliver("order.placed", to="payment"),))
    (tmp_path / "x.json").write_text(plan.to_json())
    bench = model()
    found = await search(bench, saved=tmp_path)
    assert found.trials[0].plan == plan
    assert bench.asked.count((plan.without_faults(), False)) == 2


async def test_coverage_says_what_was_exercised_and_what_was_not(search, model):
    ticks = itertools.count()
    bench = model(never=lambda fault: fault.kind == "delivery.redeliver" and fault.at.service == "order")
    found = coverage(await search(bench, clock=lambda: float(next(ticks)), seconds=40))
    assert found.cells["payment ← order.placed", "delivery.redeliver"] == {"valid": 1}
    assert "vacuous" in found.cells["order ← order.shipped", "delivery.redeliver"]
    assert found.cells["inventory", "process.stop"] == {"not tried": 1}
    assert 0 < found.exercised < len(found.cells)
    assert found.kinds[0] == "delivery.redeliver"


async def test_the_result_is_json(search, model):
    found = await search(model(breaks=breaks_where("delivery.redeliver", "payment")))
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["exit_status"] == 1
    assert plain["counts"]["invalid"] == 2
    assert plain["failures"][0]["plan"]["faults"][0]["kind"] == "delivery.redeliver"
    assert plain["failures"][0]["findings"][0]["key"] == "charge"
