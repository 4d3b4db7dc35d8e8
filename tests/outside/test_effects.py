"""Effects, counted from calls and from stores; and how a correlation gets into SQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misstep.harness.choreography.words import Effect
from misstep.harness.outside.calls import Call
from misstep.harness.outside.effects import count_calls, measure
from misstep.harness.outside.queries import bind, is_scoped

from .conftest import Ledger  # type: ignore[import-not-found]

CHARGE = Effect(name="charge", external="gateway", when="POST /charges", key="json:order.id")


def call(order: object = "o-1", **parts: object) -> Call:
    usual: dict[str, object] = {
        "external": "gateway",
        "method": "POST",
        "path": "/charges",
        "body": {"order": {"id": order}},
        "status": 201,
    }
    return Call(**{**usual, **parts})  # type: ignore[arg-type]


class TestCalls:
    def test_each_call_counts_for_its_business_key(self) -> None:
        assert count_calls(CHARGE, [call(), call("o-2"), call(), call(7)]) == {"o-1": 2, "o-2": 1, "7": 1}

    @pytest.mark.parametrize(
        "other",
        [
            call(external="mail"),
            call(method="GET"),
            call(path="/refunds"),
            call(status=402),
            call(status=503),
            call(replay=True),
            call(method="", status=400, scripted=False),
        ],
    )
    def test_what_is_no_such_effect_does_not_count(self, other: Call) -> None:
        assert count_calls(CHARGE, [other]) == {}

    def test_an_answer_that_never_arrived_counts_since_the_effect_did_happen(self) -> None:
        assert count_calls(CHARGE, [call(answered=False)]) == {"o-1": 1}

    def test_refused_calls_count_where_asked_for(self) -> None:
        effect = Effect(name="attempts", external="gateway", key="json:order.id", status=False)
        assert count_calls(effect, [call(status=402), call()]) == {"o-1": 2}

    def test_calls_with_the_same_idempotency_key_are_one(self) -> None:
        effect = Effect(name="c", external="gateway", key="json:order.id", once_by="header:Idempotency-Key")
        calls = [call(headers={"idempotency-key": key}) for key in ("a", "a", "b")]
        assert count_calls(effect, [*calls, call(), call()]) == {"o-1": 4}

    def test_a_call_without_a_business_key_is_not_lost(self) -> None:
        assert count_calls(CHARGE, [call(body=None), call(body="a:b")]) == {"": 2}

    @pytest.mark.parametrize(
        ("key", "value"),
        [("path:1", "orders"), ("path:2", "o 1"), ("path:3", ""), ("header:X-Order", "h"), ("json:", None)],
    )
    def test_a_key_may_stand_elsewhere(self, key: str, value: str | None) -> None:
        effect = Effect(name="c", external="gateway", key=key)
        one = call(path="/orders/o%201?x=1", headers={"x-order": "h"})
        if value is None:
            with pytest.raises(ValueError, match="json:PATH"):
                count_calls(effect, [one])
        else:
            assert count_calls(effect, [one]) == {value: 1}


@pytest.mark.asyncio
class TestStores:
    SCRIPT = (
        "create table c (order_id, n); insert into c values ('o-1', 2), ('o-2', 1), ('o-1', 1), (null, 1), (7, null)"
    )

    async def test_rows_are_counted_by_key(self, ledger: Callable[[str], Ledger]) -> None:
        effect = Effect(name="c", store="s", sql="select order_id, n from c")
        count = await measure(effect, calls=[], query=ledger(self.SCRIPT).query, kinds={"s": "sqlite"})
        assert count.counts == {"o-1": 3, "o-2": 1, "": 1, "7": 0}
        assert not count.error

    async def test_for_one_saga_alone(self, ledger: Callable[[str], Ledger]) -> None:
        sql = "select order_id, sum(n) from c where order_id = {correlation} group by 1"
        effect = Effect(name="c", store="s", sql=sql)
        query = ledger(self.SCRIPT).query
        count = await measure(effect, calls=[], query=query, kinds={"s": "sqlite"}, correlation="o-1")
        assert count.counts == {"o-1": 3}

    @pytest.mark.parametrize("sql", ["select 1", "select 1, 2, 3", "select 'a', 'b'", "select 'a', 1.5", "nonsense"])
    async def test_what_cannot_be_counted_says_so_and_is_no_zero(
        self, ledger: Callable[[str], Ledger], sql: str
    ) -> None:
        effect = Effect(name="c", store="s", sql=sql)
        count = await measure(effect, calls=[], query=ledger("").query, kinds={"s": "sqlite"})
        assert count.counts == {}
        assert "effects.c" in count.error


class TestBinding:
    @pytest.mark.parametrize(
        ("sql", "sqlite", "postgres"),
        [
            ("select '%'", "select '%'", "select '%'"),
            ("id = {correlation}", "id = ?", "id = %s"),
            ("id = '{correlation}'", "id = ?", "id = %s"),
            ("id like '%{correlation}''%'", "id like '%' || ? || '''%'", "id like '%%' || %s || '''%%'"),
            ("a % 2 = {correlation}", "a % 2 = ?", "a %% 2 = %s"),
            ("'{\"a\": 1}' = {correlation}", "'{\"a\": 1}' = ?", "'{\"a\": 1}' = %s"),
        ],
    )
    def test_a_correlation_is_a_parameter(self, sql: str, sqlite: str, postgres: str) -> None:
        count = sql.count("{correlation}")
        assert bind(sql, "sqlite", "x") == (sqlite, ("x",) * count)
        assert bind(sql, "postgres", "x") == (postgres, ("x",) * count)

    @given(st.text().filter(lambda text: "\0" not in text and text.isprintable()))
    def test_whatever_it_holds_it_is_never_sql(self, correlation: str) -> None:
        store = Ledger("create table c (id text)")
        store.connection.execute("insert into c values (?)", (correlation,))
        for sql in (
            "select id from c where id = {correlation}",
            "select id from c where id = '{correlation}'",
            "select id from c where 'x' || id || 'y' = 'x{correlation}y' and '{correlation}' = {correlation}",
        ):
            assert store.connection.execute(*bind(sql, "sqlite", correlation)).fetchall() == [(correlation,)]
        store.connection.close()

    def test_a_query_says_whether_it_asks_for_one_saga(self) -> None:
        assert is_scoped("", "where id = {correlation}")
        assert not is_scoped("select 1", "")
