"""Publishes through the session: numbering of confirms, returns, and each answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.wire.facts import Closed, Confirmed, Fact, Published, Returned
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Drop, Hold, Kill, Replace
from pamqp import commands

from .stand import Stand, ack, content, decoded, marshal, nack, once, publish, shown


def test_untouched_publishes_and_confirms_pass_byte_for_byte() -> None:
    stand = Stand()
    stand.confirm()
    properties = commands.Basic.Properties(
        content_type="application/json", headers={"n": 1, "f": [1, {"x": None}]}, delivery_mode=2, message_id="m1"
    )
    sent = content(commands.Basic.Publish(0, "events", "order.placed", True), b"{}", properties) + publish(b"")
    assert stand.service(sent)[0] == sent
    confirm = ack(2, multiple=True)
    assert stand.broker(confirm)[0] == confirm
    first, second = stand.told(Published)
    assert (first.publish, first.message.exchange, first.message.routing_key, first.message.body) == (
        1,
        "events",
        "order.placed",
        b"{}",
    )
    assert first.message.properties == {"content_type": "application/json", "delivery_mode": 2, "message_id": "m1"}
    assert first.message.headers == {"n": 1, "f": [1, {"x": None}]}
    assert (first.confirming, first.mandatory, first.persistent) == (True, True, True)
    assert (second.confirming, second.mandatory, second.persistent) == (True, False, False)
    assert [(fact.publish, fact.ok) for fact in stand.told(Confirmed)] == [(1, True), (2, True)]


def test_a_dropped_publish_is_never_confirmed() -> None:
    stand = Stand(once(Published, 2, Drop()))
    stand.confirm()
    assert [each[1] for each in shown(stand.service(publish(b"a") + publish(b"b") + publish(b"c"))[0])] == [b"a", b"c"]
    assert shown(stand.broker(ack(2, multiple=True))[0]) == [("ack", 1, False), ("ack", 3, False)]
    stand.service(publish(b"d"))
    assert shown(stand.broker(nack(3, requeue=False))[0]) == [("nack", 4, False, False)]
    assert [(fact.publish, fact.ok) for fact in stand.told(Confirmed)] == [(1, True), (3, True), (4, False)]
    assert stand.session.pending() == 0


def test_a_held_publish_is_overtaken_and_confirmed_under_its_own_number() -> None:
    stand = Stand(once(Published, 1, Hold("t")))
    stand.confirm()
    assert shown(stand.service(publish(b"a") + publish(b"b"))[0]) == [("publish", b"b")]
    assert shown(stand.broker(ack(1))[0]) == [("ack", 2, False)]
    assert stand.session.release("t")
    assert shown(stand.session.take_for_broker()) == [("publish", b"a")]
    assert shown(stand.broker(ack(2))[0]) == [("ack", 1, False)]
    assert [fact.publish for fact in stand.told(Confirmed)] == [2, 1]


def test_held_and_dropped_confirms() -> None:
    def answer(fact: Fact) -> Action:
        return {1: Hold("t"), 2: Drop()}.get(fact.publish, FORWARD) if isinstance(fact, Confirmed) else FORWARD

    stand = Stand(answer)
    stand.confirm()
    stand.service(publish(b"a") + publish(b"b") + publish(b"c"))
    assert shown(stand.broker(ack(3, multiple=True))[0]) == [("ack", 3, False)]
    assert stand.session.release("t")
    assert shown(stand.session.take_for_service()) == [("ack", 1, False)]


def test_a_replaced_publish_is_split_at_the_agreed_frame_size() -> None:
    def answer(fact: Fact) -> Action:
        assert isinstance(fact, Published)
        message = replace(fact.message, body=b"x" * 300_000, routing_key="other", headers={"d": 1.25, "raw": b"\xff"})
        return Replace(replace(fact, message=message, mandatory=True))

    stand = Stand(answer)
    up, _ = stand.service(publish(b"a"))
    frames = [each for _, each in decoded(up)]
    assert isinstance(frames[0], commands.Basic.Publish)
    assert (frames[0].routing_key, frames[0].mandatory) == ("other", True)
    assert frames[1].properties.headers == {"d": 1.25, "raw": b"\xff"}
    assert [len(each.value) for each in frames[2:]] == [131064, 131064, 37872]
    assert stand.failures == []


def test_a_replacement_that_cannot_be_encoded_is_told_and_the_original_goes() -> None:
    def answer(fact: Fact) -> Action:
        assert isinstance(fact, Published)
        return Replace(replace(fact, message=replace(fact.message, properties={"colour": "red"})))

    stand = Stand(answer)
    assert stand.service(publish(b"a"))[0] == publish(b"a")
    assert "colour" in str(stand.failures[0])
    assert "message_id" in str(stand.failures[0])


def test_a_return_is_known_by_its_looks() -> None:
    stand = Stand(once(Returned, 3, Drop()))
    stand.confirm()
    stand.service(publish(b"a", mandatory=True) + publish(b"b", mandatory=True) + publish(b"c", mandatory=True))
    given_back = content(commands.Basic.Return(312, "NO_ROUTE", "", "q"), b"b")
    assert stand.broker(given_back + ack(2))[0] == given_back + ack(2)
    assert stand.broker(content(commands.Basic.Return(312, "NO_ROUTE", "", "q"), b"c"))[0] == b""
    assert stand.broker(content(commands.Basic.Return(312, "NO_ROUTE", "", "q"), b"z"))[0] != b""
    assert [(fact.publish, fact.reason) for fact in stand.told(Returned)] == [
        (2, "NO_ROUTE"),
        (3, "NO_ROUTE"),
        (None, "NO_ROUTE"),
    ]


@pytest.mark.parametrize("fault", [Cut(), Kill()])
def test_a_fault_before_a_publish_keeps_it_from_the_broker(fault: Action) -> None:
    stand = Stand(once(Published, 2, fault))
    assert shown(stand.service(publish(b"a") + publish(b"b") + publish(b"c"))[0]) == [("publish", b"a")]
    assert stand.session.due == fault
    assert len(stand.told(Published)) == 2


@pytest.mark.parametrize("fault", [Cut(after=True), Kill(after=True)])
def test_a_fault_after_a_publish_waits_for_its_confirm_and_keeps_that(fault: Action) -> None:
    stand = Stand(once(Published, 2, fault))
    stand.confirm()
    up, _ = stand.service(publish(b"a") + publish(b"b") + publish(b"c"))
    assert shown(up) == [("publish", b"a"), ("publish", b"b")]
    assert (stand.session.due, stand.session.awaited) == (None, fault)
    assert stand.service(publish(b"d")) == (b"", b"")
    assert shown(stand.broker(ack(1))[0]) == [("ack", 1, False)]
    assert stand.session.due is None
    assert stand.broker(ack(2))[0] == b""
    assert stand.session.due == fault
    assert [fact.publish for fact in stand.told(Confirmed)] == [1, 2]


def test_a_fault_after_a_publish_without_confirms_waits_for_a_reply_behind_it() -> None:
    stand = Stand(once(Published, 1, Kill(after=True)))
    up, _ = stand.service(publish(b"a") + publish(b"b"))
    assert shown(up) == [("publish", b"a"), "Channel.Flow"]
    assert stand.session.due is None
    assert stand.broker(marshal(commands.Channel.FlowOk(True)))[0] == b""
    assert stand.session.due == Kill(after=True)


def test_a_fault_after_a_publish_comes_too_when_the_broker_closes_the_channel() -> None:
    stand = Stand(once(Published, 1, Kill(after=True)))
    stand.confirm()
    stand.service(publish(b"a", "nowhere"))
    stand.broker(marshal(commands.Channel.Close(404, "NOT_FOUND - no exchange 'nowhere'", 60, 40)))
    assert stand.session.due == Kill(after=True)
    assert [(fact.by, fact.code, fact.clean) for fact in stand.told(Closed)] == [("broker", 404, False)]


def test_channels_count_apart() -> None:
    stand = Stand(once(Published, 1, Drop()))
    stand.confirm()
    stand.service(marshal(commands.Channel.Open(), 2) + marshal(commands.Confirm.Select(), 2))
    stand.broker(marshal(commands.Channel.OpenOk(), 2) + marshal(commands.Confirm.SelectOk(), 2))
    first, second = publish(b"aaaa"), publish(b"bbbb", channel=2)
    cut = len(marshal(commands.Basic.Publish(0, "", "q")))
    up, _ = stand.service(first[:cut] + second[:cut] + first[cut:] + second[cut:])
    assert up == second
    assert stand.broker(ack(1, channel=2))[0] == ack(1, channel=2)
    assert [fact.origin.channel for fact in stand.told(Published)] == [1, 2]


def test_a_closed_channel_starts_anew() -> None:
    stand = Stand(once(Published, 1, Hold("t")))
    stand.confirm()
    stand.service(publish(b"a"))
    stand.service(marshal(commands.Channel.Close(200, "bye", 0, 0)))
    assert not stand.session.release("t")
    stand.broker(marshal(commands.Channel.CloseOk()))
    stand.service(marshal(commands.Channel.Open()))
    stand.broker(marshal(commands.Channel.OpenOk()))
    assert stand.service(publish(b"b"))[0] == publish(b"b")
    assert [(fact.publish, fact.confirming) for fact in stand.told(Published)] == [(1, True), (2, False)]
