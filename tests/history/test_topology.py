from __future__ import annotations

import pytest
from misstep.harness.brokers.port import Route
from misstep.harness.history.entries import Binding, Consumer, Exchange, Queue
from misstep.harness.history.history import History
from misstep.harness.history.topology import Declared, Topology
from misstep.harness.wire import facts
from misstep.harness.wire.topics import topic_matches

from .wires import Wire


def known(kind: str, *bindings: tuple[str, str]) -> Topology:
    topology = Topology()
    topology.exchange("events", kind)
    for key, queue in bindings:
        topology.queue(queue, Declared())
        topology.bound(Route("events", queue, key, ""))
    return topology


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("order.*", "order.placed", True),
        ("order.*", "order.placed.late", False),
        ("order.*", "order", False),
        ("order.#", "order", True),
        ("#.placed", "order.item.placed", True),
        ("*.#.placed", "placed", False),
        ("#", "", True),
        ("", "", True),
        ("*", "", False),
        ("a.#.b.#.c", "a.b.x.b.c", True),
    ],
)
def test_topic_keys(pattern: str, key: str, matches: bool) -> None:
    assert topic_matches(pattern, key) is matches


@pytest.mark.parametrize(
    ("kind", "key", "queues"),
    [
        ("direct", "order.placed", ("one",)),
        ("direct", "order.paid", ()),
        ("topic", "order.placed", ("one", "two")),
        ("fanout", "whatever", ("one", "two")),
        ("headers", "order.placed", None),
    ],
)
def test_each_kind_routes_its_own_way(kind: str, key: str, queues: tuple[str, ...] | None) -> None:
    assert known(kind, ("order.placed", "one"), ("order.#", "two")).routes_to("events", key) == queues


def test_what_is_not_known_is_said_to_be_so() -> None:
    topology = known("topic", ("#", "one"))
    assert topology.routes_to("elsewhere", "x") is None
    assert topology.routes_to("", "one") == ("one",)
    assert topology.routes_to("", "nobody") is None
    topology.asked([Route("events", "one", "#", "topic")], ["one"])
    assert topology.routes_to("", "nobody") == ()


def test_exchanges_lead_to_exchanges_and_never_in_circles() -> None:
    topology = known("topic", ("order.*", "one"))
    topology.exchange("audit", "fanout")
    topology.queue("all", Declared())
    topology.bound(Route("audit", "all", "", ""))
    topology.bound(Route("events", "audit", "#", "", to_exchange=True))
    topology.bound(Route("audit", "events", "", "", to_exchange=True))
    assert topology.routes_to("events", "order.placed") == ("all", "one")
    topology.bound(Route("audit", "unheard of", "", "", to_exchange=True))
    assert topology.routes_to("events", "order.placed") is None


def test_an_alternate_exchange_takes_what_no_binding_does() -> None:
    topology = known("fanout", ("", "rest"))
    topology.exchange("orders", "direct", {"alternate-exchange": "events"})
    assert topology.routes_to("orders", "x") == ("rest",)


def test_further_keys_of_a_message_are_followed() -> None:
    topology = known("direct", ("a", "one"), ("b", "two"))
    assert topology.routes_to("events", "a", {"CC": ["b"]}) == ("one", "two")


def test_a_binding_may_be_taken_away_again() -> None:
    topology = known("direct", ("a", "one"))
    assert topology.routes_to("events", "a") == ("one",)
    topology.unbound(Route("events", "one", "a", "direct"))
    assert topology.routes_to("events", "a") == ()
    topology = known("direct", ("a", "one"))
    topology.deleted_queue("one")
    assert topology.routes_to("events", "a") == ()
    topology.deleted_exchange("events")
    assert topology.routes_to("events", "a") is None


def test_queues_go_with_their_connection_or_their_last_consumer() -> None:
    wire = Wire()
    origin = facts.Origin("screen", 1, 1)
    wire.tell(facts.DeclaredExchange(origin, "events", "fanout"))
    for name, exclusive in (("mine", True), ("shared", False)):
        wire.tell(facts.DeclaredQueue(origin, name, exclusive=exclusive, auto_delete=not exclusive))
        wire.tell(facts.Bound(origin, "events", name, ""))
    wire.tell(facts.Consuming(origin, "shared", "c"))
    topology = wire.recorder.topology
    assert topology.routes_to("events", "x") == ("mine", "shared")
    wire.tell(facts.Cancelled(origin, "c"))
    assert topology.routes_to("events", "x") == ("mine",)
    wire.close("screen")
    assert topology.routes_to("events", "x") == ()


def test_a_warm_runs_history_begins_with_what_stands() -> None:
    wire = Wire()
    wire.declare("payment", "order.*")
    wire.recorder.begin(warm := History())
    assert [entry.exchange for entry in warm.of(Exchange)] == ["events"]
    assert [entry.queue for entry in warm.of(Queue)] == ["payment"]
    assert [(entry.target, entry.routing_key) for entry in warm.of(Binding)] == [("payment", "order.*")]
    assert [(entry.service, entry.consuming) for entry in warm.of(Consumer)] == [("payment", True)]
    wire.close("payment")
    assert warm.of(Consumer)[-1].consuming is False


def test_what_the_broker_answers_is_recorded_once() -> None:
    wire = Wire()
    wire.declare("payment", "order.*")
    wire.recorder.asked(
        [Route("events", "payment", "order.*", "topic"), Route("events", "audit", "#", "topic")], ["payment", "audit"]
    )
    assert [entry.queue for entry in wire.history.of(Queue)] == ["payment", "audit"]
    assert [entry.target for entry in wire.history.of(Binding)] == ["payment", "audit"]
    wire.recorder.driving(1)
    wire.publish("order", "order.placed")
    assert wire.recorder.topology.routes_to("events", "order.placed") == ("audit", "payment")
