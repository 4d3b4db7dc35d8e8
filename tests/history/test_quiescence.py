from __future__ import annotations

from misstep.harness.brokers.port import QueueState
from misstep.harness.history.entries import Delivered, Drove, Published, Settled
from misstep.harness.history.history import History
from misstep.harness.quiescence import FLOOR, Moving, Silence, Stillness, judge, learn
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import Drop, Hold, Kill

from .wires import Wire

LEARNED = Silence(default=1.0, gaps={"order": 0.0, "payment": 0.0})


def look(
    wire: Wire, *queues: QueueState, silence: Silence = LEARNED, later: float = 0.0, **fields: object
) -> Stillness:
    moving: dict[str, object] = {
        "now": wire.now + later,
        "deadline": wire.now + 60.0,
        "queues": queues,
        "wire": wire.recorder.wire,
        "able": frozenset({"order", "payment"}),
        **fields,
    }
    return judge(Moving(**moving), silence)  # type: ignore[arg-type]


def consuming() -> Wire:
    wire = Wire()
    wire.declare("payment", "order.*")
    return wire


def test_nothing_left_is_quiet_after_the_floor() -> None:
    wire = consuming()
    wire.confirm(wire.publish("order", "order.placed"))
    assert not look(wire).quiet
    assert look(wire).wait > 0
    assert look(wire, later=FLOOR).quiet


def test_ready_messages_move_where_somebody_consumes() -> None:
    wire = consuming()
    busy = look(wire, QueueState("payment", 2, 0, 1), later=9)
    assert busy.moving == ("2 messages ready in queue payment, consumed by payment",)
    assert look(wire, QueueState("audit", 2, 0, 0), later=9).quiet


def test_a_consumer_that_is_gone_from_a_service_that_is_up_moves() -> None:
    wire = consuming()
    wire.close("payment", clean=False)
    state = QueueState("payment", 1, 0, 0)
    assert look(wire, state, later=9).moving == ("1 message ready in queue payment, whose consumer (payment) is gone",)
    assert look(wire, state, later=9, able=frozenset({"order"})).quiet


def test_unsettled_and_unconfirmed_move() -> None:
    wire = consuming()
    sent = wire.publish("order", "order.placed")
    assert look(wire, later=9).moving == (f"{sent.message} from order not confirmed by the broker",)
    wire.confirm(sent)
    work = wire.deliver("payment", sent)
    assert "unsettled by payment, from queue payment" in look(wire, later=9).moving[0]
    wire.settle(work)
    assert look(wire, later=9).quiet


def test_what_misstep_holds_back_does_not_move() -> None:
    wire = consuming()
    sent = wire.publish("order", "order.placed")
    wire.confirm(sent)
    wire.links["payment"].tickets.append("t")
    held = wire.deliver("payment", sent, Hold("t"))
    full = QueueState("payment", 1, 1, 1)
    assert look(wire, full, later=9).quiet
    held.control.release("t")
    assert not look(wire, full, later=9).quiet


def test_an_acknowledgement_that_was_swallowed_does_not_move() -> None:
    wire = consuming()
    sent = wire.publish("order", "order.placed")
    wire.confirm(sent)
    wire.settle(wire.deliver("payment", sent), action=Kill())
    assert look(wire, later=9).quiet


def test_somebody_past_our_links_moves() -> None:
    wire = consuming()
    assert "by nobody on a link" in look(wire, QueueState("payment", 0, 1, 1), later=9).moving[0]


def test_a_timer_moves_unless_it_is_due_after_the_deadline() -> None:
    wire = consuming()
    retry = QueueState("retry", 1, 0, 0, ttl_due=2.0, dead_letters=True)
    assert look(wire, retry, later=9).moving == ("a message in queue retry moves on in 2.0 s",)
    assert look(wire, QueueState("retry", 1, 0, 0, ttl_due=86400.0, dead_letters=True), later=9).quiet
    assert look(wire, QueueState("retry", 1, 0, 0, ttl_due=2.0), later=9).quiet


def test_outboxes_and_pending_work_move() -> None:
    seen = look(consuming(), later=9, pending=("driver place",), outboxes={"orders": 2, "stock": 0})
    assert seen.moving == ("driver place", "2 rows in the outbox of store orders")


