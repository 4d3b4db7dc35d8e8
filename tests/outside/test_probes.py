"""Probes: what they see is brought to a form that two runs can be compared by."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from misstep.harness.choreography.words import Answer, External, Probe
from misstep.harness.outside.externals import Externals
from misstep.harness.outside.probes import Look, Means, look, renamed

from .conftest import Ledger, hang, serving  # type: ignore[import-not-found]

SAGA = "3f2a9c00-0000"


class World:
    """Everything that a probe can look at."""

    def __init__(self, client: httpx.AsyncClient, ledger: Ledger, folder: Path = Path()) -> None:
        self.means = Means(client=client, query=ledger.query, kinds={"s": "sqlite"}, folder=folder, within=5.0)

    async def look(self, correlation: str = SAGA, scope: dict[str, object] | None = None, **parts: object) -> Look:
        probe = Probe(name="p", **parts)  # type: ignore[arg-type]
        names = {SAGA: "saga 1"}
        return await look(probe, scope=scope or {}, correlation=correlation, names=names, means=self.means)


@pytest.fixture
def world(client: httpx.AsyncClient, ledger: Callable[[str], Ledger], tmp_path: Path) -> World:
    script = f"""
        create table c (id integer primary key, order_id, amount, note);
        insert into c (order_id, amount, note) values ('{SAGA}', 5, x'ff'), ('other', 1.5, null), ('{SAGA}', 3, 'n')
    """
    return World(client, ledger(script), tmp_path)


@pytest.mark.asyncio
class TestSql:
    async def test_rows_are_sorted_named_and_freed_of_what_differs(self, world: World) -> None:
        sql = "select id, order_id, amount from c where order_id = {correlation} order by id"
        seen = await world.look(store="s", sql=sql, ignore=("id",))
        assert seen == Look(probe="p", value=[{"order_id": "saga 1", "amount": 3}, {"order_id": "saga 1", "amount": 5}])

    async def test_columns_of_the_same_name_are_both_kept(self, world: World) -> None:
        seen = await world.look(store="s", sql="select max(amount) as x, min(amount) as x from c")
        assert seen.value == [{"x": 5, "x#2": 1.5}]

    async def test_values_that_json_does_not_know_are_kept(self, world: World) -> None:
        seen = await world.look(store="s", sql="select note from c")
        assert seen.value == [{"note": "base64:/w=="}, {"note": "n"}, {"note": None}]

    async def test_no_rows_are_a_look_too(self, world: World) -> None:
        assert (await world.look(store="s", sql="select * from c where 0")) == Look(probe="p", value=[])

    async def test_a_store_that_cannot_be_asked_is_an_error_and_no_value(self, world: World) -> None:
        seen = await world.look(store="s", sql="select nothing")
        assert seen.value is None
        assert "probes.p" in seen.error


@pytest.mark.asyncio
class TestHttp:
    @pytest.mark.parametrize(
        ("answer", "value"),
        [
            (Answer(json={"id": SAGA, "at": 1, "lines": [{"at": 2, "n": 2}, {"n": 1}]}),
             {"id": "saga 1", "lines": [{"n": 2}, {"n": 1}]}),
            (Answer(json="plain", headers={"content-type": "text/plain"}), "plain"),
            (Answer(status=404), {"status": 404}),
        ],
    )  # fmt: skip
    async def test_the_answers_data_is_seen_in_its_own_order(self, world: World, answer: Answer, value: object) -> None:
        externals = Externals({"shop": External(name="shop", answers=(answer,))}, lambda call: None)
        await externals.open()
        try:
            scope: dict[str, object] = {"url": externals.urls["shop"]}
            seen = await world.look(scope=scope, http="GET {url}/orders/{correlation}", ignore=("at", "lines.at"))
        finally:
            await externals.close()
        assert seen == Look(probe="p", value=value)  # type: ignore[arg-type]

    async def test_an_answer_that_says_nothing_is_an_error(self, world: World, closed_port: int) -> None:
        externals = Externals({"shop": External(name="shop", answers=(Answer(status=500, json="oops"),))}, print)
        await externals.open()
        try:
            refused = await world.look(http=f"GET {externals.urls['shop']}/")
        finally:
            await externals.close()
        assert "500" in refused.error
        assert "oops" in refused.error
        assert "not answered" in (await world.look(http=f"GET http://127.0.0.1:{closed_port}/")).error

    async def test_silence_is_an_error(self, client: httpx.AsyncClient, ledger: Callable[[str], Ledger]) -> None:
        world = World(client, ledger(""))
        world.means = Means(client=client, query=ledger("").query, kinds={}, within=0.05)
        async with serving(hang) as address:
            assert (await world.look(http=f"GET http://{address}/")).error


@pytest.mark.asyncio
class TestCommand:
    async def test_its_output_is_seen(self, world: World) -> None:
        command = f"{sys.executable} -c 'import json, sys; print(json.dumps([sys.argv[1]]))' {{correlation}}"
        assert (await world.look(command=command)).value == ["saga 1"]
        assert (await world.look(command="echo hello {correlation}")).value == "hello saga 1"

    @pytest.mark.parametrize(
        ("command", "said"),
        [("no-such-program", "no-such-program"), (f"{sys.executable} -c 'exit(\"why\")'", "why")],
    )
    async def test_a_failure_is_an_error_and_no_value(self, world: World, command: str, said: str) -> None:
        seen = await world.look(command=command)
        assert seen.value is None
        assert said in seen.error


class TestNames:
    def test_generated_values_are_called_by_their_names_also_within_texts(self) -> None:
        names = {SAGA: "saga 1", "7": "saga 2"}
        value = {f"order {SAGA}": [SAGA, "7", "17", 7, None, True]}
        assert renamed(value, names) == {"order saga 1": ["saga 1", "saga 2", "17", 7, None, True]}
