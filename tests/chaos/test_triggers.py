"""Triggers: what is heard against the site that a plan names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.chaos.triggers import Trigger
from misstep.harness.plan import Site

ACK = Site(moment="ack", service="payment", event="order.placed")


def test_the_first_match_fires_and_no_other(traffic):
    trigger = Trigger(ACK)
    assert trigger.pulled(traffic.acked("order.placed"))
    assert not trigger.pulled(traffic.acked("order.placed"))


@pytest.mark.parametrize(
    "site",
    [
        replace(ACK, service="shipping"),
        replace(ACK, event="order.paid"),
        replace(ACK, event="", message="2:order.placed"),
        replace(ACK, queue="another"),
        replace(ACK, attempt=2),
        replace(ACK, moment="deliver"),
        replace(ACK, moment="publish"),
        replace(ACK, moment="drive"),
    ],
)
def test_every_field_of_a_site_must_fit(traffic, site):
    assert not Trigger(site).pulled(traffic.acked("order.placed"))


def test_fields_left_empty_fit_anything(traffic):
    assert Trigger(Site()).pulled(traffic.acked("whatever", "shipping"))


def test_an_acknowledgement_is_the_moment_before_and_the_moment_after_it(traffic):
    assert Trigger(replace(ACK, moment="ack")).pulled(traffic.acked("order.placed"))
    assert Trigger(replace(ACK, moment="acked")).pulled(traffic.acked("order.placed"))


@pytest.mark.parametrize("moment", ["publish", "published"])
def test_a_publish_has_no_queue_and_no_attempt_to_fit(traffic, moment):
    site = Site(moment=moment, service="payment", event="payment.taken", queue="q", attempt=3)
    assert Trigger(site).pulled(traffic.published("payment.taken"))


def test_a_later_delivery_can_be_asked_for(traffic):
    trigger = Trigger(replace(ACK, attempt=2))
    assert not trigger.pulled(traffic.acked("order.placed", attempt=1))
    assert trigger.pulled(traffic.acked("order.placed", attempt=2))


def test_attempt_0_is_any_delivery(traffic):
    assert Trigger(replace(ACK, attempt=0)).pulled(traffic.acked("order.placed", attempt=7))


def test_several_times_are_the_same_message_again(traffic):
    trigger = Trigger(ACK, times=2)
    other = replace(traffic.acked("order.placed"), message="1:order.placed#2")
    assert trigger.pulled(traffic.acked("order.placed", attempt=1))
    assert not trigger.pulled(other)
    assert trigger.pulled(traffic.acked("order.placed", attempt=2))
    assert not trigger.pulled(traffic.acked("order.placed", attempt=3))


def test_0_times_is_every_time(traffic):
    trigger = Trigger(ACK, times=0)
    assert [trigger.pulled(traffic.acked("order.placed", attempt=n)) for n in (1, 2, 3)] == [True, True, True]


def test_neither_a_copy_nor_its_settlement_fires(traffic):
    deliver, ack = Trigger(replace(ACK, moment="deliver", attempt=0)), Trigger(replace(ACK, attempt=0))
    copy = traffic.delivered("order.placed", copy=True)
    for heard in (copy, traffic.settled(copy)):
        assert not deliver.pulled(heard)
        assert not ack.pulled(heard)


def test_what_is_no_message_never_fires(traffic):
    assert not Trigger(Site(attempt=0)).pulled(traffic.closed())
