"""Selectors, on messages and bodies of every kind."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misstep.harness.choreography.bodies import LARGEST_JSON, read_body
from misstep.harness.choreography.paths import MISSING
from misstep.harness.choreography.selectors import PROPERTIES, parse_selector, select
from misstep.harness.choreography.words import Selector
from misstep.harness.wire.facts import Message
from pamqp import commands

MESSAGE = Message(
    exchange="events",
    routing_key="order.placed",
    body=b'{"order": {"id": 7, "lines": [{"sku": "A"}]}, "a.b": true, "none": null, "empty": "", "half": 0.5}',
    properties={"type": "OrderPlaced", "message_id": "m-1", "timestamp": datetime(2024, 1, 2, tzinfo=UTC)},
    headers={"event-type": b"placed", "n": 3, "deep": {"x": "y"}, "bytes": b"\xff"},
)


class TestParsing:
    @pytest.mark.parametrize(
        "text",
        ["routing_key", "queue", "topic", "exchange", "header:x-type", "property:type", "body:a.b", "body:/^(a)/"],
    )
    def test_a_selector_is_written_as_it_is_read(self, text: str) -> None:
        assert str(parse_selector(text)) == text

    def test_json_may_be_named(self) -> None:
        assert parse_selector("body:json:order.id") == Selector("body", "order.id")

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "one of routing_key"),
            ("routing-key", "did you mean routing_key?"),
            ("routing_key:x", "routing_key alone"),
            ("queue:", "queue alone"),
            ("header", "header:NAME"),
            ("body:", "body:NAME"),
            ("property:correlationid", "did you mean correlation_id?"),
            ("body:/(/", "a regular expression"),
        ],
    )
    def test_what_is_none_is_refused_with_what_was_expected(self, text: str, expected: str) -> None:
        with pytest.raises(ValueError, match=r".") as caught:
            parse_selector(text)
        assert expected in str(caught.value)

    @given(st.text())
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            told = str(parse_selector(text))
        except ValueError as error:
            told = str(error)
        assert told


class TestSelecting:
    @pytest.mark.parametrize(
        ("selector", "value"),
        [
            ("routing_key", "order.placed"),
            ("queue", "payments"),
            ("exchange", "events"),
            ("topic", "events"),
            ("header:event-type", "placed"),
            ("header:n", "3"),
            ("header:deep.x", "y"),
            ("header:bytes", "base64:/w=="),
            ("header:absent", None),
            ("property:type", "OrderPlaced"),
            ("property:timestamp", "2024-01-02T00:00:00+00:00"),
            ("property:reply_to", None),
            ("body:order.id", "7"),
            ("body:$.order.lines[0].sku", "A"),
            ("body:order.lines", '[{"sku":"A"}]'),
            ("body:a.b", "true"),
            ("body:half", "0.5"),
            ("body:none", None),
            ("body:empty", None),
            ("body:absent.path", None),
            ("body:order.lines.9.sku", None),
            ("body:order.id.real", None),
            ('body:/"id": (\\d+)/', "7"),
            ("body:/order/", "order"),
            ("body:/absent/", None),
        ],
    )
    def test_each_part_is_found(self, selector: str, value: str | None) -> None:
        assert select(parse_selector(selector), MESSAGE, "payments") == value

    def test_an_unknown_queue_is_nothing(self) -> None:
        assert select(parse_selector("queue"), MESSAGE) is None


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "order_id"),
        [
            (b'{"order_id": "o-1"}', "o-1"),
            (b"{'order_id': 'o-1'}", "o-1"),
            (b"{'order_id': \"o-1\", 'ok': True, 'n': None, 'b': b'x', 't': (1, -2.5e3)}", "o-1"),
            (b'\xef\xbb\xbf{"order_id": "o-1"}', "o-1"),
            ('{"order_id": "o-1"}'.encode("utf-16"), "o-1"),
            (b'{"order_id": "o-1", "price": NaN}', "o-1"),
            (b'{"order_id": "\\ud800"}', "?"),
            (b"order_id:o-1", None),
            (b"o-1", None),
            (b"", None),
            (b"\x00\x01\xff", None),
            (b"\x80\x03}q\x00.", None),
            (b"{'order_id': datetime.now()}", None),
            (b"{'order_id': __import__('os')}", None),
            (b"{'order_id': '\\d'}", None),
            (b"{'order_id': 1if 0else 2}", None),
            (b"{'order_id': 'o-1'", None),
            (b"{{'order_id'}: 1}", None),
            (b"{'order_id': ('a' 'b')('c')}", None),
            (b"[" * 100_000, None),
            (b"(" * 100_000, None),
            (b'{"a":' * 100_000, None),
            (b"{'order_id': " + b"9" * 6000 + b"}", None),
            (b"'" * 100_000, None),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_whatever_it_is_nothing_is_raised(self, body: bytes, order_id: str | None) -> None:
        message = Message("", "", body)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert select(Selector("body", "order_id"), message) == order_id

    def test_plain_text_is_searched(self) -> None:
        message = Message("", "", b"order:o-1\xff:99.50")
        assert select(parse_selector(r"body:/^order:([\w-]+)/"), message) == "o-1"

    def test_a_huge_body_is_not_looked_into(self) -> None:
        assert read_body(b'{"a": 1}' + b" " * LARGEST_JSON) is MISSING

    def test_a_body_of_megabytes_is(self) -> None:
        body = json.dumps({"padding": "x" * 3_000_000, "order_id": "o-1"}).encode()
        assert select(Selector("body", "order_id"), Message("", "", body)) == "o-1"

    @given(st.binary())
    def test_any_bytes_are_read(self, body: bytes) -> None:
        for path in ("a", "/(.)/", "0"):
            found = select(Selector("body", path), Message("", "", body))
            assert found is None or found.encode()

    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats(allow_nan=False)
            | st.text()
            | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
        )
    )
    def test_what_python_prints_is_read_back(self, value: object) -> None:
        body = repr({"order_id": "o-1", "v": value}).encode(errors="replace")
        found = select(Selector("body", "order_id"), Message("", "", body))
        assert found == "o-1" or "inf" in repr(value) or "\\x" in repr(value) or "\\u" in repr(value)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_any_json_is_read_back(self, value: object) -> None:
        assert read_body(json.dumps(value).encode()) == value


def test_the_properties_are_those_of_the_specification() -> None:
    slots = set(commands.Basic.Properties.__slots__) - {"headers", "message_type"}
    assert slots | {"type"} == set(PROPERTIES)
