"""Paths into data, and the one form that data is compared in."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misstep.harness.choreography.paths import MISSING, walk, without
from misstep.harness.choreography.plain import canonical, plain, text_of

DATA = {"a": {"b": [{"c": 1}, {"c": 2}]}, "x.y": 3, "x": {"y": 4, "z": None}, "": 5}


class TestWalking:
    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("", DATA),
            ("$", DATA),
            ("a.b.1.c", 2),
            ("$.a.b[0].c", 1),
            ("x.y", 3),
            ("x.z", None),
            ("a.b.2", MISSING),
            ("a.b.-1", MISSING),
            ("a.b.c", MISSING),
            ("a.b.0.c.d", MISSING),
            ("a..b", MISSING),
            ("a.b.99999999999999999999", MISSING),
            ("a.b.²", MISSING),
        ],
    )
    def test_what_stands_there_is_found(self, path: str, found: object) -> None:
        assert walk(DATA, path) == found

    @given(st.text(alphabet="ab.[]0$*x", max_size=12))
    def test_any_path_leads_somewhere_or_nowhere(self, path: str) -> None:
        found = walk(DATA, path)
        assert found is MISSING or canonical(plain(found)) in canonical(plain(DATA)) or found == DATA


class TestLeavingOut:
    @pytest.mark.parametrize(
        ("path", "left"),
        [
            ("id", [{"id2": 1, "lines": [{"id": 1, "n": 2}]}]),
            ("lines.id", [{"id": 9, "id2": 1, "lines": [{"n": 2}]}]),
            ("lines[*].id", [{"id": 9, "id2": 1, "lines": [{"n": 2}]}]),
            ("0.lines", [{"id": 9, "id2": 1}]),
            ("lines.0", [{"id": 9, "id2": 1, "lines": []}]),
            ("*", []),
            ("absent.x", [{"id": 9, "id2": 1, "lines": [{"id": 1, "n": 2}]}]),
        ],
    )
    def test_a_path_is_left_out_in_every_entry_of_a_list(self, path: str, left: object) -> None:
        data = [{"id": 9, "id2": 1, "lines": [{"id": 1, "n": 2}]}]
        assert without(data, path) == left
        assert data[0]["id"] == 9


class TestPlain:
    @pytest.mark.parametrize(
        ("value", "result"),
        [
            (Decimal("1.50"), "1.5"),
            (Decimal("10"), 10),
            (Decimal("1E+2"), 100),
            (Decimal("NaN"), "NaN"),
            (Decimal("1E+5000"), "1E+5000"),
            (b"text", "text"),
            (memoryview(b"\xff"), "base64:/w=="),
            (float("nan"), "nan"),
            (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
            (date(2024, 1, 2), "2024-01-02"),
            (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            ({1: (2, {3, 1})}, {"1": [2, [1, 3]]}),
        ],
    )
    def test_values_of_databases_become_json(self, value: object, result: object) -> None:
        assert plain(value) == result
        json.dumps(plain(value), allow_nan=False)

    def test_deep_data_ends(self) -> None:
        deep: list[object] = []
        for _ in range(10_000):
            deep = [deep]
        assert "…" in canonical(plain(deep))

    @pytest.mark.parametrize(
        ("value", "text"), [("a", "a"), (True, "true"), (None, "null"), ([1], "[1]"), ("\ud800", "?")]
    )
    def test_a_value_within_a_text(self, value: object, text: str) -> None:
        assert text_of(value) == text

    @given(st.dictionaries(st.text(max_size=3), st.integers()))
    def test_the_order_of_keys_does_not_matter(self, data: dict[str, int]) -> None:
        backwards = dict(reversed(data.items()))
        assert canonical(plain(data)) == canonical(plain(backwards))
