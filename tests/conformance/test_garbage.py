"""Whatever a client sends, the model answers in the protocol, and never breaks."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from misstep.harness.brokers.rabbitmq.model import Broker, Connection
from pamqp import commands, frame
from pamqp.commands import Channel
from pamqp.commands import Connection as Wire

from .client import PREAMBLE

_METHODS = st.builds(
    lambda index, arguments: struct.pack(">I", index) + arguments,
    st.sampled_from(sorted(commands.INDEX_MAPPING)),
    st.binary(max_size=40),
)
_PAYLOADS = st.one_of(_METHODS, st.binary(max_size=60))


def _framed(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


_FRAMES = st.builds(_framed, st.sampled_from([1, 1, 1, 2, 3, 8, 9]), st.integers(0, 2), _PAYLOADS)


def _connected() -> Connection:
    connection = Broker().connect("garbage", 0.0)
    connection.receive(PREAMBLE, 0.0)
    connection.receive(frame.marshal(Wire.StartOk({}, "PLAIN", "\0guest\0guest"), 0), 0.0)
    connection.receive(frame.marshal(Wire.TuneOk(10, 4096, 0), 0), 0.0)
    connection.receive(frame.marshal(Wire.Open("/"), 0), 0.0)
    connection.receive(frame.marshal(Channel.Open(), 1), 0.0)
    connection.outgoing()
    return connection


@settings(max_examples=500, derandomize=True, deadline=None, database=None)
@given(data=st.one_of(st.lists(_FRAMES, max_size=4).map(b"".join), st.binary(max_size=100)))
def test_garbage_never_breaks_the_model(data: bytes) -> None:
    connection = _connected()
    connection.receive(data, 1.0)
    answer = connection.outgoing()
    assert not answer or answer[-1:] == b"\xce"


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(greeting=st.binary(min_size=8, max_size=30).filter(lambda data: not data.startswith(PREAMBLE)))
def test_any_other_greeting_is_answered_with_the_right_one(greeting: bytes) -> None:
    connection = Broker().connect("garbage", 0.0)
    connection.receive(greeting, 0.0)
    assert connection.outgoing() == PREAMBLE
    assert connection.closed
