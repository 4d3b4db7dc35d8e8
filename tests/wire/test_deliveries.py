"""Deliveries through the session: tags, windows, copies, and each answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from misstep.harness.wire.facts import Cancelled, Closed, Delivered, Fact, Settled
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Drop, Hold, Inject, Kill, Replace
from pamqp import commands

from .stand import Stand, ack, deliver, marshal, nack, once, publish, shown


def requeued(fact: Fact) -> Action:
    assert isinstance(fact, Settled)
    return Replace(replace(fact, outcome="nack", requeue=True))


def test_untouched_deliveries_and_acks_pass_byte_for_byte() -> None:
    stand = Stand()
    stand.consume()
    sent = deliver(1, b"a") + deliver(2, b"") + deliver(3, b"c" * 300_000)
    assert stand.broker(sent)[0] == sent
    settled = ack(2, multiple=True) + marshal(commands.Basic.Reject(3, False))
    assert stand.service(settled)[0] == settled
    assert [(fact.delivery, fact.queue, fact.message.body[:1]) for fact in stand.told(Delivered)] == [
        (1, "q", b"a"),
        (2, "q", b""),
        (3, "q", b"c"),
    ]
    assert [(fact.delivery, fact.outcome, fact.multiple, fact.requeue) for fact in stand.told(Settled)] == [
        (1, "ack", True, False),
        (2, "ack", True, False),
        (3, "reject", False, False),
    ]


def test_a_held_delivery_is_overtaken_and_gets_the_tag_of_its_new_place() -> None:
    stand = Stand(once(Delivered, 1, Hold("t")))
    stand.consume()
    assert shown(stand.broker(deliver(1, b"a"))[0]) == []
    assert shown(stand.broker(deliver(2, b"b"))[0]) == [("deliver", 1, False, b"b")]
    assert stand.session.held() == ("t",)
    assert stand.session.release("t")
    assert shown(stand.session.take_for_service()) == [("deliver", 2, False, b"a")]
    assert stand.session.held() == ()
    assert shown(stand.service(ack(1))[0]) == [("ack", 2, False)]
    assert shown(stand.service(ack(2))[0]) == [("ack", 1, False)]
    assert [fact.delivery for fact in stand.told(Settled)] == [2, 1]


def test_multiple_does_not_cover_what_the_client_never_got() -> None:
    stand = Stand(once(Delivered, 2, Hold("t")))
    stand.consume()
    stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    assert shown(stand.service(ack(2, multiple=True))[0]) == [("ack", 1, False), ("ack", 3, False)]
    stand.session.release("t")
    stand.session.take_for_service()
    assert shown(stand.service(ack(0, multiple=True))[0]) == [("ack", 2, False)]


def test_a_dropped_delivery_stays_unacknowledged() -> None:
    stand = Stand(once(Delivered, 1, Drop()))
    stand.consume()
    assert shown(stand.broker(deliver(1, b"a") + deliver(2, b"b"))[0]) == [("deliver", 1, False, b"b")]
    assert shown(stand.service(ack(1, multiple=True))[0]) == [("ack", 2, False)]
    assert shown(stand.service(ack(0, multiple=True))[0]) == []


def test_an_injected_copy_follows_at_once_and_its_ack_stays_here() -> None:
    stand = Stand(once(Delivered, 1, Inject(2)))
    stand.consume()
    out, _ = stand.broker(deliver(1, b"a"))
    assert shown(out) == [("deliver", 1, False, b"a"), ("deliver", 2, False, b"a"), ("deliver", 3, False, b"a")]
    assert [(fact.delivery, fact.copy) for fact in stand.told(Delivered)] == [(1, False), (2, True), (3, True)]
    assert shown(stand.service(ack(2))[0]) == []
    assert shown(stand.broker(deliver(2, b"b"))[0]) == [("deliver", 4, False, b"b")]
    assert shown(stand.service(ack(4, multiple=True))[0]) == [("ack", 2, True)]
    assert [fact.delivery for fact in stand.told(Settled)] == [2, 1, 3, 4]


def test_a_copy_given_back_comes_again_and_a_discarded_one_ends() -> None:
    stand = Stand(once(Delivered, 1, Inject(1)))
    stand.consume()
    stand.broker(deliver(1, b"a"))
    up, down = stand.service(nack(2))
    assert (shown(up), shown(down)) == ([], [("deliver", 3, True, b"a")])
    assert stand.told(Delivered)[-1].copy
    up, down = stand.service(marshal(commands.Basic.Reject(3, False)))
    assert (up, down) == (b"", b"")
    assert [(fact.delivery, fact.outcome) for fact in stand.told(Settled)] == [(2, "nack"), (3, "reject")]


def test_a_later_copy_is_injected_by_number() -> None:
    stand = Stand()
    stand.consume()
    stand.broker(deliver(1, b"a"))
    assert shown(stand.service(ack(1))[0]) == [("ack", 1, False)]
    assert stand.session.inject(1)
    assert shown(stand.session.take_for_service()) == [("deliver", 2, False, b"a")]
    assert not stand.session.inject(99)
    stand.service(marshal(commands.Basic.Cancel("c")))
    stand.broker(marshal(commands.Basic.CancelOk("c")))
    assert not stand.session.inject(1)


def test_the_clients_window_is_kept_when_copies_are_added() -> None:
    stand = Stand(once(Delivered, 1, Inject(1)))
    stand.consume(prefetch=1)
    assert shown(stand.broker(deliver(1, b"a"))[0]) == [("deliver", 1, False, b"a")]
    up, down = stand.service(ack(1))
    assert (shown(up), shown(down)) == ([("ack", 1, False)], [("deliver", 2, False, b"a")])
    assert shown(stand.broker(deliver(2, b"b"))[0]) == []
    assert stand.session.pending() == 1
    up, down = stand.service(ack(2))
    assert (shown(up), shown(down)) == ([], [("deliver", 3, False, b"b")])
    assert [fact.copy for fact in stand.told(Delivered)] == [False, True, False]


def test_a_wider_window_lets_a_prefetch_of_one_be_overtaken() -> None:
    stand = Stand(once(Delivered, 1, Hold("t")), widen=2)
    up, _ = stand.service(marshal(commands.Basic.Qos(0, 1, False)))
    assert up == marshal(commands.Basic.Qos(0, 3, False))
    stand.broker(marshal(commands.Basic.QosOk()))
    stand.consume()
    out, _ = stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    assert shown(out) == [("deliver", 1, False, b"b")]
    assert stand.session.release("t")
    assert shown(stand.session.take_for_service()) == []
    up, down = stand.service(ack(1))
    assert (shown(up), shown(down)) == ([("ack", 2, False)], [("deliver", 2, False, b"a")])
    up, down = stand.service(ack(2))
    assert (shown(up), shown(down)) == ([("ack", 1, False)], [("deliver", 3, False, b"c")])


def test_a_window_that_consumers_share_is_kept() -> None:
    stand = Stand(widen=5)
    stand.service(marshal(commands.Basic.Qos(0, 1, True)))
    stand.consume(tag="c")
    stand.consume(tag="d")
    out, _ = stand.broker(deliver(1, b"a", consumer="c") + deliver(2, b"b", consumer="d"))
    assert shown(out) == [("deliver", 1, False, b"a")]
    assert shown(stand.service(ack(1))[1]) == [("deliver", 2, False, b"b")]


def test_a_cancelled_consumers_waiting_deliveries_go_back() -> None:
    stand = Stand(once(Delivered, 1, Hold("t")), widen=2)
    stand.consume(prefetch=1)
    stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    stand.service(marshal(commands.Basic.Cancel("c")))
    down, up = stand.broker(marshal(commands.Basic.CancelOk("c")))
    assert shown(up) == [("nack", 3, False, True)]
    assert shown(down) == ["Basic.CancelOk"]
    assert stand.told(Cancelled)[0].consumer == "c"
    assert not stand.session.release("t")
    assert shown(stand.session.take_for_broker()) == [("nack", 1, False, True)]


def test_an_ack_replaced_by_a_nack_splits_a_multiple() -> None:
    stand = Stand(lambda fact: requeued(fact) if isinstance(fact, Settled) and fact.delivery == 2 else FORWARD)
    stand.consume()
    stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    up, _ = stand.service(ack(3, multiple=True))
    assert shown(up) == [("ack", 1, False), ("ack", 3, False), ("nack", 2, False, True)]
    assert shown(stand.broker(deliver(4, b"b", redelivered=True))[0]) == [("deliver", 4, True, b"b")]


def test_a_copys_ack_replaced_by_a_nack_brings_it_again() -> None:
    def answer(fact: Fact) -> Action:
        if isinstance(fact, Delivered) and fact.delivery == 1:
            return Inject(1)
        return requeued(fact) if isinstance(fact, Settled) and fact.delivery == 2 else FORWARD

    stand = Stand(answer)
    stand.consume()
    stand.broker(deliver(1, b"a"))
    up, down = stand.service(ack(2, multiple=True))
    assert (shown(up), shown(down)) == ([("ack", 1, False)], [("deliver", 3, True, b"a")])


def test_a_held_ack_goes_when_released_and_a_dropped_one_never() -> None:
    def answer(fact: Fact) -> Action:
        return {1: Hold("t"), 2: Drop()}.get(fact.delivery, FORWARD) if isinstance(fact, Settled) else FORWARD

    stand = Stand(answer)
    stand.consume()
    stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    assert shown(stand.service(ack(3, multiple=True))[0]) == [("ack", 3, False)]
    assert stand.session.release("t")
    assert shown(stand.session.take_for_broker()) == [("ack", 1, False)]
    assert shown(stand.service(ack(0, multiple=True))[0]) == []


def test_a_replaced_delivery_keeps_the_bytes_of_what_did_not_change() -> None:
    def answer(fact: Fact) -> Action:
        if not isinstance(fact, Delivered):
            return FORWARD
        return Replace(
            replace(fact, message=replace(fact.message, body=b"B" * 300_000, exchange="x"), redelivered=True)
        )

    stand = Stand(answer)
    stand.consume()
    out, _ = stand.broker(deliver(1, b"a"))
    assert shown(out) == [("deliver", 1, True, b"B" * 300_000)]
    assert shown(stand.service(ack(1))[0]) == [("ack", 1, False)]


@pytest.mark.parametrize("fault", [Cut(), Kill()])
def test_a_fault_before_a_delivery_keeps_it_and_all_behind_it_back(fault: Action) -> None:
    stand = Stand(once(Delivered, 2, fault))
    stand.consume()
    out, _ = stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    assert shown(out) == [("deliver", 1, False, b"a")]
    assert stand.session.due == fault
    assert stand.service(ack(1)) == (b"", b"")
    stand.session.end()
    assert stand.session.drained
    assert stand.told(Closed) == [
        Closed(stand.told(Delivered)[0].origin.__class__("payment", 1), "misstep", clean=False)
    ]


@pytest.mark.parametrize("fault", [Cut(after=True), Kill(after=True)])
def test_a_fault_after_a_delivery_lets_it_go(fault: Action) -> None:
    stand = Stand(once(Delivered, 2, fault))
    stand.consume()
    out, _ = stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    assert shown(out) == [("deliver", 1, False, b"a"), ("deliver", 2, False, b"b")]
    assert stand.session.due == fault


@pytest.mark.parametrize(("after", "acked"), [(False, [("ack", 1, False)]), (True, [("ack", 2, True)])])
def test_a_fault_in_a_multiple_ack_sends_exactly_what_was_told_before_it(after: bool, acked: list[object]) -> None:
    stand = Stand(once(Settled, 2, Kill(after=after)))
    stand.consume()
    stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    up, _ = stand.service(ack(3, multiple=True))
    assert shown(up) == acked
    assert stand.session.due == Kill(after=after)
    assert len(stand.told(Settled)) == 2


def test_what_left_before_a_fault_is_waited_for() -> None:
    stand = Stand(once(Settled, 1, Kill()))
    stand.consume()
    stand.broker(deliver(1, b"a"))
    up, _ = stand.service(publish(b"p") + ack(1))
    assert shown(up) == [("publish", b"p")]
    stand.session.end()
    assert shown(stand.session.take_for_broker()) == ["Channel.Flow"]
    assert not stand.session.drained
    stand.broker(deliver(2, b"b") + marshal(commands.Channel.FlowOk(True)))
    assert stand.session.drained
    assert [fact.delivery for fact in stand.told(Delivered)] == [1]


def test_polled_messages_are_told_with_their_queue() -> None:
    stand = Stand(once(Delivered, 1, Inject(1)))
    stand.service(marshal(commands.Basic.Get(0, "q", False)))
    answer = marshal(commands.Basic.GetOk(1, False, "x", "k", 5))
    sent = deliver(1, b"a").replace(
        deliver(1, b"a")[: len(marshal(commands.Basic.Deliver("c", 1, False, "", "q")))], answer
    )
    assert stand.broker(sent)[0] == sent
    fact = stand.told(Delivered)[0]
    assert (fact.queue, fact.consumer, fact.message.exchange, fact.message.routing_key) == ("q", "", "x", "k")
    up, down = stand.service(marshal(commands.Basic.Get(0, "q", False)))
    assert (up, shown(down)) == (b"", [("deliver", 2, False, b"a")])
    assert stand.told(Delivered)[1].copy
    up, down = stand.service(marshal(commands.Basic.Get(0, "q", False)))
    assert shown(up) == ["Basic.Get"]
    assert shown(stand.broker(marshal(commands.Basic.GetEmpty()))[0]) == ["Basic.GetEmpty"]
    assert shown(stand.service(ack(2, multiple=True))[0]) == [("ack", 1, False)]


def test_a_dropped_poll_finds_nothing() -> None:
    stand = Stand(once(Delivered, 1, Drop()))
    stand.service(marshal(commands.Basic.Get(0, "q", False)))
    method = marshal(commands.Basic.Deliver("c", 1, False, "", "q"))
    sent = marshal(commands.Basic.GetOk(1, False, "", "q", 0)) + deliver(1, b"a")[len(method) :]
    assert shown(stand.broker(sent)[0]) == ["Basic.GetEmpty"]


def test_auto_ack_deliveries_need_no_settling() -> None:
    stand = Stand(once(Delivered, 1, Inject(1)))
    stand.consume(auto_ack=True)
    out, _ = stand.broker(deliver(1, b"a") + deliver(2, b"b"))
    assert [each[1] for each in shown(out)] == [1, 2, 3]
    assert [fact.unsettled for fact in stand.told(Delivered)] == [False, False, False]


def test_an_ack_of_nothing_reaches_the_broker_as_an_error_and_settles_nothing() -> None:
    stand = Stand(once(Delivered, 1, Drop()))
    stand.consume()
    stand.broker(deliver(1, b"a"))
    up = shown(stand.service(ack(1))[0])
    assert up[0][0] == "ack"
    assert up[0][1] > 1_000_000
    assert stand.told(Settled) == []


def test_recover_settles_everything() -> None:
    stand = Stand(once(Delivered, 1, Inject(1)))
    stand.consume()
    stand.broker(deliver(1, b"a") + deliver(2, b"b"))
    stand.service(marshal(commands.Basic.Recover(True)))
    down, _ = stand.broker(marshal(commands.Basic.RecoverOk()))
    assert [(fact.delivery, fact.requeue) for fact in stand.told(Settled)] == [(1, True), (2, True), (3, True)]
    assert shown(down) == [("deliver", 4, True, b"a"), "Basic.RecoverOk"]
    assert shown(stand.broker(deliver(3, b"a", redelivered=True))[0]) == [("deliver", 5, True, b"a")]
    assert shown(stand.service(ack(5))[0]) == [("ack", 3, False)]
