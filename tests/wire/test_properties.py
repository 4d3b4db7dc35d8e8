"""What holds for every stream: chunking changes nothing, settlements mean the same on both sides, tables survive."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from misstep.harness.wire.amqp.content import decode_properties, encode_content
from misstep.harness.wire.amqp.tables import decode_table, encode_table
from misstep.harness.wire.amqp.tags import Outstanding
from misstep.harness.wire.facts import Delivered, Fact, Message, Published
from misstep.harness.wire.interceptor import FORWARD, Action, Drop, Hold, Inject
from pamqp import commands

from .stand import Stand, ack, content, decoded, deliver, marshal, nack, publish

BODIES = st.one_of(st.binary(max_size=20), st.integers(1, 200_000).map(lambda size: b"x" * size))
UPWARD = st.one_of(
    BODIES.map(publish),
    st.builds(ack, st.integers(1, 5), multiple=st.booleans()),
    st.builds(nack, st.integers(1, 5), multiple=st.booleans(), requeue=st.booleans()),
    st.just(marshal(commands.Queue.Declare(0, "q"))),
    st.just(b"\x08\x00\x00\x00\x00\x00\x00\xce"),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(UPWARD, max_size=8), st.lists(st.integers(1, 50_000), max_size=12), st.binary(max_size=12))
def test_chunking_changes_neither_facts_nor_bytes(frames: list[bytes], cuts: list[int], tail: bytes) -> None:
    data = b"".join(frames) + tail
    whole, pieces = Stand(), Stand()
    for stand in (whole, pieces):
        stand.consume()
        stand.broker(deliver(1, b"a") + deliver(2, b"b") + deliver(3, b"c"))
    expected = whole.service(data)[0]
    found, rest = b"", data
    for cut in cuts:
        found += pieces.service(rest[:cut])[0]
        rest = rest[cut:]
    found += pieces.service(rest)[0]
    assert found == expected
    known = [fact for fact in whole.facts if type(fact).__name__ != "PassedThrough"]
    assert [fact for fact in pieces.facts if type(fact).__name__ != "PassedThrough"] == known
    assert pieces.session.degraded == whole.session.degraded


class Broker:
    """One channel's unsettled deliveries, as the specification has them."""

    def __init__(self) -> None:
        self.last = 0
        self.unsettled: dict[int, bytes] = {}
        self.settled: list[bytes] = []

    def deliver(self, payload: bytes) -> bytes:
        self.last += 1
        self.unsettled[self.last] = payload
        return deliver(self.last, payload)

    def take(self, data: bytes) -> None:
        for _, each in decoded(data):
            assert isinstance(each, commands.Basic.Ack), each
            up_to = each.delivery_tag
            tags = [tag for tag in self.unsettled if tag == up_to or (each.multiple and tag <= up_to)]
            assert tags, f"ack of {up_to}, unsettled are {list(self.unsettled)}"
            self.settled += [self.unsettled.pop(tag) for tag in tags]


class Client:
    """The same, as the client sees it."""

    def __init__(self) -> None:
        self.unsettled: dict[int, bytes] = {}
        self.settled: list[bytes] = []

    def take(self, data: bytes) -> None:
        tag = 0
        for _, each in decoded(data):
            if isinstance(each, commands.Basic.Deliver):
                assert each.delivery_tag > max(self.unsettled, default=0)
                tag = each.delivery_tag
            elif hasattr(each, "value"):
                self.unsettled[tag] = each.value

    def ack(self, number: int, multiple: bool) -> bytes:
        known = list(self.unsettled)
        up_to = known[number % len(known)]
        tags = [tag for tag in known if tag == up_to or (multiple and tag <= up_to)]
        self.settled += [self.unsettled.pop(tag) for tag in tags]
        return ack(up_to, multiple=multiple)


MOVES = st.one_of(
    st.sampled_from([FORWARD, FORWARD, Hold("t"), Hold("u"), Drop(), Inject(1), Inject(2)]),
    st.sampled_from(["t", "u"]),
    st.tuples(st.integers(0, 9), st.booleans()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MOVES, max_size=30))
