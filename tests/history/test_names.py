"""Messages are called by their causes, the same in every run."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from misstep.harness.choreography.words import EventRules, Selector
from misstep.harness.history.entries import Delivered, Lost, Published, Settled
from misstep.harness.history.handling import learn_causes
from misstep.harness.history.history import History
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import FORWARD, Cut, Drop, Hold, Kill, Replace

from .wires import RULES, Link, Wire, message


def saga(wire: Wire, number: int = 1, order: str = "A") -> None:
    wire.recorder.driving(number)
    placed = wire.publish("order", "order.placed", order)
    wire.recorder.drove(number, "place_order", "ok", correlation=order)
    work = wire.deliver("payment", placed)
    taken = wire.publish("payment", "payment.taken", order)
    wire.settle(work)
    work = wire.deliver("stock", taken)
    wire.publish("stock", "stock.reserved", order)
    wire.settle(work)


def test_a_name_is_the_path_of_events_from_the_sagas_start() -> None:
    wire = Wire()
    saga(wire)
    assert wire.names() == [
        "1:order.placed",
        "1:order.placed/payment.taken",
        "1:order.placed/payment.taken/stock.reserved",
    ]
    entry = wire.history.of(Published)[-1]
    assert (entry.cause, entry.cause_kind, entry.depth) == ("1:order.placed/payment.taken", "inferred", 3)
    assert wire.history.of(Published)[0].cause_kind == "driver"


def test_each_driver_starts_a_saga_of_its_own() -> None:
    wire = Wire()
    saga(wire, 1, "A")
    saga(wire, 2, "B")
    assert [name.partition(":")[0] for name in wire.names()] == ["1"] * 3 + ["2"] * 3


def test_interleaved_sagas_are_told_apart_by_their_correlation() -> None:
    wire = Wire()
    placed = {}
    for number, order in ((1, "A"), (2, "B")):
        wire.recorder.driving(number)
        placed[order] = wire.publish("order", "order.placed", order)
        wire.recorder.drove(number, "place_order", "ok", correlation=order)
    wire.deliver("payment", placed["A"])
    wire.deliver("payment", placed["B"])
    assert wire.publish("payment", "payment.taken", "B").message == "2:order.placed/payment.taken"
    assert wire.publish("payment", "payment.taken", "A").message == "1:order.placed/payment.taken"


def branches(wire: Wire) -> dict[str, Callable[[], object]]:
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok", correlation="A")

    def react(service: str, *events: str) -> Callable[[], None]:
        def run() -> None:
            work = wire.deliver(service, placed)
            for event in events:
                wire.publish(service, event)
            wire.settle(work)

        return run

    return {"payment": react("payment", "payment.taken"), "stock": react("stock", "item.reserved", "item.reserved")}


@pytest.mark.parametrize("order", list(itertools.permutations(("payment", "stock"))))
def test_the_order_of_parallel_branches_does_not_change_names(order: tuple[str, ...]) -> None:
    wire = Wire()
    steps = branches(wire)
    for service in order:
        steps[service]()
    assert set(wire.names()) == {
        "1:order.placed",
        "1:order.placed/payment.taken",
        "1:order.placed/item.reserved",
        "1:order.placed/item.reserved#2",
    }


def join(wire: Wire, *, first: str, second: str) -> str:
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    sent = {}
    for service, event in (("payment", "payment.taken"), ("stock", "stock.reserved")):
        work = wire.deliver(service, placed)
        sent[event] = wire.publish(service, event)
        wire.settle(work)
    wire.settle(wire.deliver("order", sent[first]))
    work = wire.deliver("order", sent[second])
    confirmed = wire.publish("order", "order.confirmed")
    wire.settle(work)
    return confirmed.message


def test_a_join_keeps_its_name_once_a_clean_run_has_taught_it() -> None:
    clean = Wire()
    name = join(clean, first="payment.taken", second="stock.reserved")
    later = Wire(taught=learn_causes([clean.history]))
    assert (
        join(later, first="stock.reserved", second="payment.taken")
        == name
        == "1:order.placed/stock.reserved/order.confirmed"
    )


def test_an_outbox_publishes_after_it_has_settled() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.settle(wire.deliver("payment", placed))
    sent = wire.publish("payment", "payment.taken")
    assert sent.message == "1:order.placed/payment.taken"


def test_an_outbox_of_two_settled_messages_gives_each_its_own() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    first = wire.publish("order", "order.placed")
    second = wire.publish("order", "order.paid")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.settle(wire.deliver("stock", first))
    wire.settle(wire.deliver("stock", second))
    assert wire.publish("stock", "stock.reserved").message == "1:order.placed/stock.reserved"
    assert wire.publish("stock", "stock.picked").message == "1:order.paid/stock.picked"


def test_a_message_sent_again_after_it_was_lost_keeps_its_name() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.deliver("payment", placed)
    lost = wire.publish("payment", "payment.taken", message_id="first", action=Kill())
    assert [entry.message for entry in wire.history.of(Lost)] == [lost.message]
    wire.close("payment", clean=False)
    wire.deliver("payment", placed, redelivered=True)
    again = wire.publish("payment", "payment.taken", message_id="second")
    assert (again.message, again.attempt) == (lost.message, 2)


def test_a_second_message_of_a_redelivery_is_another_one() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    work = wire.deliver("payment", placed)
    wire.publish("payment", "payment.taken")
    wire.settle(work, action=Cut())
    wire.close("payment", clean=False)
    assert wire.deliver("payment", placed, redelivered=True).attempt == 2
    assert wire.publish("payment", "payment.taken").message == "1:order.placed/payment.taken#2"


def test_a_retry_with_its_own_id_is_the_same_message() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    first = wire.publish("order", "order.placed", message_id="7")
    assert wire.publish("order", "order.placed", message_id="7").message == first.message
    assert wire.publish("order", "order.placed", message_id="7", sku="other").message == "1:order.placed#2"


def test_a_loop_does_not_hide_behind_one_id() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    at = wire.publish("a", "ping", message_id="7")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    for _ in range(3):
        work = wire.deliver("b", at)
        at = wire.publish("b", "pong", message_id="7")
        wire.settle(work)
        work = wire.deliver("a", at)
        at = wire.publish("a", "ping", message_id="7")
        wire.settle(work)
    assert at.message == "1:ping/pong/ping/pong/ping/pong/ping"


def test_an_endless_loop_has_bounded_names() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    at = wire.publish("a", "ping", hop=0)
    wire.recorder.drove(1, "d", "ok", correlation="A")
    names = set()
    for hop in range(1, 300):
        work = wire.deliver("a", at)
        at = wire.publish("a", "ping", hop=hop)
        wire.settle(work)
        names.add(at.message)
    assert len(names) == 299
    assert max(map(len, names)) < 400


def test_stragglers_of_an_earlier_run_belong_to_no_saga() -> None:
    wire = Wire(foreign=frozenset({"old"}))
    wire.recorder.driving(1)
    assert wire.publish("order", "order.shipped", "old").message == "0:order.shipped"
    late = wire.deliver("stock", message("order.placed", "old"))
    assert (late.message, late.saga) == ("0:order.placed", 0)


def test_a_warm_stage_makes_the_last_runs_keys_foreign() -> None:
    wire = Wire()
    saga(wire, 1, "A")
    wire.history = History()
    wire.recorder.begin(wire.history)
    wire.recorder.driving(1)
    assert wire.publish("payment", "payment.refunded", "A").saga == 0
    assert wire.publish("order", "order.placed", "B").message == "1:order.placed"


def test_ignored_events_belong_to_no_saga() -> None:
    wire = Wire(rules=EventRules(correlation=RULES.correlation, ignore=("heartbeat.*",)))
    wire.recorder.driving(1)
    assert wire.publish("order", "heartbeat.order").saga == 0


def test_a_delivery_that_nobody_published_is_said_to_be_so() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    wire.recorder.drove(1, "d", "ok", correlation="A")
    seen = wire.deliver("stock", message("order.placed"))
    assert (seen.message, seen.saga) == ("0:order.placed", 1)
    assert wire.publish("stock", "stock.reserved").message == "1:order.placed/stock.reserved"


@pytest.mark.parametrize("event", ["payment.taken", "order.shipped"])
def test_events_with_one_body_are_told_apart_by_their_route(event: str) -> None:
    wire = Wire()
    wire.recorder.driving(1)
    sent = {name: wire.publish("order", name) for name in ("payment.taken", "order.shipped")}
    assert wire.deliver("stock", sent[event]).event == event


def test_a_dead_lettered_message_keeps_its_name() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    death = {
        "queue": "payment",
        "reason": "rejected",
        "exchange": "events",
        "routing-keys": ["order.placed"],
        "count": 1,
    }
    assert isinstance(placed.fact, facts.Published)
    headers = {"x-death": [death], "x-first-death-queue": "payment"}
    copy = facts.Message("dead", "payment", placed.fact.message.body, {}, headers)
    seen = wire.deliver("undertaker", copy)
    assert seen.message == placed.message
    assert wire.history.of(Delivered)[-1].death == "payment"


def test_declared_causes_beat_inferred_ones() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    first = wire.publish("order", "order.placed", message_id="m1")
    second = wire.publish("order", "order.paid", message_id="m2")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.deliver("stock", first)
    wire.deliver("stock", second)
    sent = wire.publish("stock", "stock.reserved", headers={"causation_id": "m1"})
    assert sent.message == "1:order.placed/stock.reserved"
    assert wire.history.of(Published)[-1].cause_kind == "declared"


def test_the_causation_selector_declares_a_cause() -> None:
    wire = Wire(rules=EventRules(correlation=RULES.correlation, causation=Selector("body", "because")))
    wire.recorder.driving(1)
    first = wire.publish("order", "order.placed", message_id="m1")
    wire.publish("order", "order.paid", message_id="m2")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.settle(wire.deliver("stock", first))
    assert wire.publish("stock", "stock.reserved", because="m1").message == "1:order.placed/stock.reserved"
    assert wire.publish("stock", "stock.picked", because="m2").message == "1:order.paid/stock.picked"


def test_a_trace_declares_a_cause_where_only_one_message_of_it_was_given() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    one, two = "1" * 32, "2" * 32
    first = wire.publish("order", "order.placed", headers={"traceparent": f"00-{one}-{'a' * 16}-01"})
    second = wire.publish("order", "order.paid", headers={"traceparent": f"00-{two}-{'a' * 16}-01"})
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.deliver("stock", first)
    wire.deliver("stock", second)
    sent = wire.publish("stock", "stock.reserved", headers={"traceparent": f"00-{one}-{'b' * 16}-01"})
    assert sent.message == "1:order.placed/stock.reserved"
    assert wire.history.of(Published)[-1].cause_kind == "declared"


def test_a_reply_names_its_request() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    request = wire.publish("order", "price.asked", message_id="q1")
    other = wire.publish("order", "price.asked", message_id="q2")
    wire.recorder.drove(1, "d", "ok", correlation="A")
    wire.deliver("price", request)
    wire.deliver("price", other)
    assert wire.publish("price", "price.told", correlation_id="q1").message == "1:price.asked/price.told"
    assert wire.history.of(Published)[-1].cause_kind == "declared"


def test_events_without_a_key_follow_the_delivery_that_is_worked_on() -> None:
    wire = Wire(rules=EventRules())
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    wire.recorder.drove(1, "d", "ok")
    wire.deliver("payment", placed)
    assert wire.publish("payment", "payment.taken").message == "1:order.placed/payment.taken"


def test_an_ack_that_a_fault_changed_is_recorded_as_the_broker_was_told() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    work = wire.deliver("payment", wire.publish("order", "order.placed"))
    ack = facts.Settled(work.fact.origin, work.fact.delivery, "ack")  # type: ignore[union-attr]
    wire.tell(ack, Replace(facts.Settled(ack.origin, ack.delivery, "nack", requeue=True)))
    settled = wire.history.of(Settled)[-1]
    assert (settled.outcome, settled.requeue, settled.by) == ("nack", True, "misstep")
    assert not wire.recorder.wire.unsettled


def test_an_ack_that_was_dropped_leaves_the_broker_waiting() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    work = wire.deliver("payment", wire.publish("order", "order.placed"))
    wire.settle(work, action=Kill())
    assert wire.history.of(Settled)[-1].by == "dropped"
    assert [item.withheld for item in wire.recorder.wire.unsettled.values()] == [True]
    wire.close("payment", clean=False)
    assert not wire.recorder.wire.unsettled


def test_a_dropped_delivery_is_no_delivery() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    wire.deliver("payment", wire.publish("order", "order.placed"), Drop())
    assert wire.history.of(Delivered) == []
    assert len(wire.recorder.wire.unsettled) == 1


def test_a_held_delivery_is_recorded_when_it_is_released() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    first, second = wire.publish("order", "order.placed"), wire.publish("order", "order.paid")
    wire.links["payment"] = link = Link(["t"])
    held = wire.deliver("payment", first, Hold("t"))
    wire.deliver("payment", second)
    assert held.control.release("t")
    assert not link.tickets
    assert [entry.event for entry in wire.history.of(Delivered)] == ["order.paid", "order.placed"]


def test_what_is_held_when_its_connection_ends_never_went_on() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    sent = wire.publish("order", "order.placed", action=Hold("t"))
    wire.close("order", clean=False)
    assert [entry.message for entry in wire.history.of(Lost)] == [sent.message]


def test_copies_are_the_same_message_again() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    placed = wire.publish("order", "order.placed")
    first = wire.deliver("payment", placed)
    copy = wire.deliver("payment", placed, copy=True)
    assert (copy.message, first.attempt, copy.attempt) == (placed.message, 1, 2)


def test_answering_takes_the_first_decision_and_lets_all_hear() -> None:
    wire = Wire()
    told: list[str] = []

    def listening(name: str, action: object) -> Callable[[object], object]:
        def hear(_: object) -> object:
            told.append(name)
            return action

        return hear

    answer = wire.recorder.answering([listening("a", FORWARD), listening("b", Drop()), listening("c", Cut())])  # type: ignore[list-item]
    fact = facts.Published(facts.Origin("order", 1, 1), 1, message("order.placed"))
    heard = wire.recorder.heard(fact, Link())
    assert answer(heard) == Drop()
    assert told == ["a", "b", "c"]
    assert len(wire.history.of(Lost)) == 1


def test_what_a_publish_owes_is_what_was_bound_at_that_time() -> None:
    wire = Wire()
    wire.declare("payment", "order.*")
    wire.recorder.driving(1)
    wire.publish("order", "order.placed")
    wire.declare("stock", "order.placed")
    wire.publish("order", "order.placed")
    wire.publish("order", "nobody.cares")
    assert [entry.owed for entry in wire.history.of(Published)] == [("payment",), ("payment", "stock"), ()]


def test_a_driver_that_publishes_itself_starts_its_saga() -> None:
    wire = Wire()
    wire.recorder.driving(1, "A")
    name = wire.recorder.published_by_driver(1, message("order.placed"))
    wire.recorder.confirmed_to_driver(name)
    wire.recorder.drove(1, "place", "ok", correlation="A")
    assert wire.deliver("payment", message("order.placed")).message == name == "1:order.placed"


def test_a_saga_whose_stimulus_was_never_answered_is_known_by_its_first_message() -> None:
    wire = Wire()
    wire.recorder.driving(1)
    wire.recorder.drove(1, "place", "unknown", detail="connection reset")
    assert wire.publish("order", "order.placed", "A").message == "1:order.placed"
    assert wire.publish("order", "order.placed", "B").saga == 0
