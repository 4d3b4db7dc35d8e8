"""A connection's life through the session: opening, topology, ends, and what cannot be understood."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from misstep.harness.brokers.port import Credentials
from misstep.harness.wire.amqp.connection import Dial
from misstep.harness.wire.facts import (
    Bound,
    Cancelled,
    Closed,
    Confirmed,
    Consuming,
    DeclaredExchange,
    DeclaredQueue,
    Deleted,
    Delivered,
    Fact,
    Opened,
    Origin,
    PassedThrough,
    Published,
    Settled,
)
from misstep.harness.wire.interceptor import FORWARD, Action, Cut, Drop, Hold, Inject
from misstep.harness.wire.session import Session
from pamqp import commands, frame

from .stand import Stand, ack, content, deliver, marshal, publish, shown

CONNECTION = Origin("payment", 1)
CHANNEL = Origin("payment", 1, 1)
START_OK = commands.Connection.StartOk(
    {"product": "client", "connection_name": "billing", "capabilities": {"basic.nack": True}},
    "PLAIN",
    "\0guest\0guest",
    "en_US",
)


def test_a_session_is_one() -> None:
    session: Session = Stand().session
    assert session.drained


def test_a_connection_is_told_once_it_is_open() -> None:
    stand = Stand(opened=False)
    for data in (b"AMQP\x00\x00\x09\x01", marshal(START_OK, 0)):
        assert stand.service(data)[0] == data
    stand.broker(marshal(commands.Connection.Tune(0, 4096, 60), 0))
    stand.service(marshal(commands.Connection.TuneOk(0, 4096, 60), 0) + marshal(commands.Connection.Open("/"), 0))
    assert stand.facts == []
    stand.broker(marshal(commands.Connection.OpenOk(), 0))
    assert stand.facts == [Opened(CONNECTION, "billing")]


def test_credentials_and_virtual_host_are_the_remote_brokers() -> None:
    stand = Stand(opened=False, dial=Dial(Credentials("pay", "s3cret"), "staging"))
    stand.service(b"AMQP\x00\x00\x09\x01")
    up, _ = stand.service(marshal(START_OK, 0))
    _, _, start_ok = frame.unmarshal(up)
    assert isinstance(start_ok, commands.Connection.StartOk)
    assert (start_ok.mechanism, start_ok.response, start_ok.locale) == ("PLAIN", "\0pay\0s3cret", "en_US")
    assert start_ok.client_properties == START_OK.client_properties
    up, _ = stand.service(marshal(commands.Connection.Open("/"), 0))
    assert up == marshal(commands.Connection.Open("staging"), 0)
    assert "s3cret" not in repr(stand.session._connection.dial)


def asked(stand: Stand, request: frame.FrameTypes, reply: frame.FrameTypes) -> list[Fact]:
    """Send a request and its reply through; return what was told, which is nothing before the reply."""
    stand.facts.clear()
    assert stand.service(marshal(request))[0] == marshal(request)
    assert stand.facts == []
    assert stand.broker(marshal(reply))[0] == marshal(reply)
    return list(stand.facts)


def test_topology_is_told_once_the_broker_has_agreed() -> None:
    stand = Stand()
    exchange, queue, basic = commands.Exchange, commands.Queue, commands.Basic
    assert asked(stand, exchange.Declare(0, "x", "topic", durable=True), exchange.DeclareOk()) == [
        DeclaredExchange(CHANNEL, "x", "topic", durable=True)
    ]
    assert asked(stand, exchange.Declare(0, "x", "topic", passive=True), exchange.DeclareOk()) == []
    assert asked(stand, queue.Declare(0, "", exclusive=True), queue.DeclareOk("amq.gen-1", 0, 0)) == [
        DeclaredQueue(CHANNEL, "amq.gen-1", exclusive=True)
    ]
    assert asked(stand, queue.Bind(0, "", "x", "order.#"), queue.BindOk()) == [
        Bound(CHANNEL, "x", "amq.gen-1", "order.#")
    ]
    assert asked(stand, queue.Unbind(0, "", "x", "order.#"), queue.UnbindOk()) == [
        Bound(CHANNEL, "x", "amq.gen-1", "order.#", bound=False)
    ]
    assert asked(stand, exchange.Bind(0, "y", "x", "k"), exchange.BindOk()) == [
        Bound(CHANNEL, "x", "y", "k", to_exchange=True)
    ]
    assert asked(stand, exchange.Unbind(0, "y", "x", "k"), exchange.UnbindOk()) == [
        Bound(CHANNEL, "x", "y", "k", to_exchange=True, bound=False)
    ]
    assert asked(stand, basic.Qos(0, 7, False), basic.QosOk()) == []
    assert asked(stand, basic.Consume(0, "", ""), basic.ConsumeOk("amq.ctag-1")) == [
        Consuming(CHANNEL, "amq.gen-1", "amq.ctag-1", prefetch=7)
    ]
    assert asked(stand, basic.Cancel("amq.ctag-1"), basic.CancelOk("amq.ctag-1")) == [Cancelled(CHANNEL, "amq.ctag-1")]
    assert asked(stand, queue.Purge(0, ""), queue.PurgeOk(3)) == [Deleted(CHANNEL, "purge", "amq.gen-1")]
    assert asked(stand, queue.Delete(0, "amq.gen-1"), queue.DeleteOk(0)) == [Deleted(CHANNEL, "queue", "amq.gen-1")]
    assert asked(stand, exchange.Delete(0, "x"), exchange.DeleteOk()) == [Deleted(CHANNEL, "exchange", "x")]


def test_what_has_no_reply_is_told_when_it_is_sent() -> None:
    stand = Stand()
    stand.service(
        marshal(commands.Queue.Declare(0, "q", durable=True, nowait=True, arguments={"x-max-length": 3}))
        + marshal(commands.Basic.Consume(0, "", "c", no_ack=True, nowait=True))
        + marshal(commands.Basic.Cancel("c", nowait=True))
    )
    assert stand.facts == [
        DeclaredQueue(CHANNEL, "q", durable=True, arguments={"x-max-length": 3}),
        Consuming(CHANNEL, "q", "c", auto_ack=True),
        Cancelled(CHANNEL, "c"),
    ]


def test_the_broker_may_cancel_a_consumer() -> None:
    stand = Stand()
    stand.consume()
    cancel = marshal(commands.Basic.Cancel("c", True))
    assert stand.broker(cancel)[0] == cancel
    assert stand.facts == [Cancelled(CHANNEL, "c", "broker")]


@pytest.mark.parametrize("by", ["service", "broker"])
def test_ends_are_told_once_with_who_ended_it(by: str) -> None:
    stand = Stand()
    send = stand.service if by == "service" else stand.broker
    send(marshal(commands.Channel.Close(406, "PRECONDITION_FAILED", 60, 80)))
    send(marshal(commands.Connection.Close(200, "bye", 0, 0), 0))
    stand.session.lost("broker")
    stand.session.lost("service")
    assert stand.facts == [
        Closed(CHANNEL, by, 406, "PRECONDITION_FAILED", clean=False),
        Closed(CONNECTION, by, 200, "bye", clean=True),
    ]


def test_a_socket_that_just_ends_is_told() -> None:
    stand = Stand()
    stand.session.lost("service")
    assert stand.facts == [Closed(CONNECTION, "service", clean=False)]


def test_what_the_broker_sends_to_a_closing_channel_is_not_told() -> None:
    stand = Stand()
    stand.consume()
    stand.service(marshal(commands.Channel.Close(200, "", 0, 0)))
    stand.facts.clear()
    assert stand.broker(deliver(1, b"a"))[0] == deliver(1, b"a")
    assert stand.facts == []


def test_transactions_and_unknown_methods_pass_and_are_told() -> None:
    stand = Stand()
    unknown = b"\x01\x00\x01\x00\x00\x00\x06\x00\x63\x00\x07hi\xce"
    short = b"\x01\x00\x01\x00\x00\x00\x02\x00\x32\xce"
    sent = marshal(commands.Tx.Select()) + publish(b"a") + marshal(commands.Tx.Commit()) + unknown + short
    assert stand.service(sent)[0] == sent
    assert [fact.what for fact in stand.told(PassedThrough)] == ["tx.select", "tx.commit", "method 99.7", "method 0.0"]
    assert stand.told(Published)[0].transactional
    assert not stand.session.degraded


def test_heartbeats_pass_and_are_no_activity() -> None:
    stand = Stand(lambda fact: Hold("t") if isinstance(fact, Delivered) else FORWARD)
    stand.consume()
    stand.broker(deliver(1, b"a"))
    before = stand.session.stirred
    beat = b"\x08\x00\x00\x00\x00\x00\x00\xce"
    assert stand.broker(beat)[0] == beat
    assert stand.service(beat)[0] == beat
    assert stand.session.stirred == before


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x01\x00\x01\x00\x00\x00\x04\x00\x32\x00\x0a\xff",
        b"\x03\x00\x01\x00\x00\x00\x01x\xce",
        marshal(commands.Basic.Publish(0, "", "q")) + marshal(commands.Basic.Qos(0, 1, False)),
        b"\x01\x00\x01\x00\x00\x00\x07\x00\x32\x00\x0aabc\xce",
        b"\x01\x00\x01\x00\x00\x00\x05\x00\x3c\x00\x50\x00\xce",
    ],
)
def test_garbage_passes_and_is_told(garbage: bytes) -> None:
    stand = Stand()
    stand.confirm()
    unfinished = deliver(1, b"abc")[:-3]
    stand.broker(unfinished)
    up, down = stand.service(publish(b"good") + garbage + publish(b"late"))
    assert up == publish(b"good") + garbage + publish(b"late")
    assert down == unfinished
    assert stand.session.degraded
    assert len(stand.told(Published)) == 1
    assert "undecodable" in stand.told(PassedThrough)[-1].what
    assert stand.service(b"more")[0] == b"more"
    assert stand.broker(b"back")[0] == b"back"


def test_properties_that_cannot_be_decoded_are_told_and_the_message_too() -> None:
    stand = Stand()
    good = content(commands.Basic.Publish(0, "", "q"), b"x", commands.Basic.Properties(headers={"a": 1}))
    bad = good.replace(b"\x01ab\x01", b"\x01a?\x01")
    assert bad != good
    assert stand.service(bad)[0] == bad
    assert stand.told(PassedThrough)[0].what == "malformed properties"
    assert stand.told(Published)[0].message.body == b"x"


def test_a_broker_that_speaks_another_version_passes() -> None:
    stand = Stand(opened=False)
    stand.service(b"AMQP\x00\x00\x09\x01")
    assert stand.broker(b"AMQP\x00\x01\x00\x00")[0] == b"AMQP\x00\x01\x00\x00"


def test_a_fault_may_answer_any_fact() -> None:
    told: list[Fact] = []

    def exchanged(stand: Stand) -> None:
        asked_for = marshal(commands.Queue.Declare(0, "q"))
        stand.service(asked_for)
        stand.broker(marshal(commands.Queue.DeclareOk("q", 0, 0)))

    def answer(fact: Fact) -> Action:
        told.append(fact)
        return Cut()

    stand = Stand(answer)
    exchanged(stand)
    assert [type(fact) for fact in told] == [DeclaredQueue]
    assert stand.session.due == Cut()
    assert stand.session.take_for_service() == b""


def test_pending_counts_what_is_on_its_way() -> None:
    def answer(fact: Fact) -> Action:
        return Hold("t") if isinstance(fact, Settled) else Inject(1) if isinstance(fact, Delivered) else FORWARD

    stand = Stand(answer)
    stand.confirm()
    stand.consume(prefetch=1)
    assert stand.session.pending() == 0
    stand.service(publish(b"a"))
    assert stand.session.pending() == 1
    stand.broker(deliver(1, b"a"))
    assert stand.session.pending() == 2
    stand.service(ack(1))
    assert stand.session.pending() == 2
    stand.broker(ack(1))
    stand.session.release("t")
    assert stand.session.pending() == 0
    stand.service(b"\x01\x00")
    assert stand.session.pending() == 1


def test_a_link_of_many_kinds_is_heard_alike_however_its_bytes_are_cut() -> None:
    sent = [
        publish(b"abc"),
        publish(b""),
        ack(1, multiple=True),
        marshal(commands.Queue.Declare(0, "q")),
        publish(b"z" * 70_000),
    ]
    whole = _heard(lambda stand: [stand.service(b"".join(sent))[0]])
    for size in (1, 3, 7, 8, 4096):
        data = b"".join(sent)
        step = size
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert _heard(lambda stand, pieces=pieces: [stand.service(piece)[0] for piece in pieces]) == whole


def _heard(play: Callable[[Stand], list[bytes]]) -> tuple[list[Fact], bytes]:
    stand = Stand(lambda fact: Drop() if isinstance(fact, Confirmed) else FORWARD)
    stand.consume()
    stand.broker(deliver(1, b"x"))
    return stand.facts, b"".join(play(stand))


def test_shown_reads_what_the_stand_writes() -> None:
    assert shown(publish(b"a") + ack(3, multiple=True)) == [("publish", b"a"), ("ack", 3, True)]