def test_settlements_mean_the_same_on_both_sides(moves: list[Action | str | tuple[int, bool]]) -> None:
    """Whatever was held, dropped or added: the broker sees settled just what the client settled, copies apart."""
    broker, client = Broker(), Client()
    answers: list[Action] = []
    copies: set[int] = set()

    def answer(fact: Fact) -> Action:
        if isinstance(fact, Delivered):
            if fact.copy:
                copies.add(fact.delivery)
                return FORWARD
            return answers.pop()
        return FORWARD

    stand = Stand(answer)
    stand.consume()
    genuine: dict[bytes, int] = {}
    for number, move in enumerate(moves):
        if isinstance(move, str):
            stand.session.release(move)
            client.take(stand.session.take_for_service())
        elif isinstance(move, tuple):
            if client.unsettled:
                up, down = stand.service(client.ack(*move))
                broker.take(up)
                client.take(down)
        else:
            answers.append(move)
            payload = f"{number}".encode()
            down, _ = stand.broker(broker.deliver(payload))
            genuine[payload] = (isinstance(move, Inject) and move.copies) or 0
            client.take(down)
    for payload, copied in genuine.items():
        if copied == 0:
            assert client.settled.count(payload) == broker.settled.count(payload)
        else:
            assert client.settled.count(payload) <= 1 + copied
            assert broker.settled.count(payload) <= min(1, client.settled.count(payload))
            if payload not in client.unsettled.values():
                assert broker.settled.count(payload) == 1
    assert not stand.session.degraded


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 12), unique=True, min_size=1), st.sets(st.integers(1, 12)))
def test_settling_exactly_these(outstanding: list[int], chosen: set[int]) -> None:
    """The settlements that are made up cover what was chosen, and nothing else."""
    numbers: Outstanding[str] = Outstanding()
    for number in sorted(outstanding):
        numbers.put(number, str(number))
    wanted = sorted(chosen & set(outstanding))
    left = set(outstanding)
    for number, multiple in numbers.settle(wanted) if wanted else ():
        covered = {each for each in left if each == number or (multiple and each <= number)}
        assert covered <= set(wanted)
        left -= covered
    assert left == set(outstanding) - set(wanted)
    assert len(numbers) == len(left)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=12), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=8))
def test_confirms_reach_the_publishes_they_are_of(dropped: list[bool], confirms: list[tuple[int, bool]]) -> None:
    """With publishes dropped at will, the client is confirmed just those that the broker confirmed."""
    stand = Stand(lambda fact: Drop() if isinstance(fact, Published) and dropped[fact.publish - 1] else FORWARD)
    stand.confirm()
    at_broker = []
    for number, drop in enumerate(dropped, 1):
        stand.service(publish(b"x"))
        if not drop:
            at_broker.append(number)
    unconfirmed = dict(enumerate(at_broker, 1))
    at_client = set(range(1, len(dropped) + 1))
    expected = set()
    for choice, multiple in confirms:
        if not unconfirmed:
            break
        number = list(unconfirmed)[choice % len(unconfirmed)]
        numbers = [each for each in unconfirmed if each == number or (multiple and each <= number)]
        expected |= {unconfirmed.pop(each) for each in numbers}
        for _, each in decoded(stand.broker(ack(number, multiple=multiple))[0]):
            assert isinstance(each, commands.Basic.Ack)
            tag = each.delivery_tag
            at_client -= {one for one in at_client if one == tag or (each.multiple and one <= tag)}
    assert set(range(1, len(dropped) + 1)) - at_client == expected


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.text(max_size=9),
        st.binary(max_size=9).map(bytearray),
        st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC)),
        st.decimals(min_value=0, max_value=100, places=2),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TABLES = st.dictionaries(st.text(max_size=9), VALUES, max_size=6)


@settings(max_examples=200, deadline=None)
@given(TABLES, TABLES)
def test_tables_come_back_as_they_were(table: dict[str, object], change: dict[str, object]) -> None:
    encoded = encode_table(table)
    assert decode_table(encoded) == table
    assert encode_table(decode_table(encoded), encoded) == encoded
    changed = table | change
    assert decode_table(encode_table(changed, encoded)) == changed


def test_a_changed_message_keeps_the_types_of_what_did_not_change() -> None:
    original = content(
        commands.Basic.Publish(0, "", "q"),
        b"x",
        commands.Basic.Properties(
            headers={"short": 5, "price": Decimal("1.25"), "when": datetime(2020, 1, 1, tzinfo=UTC)}
        ),
    )
    start = len(marshal(commands.Basic.Publish(0, "", "q")))
    header = original[start : -len(b"\x03\x00\x01\x00\x00\x00\x01x\xce")]
    wide = header.replace(b"\x05shortb\x05", b"\x05shortl" + (5).to_bytes(8, "big"))
    grown = wide[:3] + (len(wide) - 8).to_bytes(4, "big") + wide[7:]
    table_at = 21
    size = int.from_bytes(grown[table_at : table_at + 4], "big") + 7
    grown = grown[:table_at] + size.to_bytes(4, "big") + grown[table_at + 4 :]
    properties, headers = decode_properties(grown)
    assert headers["short"] == 5
    encoded = encode_content(1, Message("", "q", b"yy", properties, headers | {"new": 1.5}), 131072, grown)
    assert b"\x05shortl" + (5).to_bytes(8, "big") in encoded
    _, found = decode_properties(encoded)
    assert found == headers | {"new": 1.5}