def test_an_exclusive_queue_is_known_from_the_wire_alone() -> None:
    wire = Wire()
    origin = facts.Origin("payment", 1, 1)
    wire.tell(facts.DeclaredExchange(origin, "events", "topic"))
    wire.tell(facts.DeclaredQueue(origin, "amq.gen-1", exclusive=True))
    wire.tell(facts.Bound(origin, "events", "amq.gen-1", "#"))
    wire.tell(facts.Consuming(origin, "amq.gen-1", "c", auto_ack=True))
    sent = wire.publish("order", "order.placed")
    wire.confirm(sent)
    assert look(wire, later=9).moving == ("1 message ready in exclusive queue amq.gen-1",)
    wire.deliver("payment", sent, queue="amq.gen-1", unsettled=False)
    assert look(wire, later=9).quiet


def test_an_open_transaction_moves() -> None:
    wire = consuming()
    origin = facts.Origin("order", 1, 1)
    message = facts.Message("events", "x", b"{}")
    wire.tell(facts.Published(origin, 99, message, transactional=True))
    assert look(wire, later=9).moving == ("a transaction of order with the broker is open",)
    wire.tell(facts.PassedThrough(origin, "tx.commit", 8))
    assert look(wire, later=9).quiet


def test_a_first_clean_run_and_an_open_saga_wait_for_the_whole_silence() -> None:
    wire = consuming()
    wire.confirm(wire.publish("order", "order.placed"))
    assert not look(wire, silence=Silence(default=1.0), later=0.9).quiet
    assert look(wire, silence=Silence(default=1.0), later=1.0).quiet
    assert not look(wire, later=0.9, open_sagas=1).quiet


def test_a_relay_may_be_silent_three_times_as_long_as_it_was() -> None:
    wire = consuming()
    wire.settle(wire.deliver("payment", wire.confirm(wire.publish("order", "x")) and wire.publish("order", "y")))
    wire.recorder.wire.unconfirmed.clear()
    slow = Silence(default=1.0, gaps={"order": 0.0, "payment": 0.4})
    assert not look(wire, silence=slow, later=1.2).quiet
    assert look(wire, silence=slow, later=1.3).quiet


def test_clean_runs_teach_who_publishes_by_itself() -> None:
    history = History()
    history.append(Published(at=0.5, message="1:a", event="a", saga=1, service="order"))
    history.append(Drove(at=1.0, saga=1, driver="d", result="ok"))
    for service, queue, number in (("payment", "p", 1), ("stock", "s", 2)):
        history.append(
            Delivered(at=1.0, message="1:a", event="a", saga=1, queue=queue, service=service, delivery=number)
        )
    history.append(Published(at=1.5, message="1:a/b", event="b", saga=1, service="payment", cause="1:a"))
    for service, queue, number in (("payment", "p", 1), ("stock", "s", 2)):
        history.append(Settled(at=2.0, message="1:a", queue=queue, service=service, delivery=number, outcome="ack"))
    history.append(Published(at=2.3, message="1:a/c", event="c", saga=1, service="stock", cause="1:a"))
    silence = learn([history], default=1.0)
    assert silence.gaps["payment"] == 0.0
    assert abs(silence.gaps["stock"] - 0.3) < 1e-9
    assert silence.of("stranger") == 1.0


def test_a_request_that_was_answered_first_teaches_its_relay() -> None:
    history = History()
    history.append(Drove(at=1.0, saga=1, driver="d", result="ok"))
    history.append(Published(at=1.2, message="1:a", event="a", saga=1, service="order"))
    assert abs(learn([history], default=1.0).gaps["order"] - 0.2) < 1e-9


def test_what_never_reached_an_exclusive_queue_does_not_wait_there() -> None:
    wire = Wire()
    origin = facts.Origin("payment", 1, 1)
    wire.tell(facts.Opened(origin))
    wire.tell(facts.DeclaredExchange(origin, "events", "direct"))
    wire.tell(facts.DeclaredQueue(origin, "amq.gen-1", exclusive=True))
    wire.tell(facts.Bound(origin, "events", "amq.gen-1", "copies"))
    wire.tell(facts.Consuming(origin, "amq.gen-1", "c1"))
    wire.publish("order", "order.placed", action=Drop(), headers={"CC": ["copies"]})
    assert look(wire, later=9).quiet
