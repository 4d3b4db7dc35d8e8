"""What a clean run shows, and what can be done there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.chaos.explorer.faults_at import candidates
from misstep.chaos.explorer.order import pairs, services_with_effects, singles
from misstep.chaos.explorer.repeatable import differences
from misstep.chaos.explorer.sites import common, places
from misstep.chaos.faults.arm import fit
from misstep.harness.choreography.words import Driver
from misstep.harness.history.entries import Delivered, Drove, Published, Settled
from misstep.harness.history.history import History
from misstep.harness.plan import Drive, Plan, Site


def delivery_of(found, service, event):
    return next(d for d in found.deliveries if (d.service, d.event) == (service, event))


def test_every_delivery_and_publish_of_a_saga_is_a_site(clean_run):
    found = places(clean_run())
    assert [(d.service, d.event) for d in found.deliveries] == [
        ("payment", "order.placed"),
        ("order", "payment.taken"),
        ("inventory", "payment.taken"),
        ("shipping", "stock.reserved"),
        ("order", "stock.reserved"),
        ("order", "order.shipped"),
    ]
    assert [(p.service, p.event) for p in found.publications] == [
        ("order", "order.placed"),
        ("payment", "payment.taken"),
        ("inventory", "stock.reserved"),
        ("shipping", "order.shipped"),
    ]
    assert found.consumers == ("payment", "order", "inventory", "shipping")


def test_a_delivery_knows_what_surrounds_it(clean_run):
    found = delivery_of(places(clean_run()), "order", "stock.reserved")
    assert found.before == ("payment.taken",)
    assert found.whole == ("payment.taken", "stock.reserved", "order.shipped")
    assert delivery_of(places(clean_run()), "payment", "order.placed").children == ("payment.taken",)


def test_only_what_does_not_follow_from_a_delivery_can_overtake_it(clean_run):
    by_cause = places(clean_run())
    assert delivery_of(by_cause, "order", "stock.reserved").overtakers == ()
    free = [
        Delivered(at=0, message=f"1:a/{event}", event=event, saga=1, queue="q", service="order", delivery=n)
        for n, event in enumerate(("b", "c"), 1)
    ]
    assert places(History(free)).deliveries[0].overtakers == ("c",)
    assert places(History(free)).deliveries[1].overtakers == ()


def test_a_consumer_of_one_at_a_time_is_not_overtaken_in_its_own_queue(clean_run):
    entries = [entry for entry in clean_run(prefetch=1) if not isinstance(entry, Delivered)]
    entries += [
        Delivered(at=0, message=f"1:a/{event}", event=event, saga=1, queue=queue, service="order", delivery=90 + n)
        for n, (event, queue) in enumerate((("b", "order"), ("c", "order"), ("d", "other")))
    ]
    assert places(History(entries)).deliveries[0].overtakers == ("d",)


def test_copies_and_strangers_are_no_sites(clean_run):
    entries = [
        Delivered(at=0, message="1:a", event="a", saga=1, queue="q", service="order", copy=True),
        Delivered(at=0, message="0:a", event="a", saga=0, queue="q", service="order"),
        Published(at=0, message="1:a", event="a", saga=1, service=""),
    ]
    assert places(History(entries)) == places(History())


def test_a_site_is_named_by_event_while_that_is_clear(clean_run):
    found = places(clean_run())
    assert found.deliveries[0].at("ack") == Site(moment="ack", service="payment", event="order.placed")
    assert found.publications[0].at("publish") == Site(moment="publish", service="order", event="order.placed")


def test_a_site_is_named_by_causes_where_an_event_comes_twice():
    entries = [
        Delivered(at=0, message=f"1:a/b{again}", event="b", saga=1, queue=queue, service="order")
        for again, queue in (("", "q"), ("#2", "q"), ("#2", "r"))
    ]
    first, second, third = places(History(entries)).deliveries
    assert first.at("ack") == Site(moment="ack", service="order", message="1:a/b")
    assert second.at("ack") == Site(moment="ack", service="order", message="1:a/b#2", queue="q")
    assert third.at("ack") == Site(moment="ack", service="order", message="1:a/b#2", queue="r")


def test_only_what_two_clean_runs_share_is_used(clean_run):
    full = places(clean_run())
    entries = [entry for entry in clean_run() if getattr(entry, "event", "") != "order.shipped"]
    entries = [entry for entry in entries if not (isinstance(entry, Settled) and entry.service == "shipping")]
    shared = common(full, places(History(entries)))
    assert "order.shipped" not in {p.event for p in shared.publications}
    assert not delivery_of(shared, "shipping", "stock.reserved").acked


def test_clean_runs_that_did_the_same_have_no_differences(clean_run):
    assert differences(clean_run(), clean_run()) == []


def as_if_caused_otherwise(history):
    """The same run, but for a cause that was inferred in another way."""
    shipped, other = "1:order.placed/payment.taken/stock.reserved/order.shipped", "1:order.placed/order.shipped"
    return History([replace(e, message=other) if getattr(e, "message", "") == shipped else e for e in history])


def test_a_cause_that_is_inferred_in_another_way_is_no_difference(clean_run):
    other = as_if_caused_otherwise(clean_run())
    assert differences(clean_run(), other) == []
    shared = common(places(clean_run()), places(other))
    assert [d.event for d in shared.deliveries] == [d.event for d in places(clean_run()).deliveries]
    assert [p.event for p in shared.publications] == [p.event for p in places(clean_run()).publications]


def test_a_site_that_only_its_causes_name_must_have_the_same_in_both_runs():
    def twice(cause):
        return History(
            [
                Delivered(at=0, message=message, event="b", saga=1, queue="q", service="order")
                for message in ("1:a/b", f"1:{cause}/b")
            ]
        )

    shared = common(places(twice("c")), places(twice("d")))
    assert [d.message for d in shared.deliveries] == ["1:a/b"]


def test_an_event_that_comes_once_more_is_a_difference(clean_run):
    again = Published(at=0, message="1:order.placed#2", event="order.placed", saga=1, service="order")
    assert differences(clean_run(), History([*clean_run(), again])) == [
        "only in the first clean run: order published order.placed in saga 1",
        "only in the second clean run: order published 2 times order.placed in saga 1",
    ]


def test_differences_are_told(clean_run):
    other = History([*clean_run(), Published(at=0, message="1:x", event="x", saga=1, service="order")])
    assert differences(clean_run(), other) == ["only in the second clean run: order published x in saga 1"]
    failed = [replace(e, result="fail") if isinstance(e, Drove) else e for e in clean_run()]
    assert len(differences(clean_run(), History(failed))) == 2


def test_everything_listed_fits_the_choreography(clean_run, choreography):
    found = candidates(places(clean_run()), choreography, [choreography.drivers["place_order"]])
    for candidate in found:
        fit(candidate.fault, choreography)
    assert {c.fault.kind for c in found if not c.asked_for} == {
        "delivery.redeliver",
        "delivery.duplicate",
        "delivery.delay",
        "process.crash",
        "process.stop",
        "link.cut",
        "link.refuse",
    }


def test_whom_a_driver_calls_is_not_offline(clean_run, choreography):
    def stopped(driver):
        found = candidates(places(clean_run()), choreography, [driver])
        return {c.service for c in found if c.fault.kind == "process.stop"}

    assert stopped(choreography.drivers["place_order"]) == {"payment", "inventory", "shipping"}
    assert "order" in stopped(Driver(name="event", publish="order.placed"))


def test_what_is_not_acknowledged_is_not_redelivered(choreography):
    entries = [Delivered(at=0, message="1:a", event="a", saga=1, queue="q", service="order", unsettled=False)]
    found = candidates(places(History(entries)), choreography, [choreography.drivers["place_order"]])
    kinds = {(c.fault.kind, c.fault.at.moment) for c in found if not c.asked_for}
    assert kinds == {("delivery.duplicate", "deliver"), ("delivery.delay", "deliver")}


def agenda(clean_run, choreography, *drivers):
    found = []
    for name in drivers:
        plan = Plan(drives=(Drive(driver=name),), seed=7)
        found.append((plan, candidates(places(clean_run(name)), choreography, [choreography.drivers[name]])))
    return singles(found, choreography)


def test_the_services_that_make_effects_are_known_by_what_they_reach(choreography):
    assert services_with_effects(choreography) == {"payment"}


def test_redeliveries_come_first_and_those_to_who_makes_effects_before_all(clean_run, choreography):
    items = agenda(clean_run, choreography, "place_order").items
    assert str(items[0].plan.faults[0]) == "delivery.redeliver at ack of order.placed by payment"
    kinds = [item.kind for item in items]
    assert kinds[:6] == ["delivery.redeliver"] * 6
    assert kinds.index("process.crash") > kinds.index("delivery.duplicate")
    assert {item.plan.seed for item in items} == {7}


def test_plans_that_find_a_service_in_the_same_state_are_tried_once(clean_run, choreography):
    one = agenda(clean_run, choreography, "place_order")
    both = agenda(clean_run, choreography, "place_order", "sold_out")
    assert one.equivalent == ()
    first = str(both.items[0].plan.faults[0])
    assert sum(str(item.plan.faults[0]) == first for item in both.items) == 1
    assert {digest for _, digest in both.equivalent} <= {item.plan.digest for item in both.items}
    late = [item for item in both.items if item.plan.faults[0].with_.get("when") == "later"]
    on_payment = [item.plan.drives[0].driver for item in late if item.plan.faults[0].at.event == "order.placed"]
    assert on_payment == ["place_order", "sold_out"]


def test_pairs_leave_out_what_cannot_both_fire(clean_run, choreography):
    items = agenda(clean_run, choreography, "place_order").items
    found = list(pairs(items, seed=7))
    assert found == list(pairs(items, seed=7))
    for item in found:
        first, second = item.parts
        assert first.place != second.place or not first.place
    assert [item.parts[0].tier + item.parts[1].tier for item in found] == sorted(
        item.parts[0].tier + item.parts[1].tier for item in found
    )


def test_a_late_copy_is_not_paired_with_what_ends_its_consumer(clean_run, choreography):
    found = pairs(agenda(clean_run, choreography, "place_order").items, seed=7)
    kinds = [(item.parts, item.parts[0].fault, item.parts[1].fault) for item in found]
    late = [(parts, second) for parts, first, second in kinds if first.with_.get("when") == "later"]
    assert any(second.kind == "process.crash" for _, second in late)
    assert not any(
        second.kind in ("process.crash", "link.cut") and parts[0].service == parts[1].service for parts, second in late
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_seed_only_changes_the_order_of_pairs(clean_run, choreography, seed):
    items = agenda(clean_run, choreography, "place_order").items
    one, other = ([tuple(map(str, item.plan.faults)) for item in pairs(items, each)] for each in (seed, 7))
    assert one != other
    assert sorted(one) == sorted(other)
