"""Drivers: what they send, and what is told of the outcome."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from misstep.harness.choreography.fakes import Fakes
from misstep.harness.choreography.words import Answer, Driver, External
from misstep.harness.errors import BrokerFailed, ChoreographyError, DriverFailed
from misstep.harness.outside.calls import Call
from misstep.harness.outside.drivers import Driven, Means, drive
from misstep.harness.outside.externals import Externals
from misstep.harness.plan import Drive

from .conftest import hang, reset, serving  # type: ignore[import-not-found]

pytestmark = pytest.mark.asyncio


class Broker:
    """Takes messages, or refuses them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.taken: list[tuple[str, str, bytes, Mapping[str, object], Mapping[str, object]]] = []
        self.error = error

    async def publish(
        self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
    ) -> None:
        if self.error:
            raise self.error
        self.taken.append((exchange, key, body, headers, properties))


async def given(
    driver: Driver,
    client: httpx.AsyncClient,
    *,
    data: Mapping[str, object] | None = None,
    scope: Mapping[str, object] | None = None,
    broker: Broker | None = None,
    seed: int = 1,
    folder: Path = Path(),
) -> Driven:
    means = Means(client=client, publish=(broker or Broker()).publish, folder=folder)
    return await drive(
        driver,
        Drive(driver=driver.name, data=data or {}),
        saga=1,
        scope=scope or {},
        fakes=Fakes(seed),
        keys=Fakes(f"{seed}/keys"),
        means=means,
    )


class Shop:
    """A real HTTP server that takes orders."""

    def __init__(self, *answers: Answer) -> None:
        self.calls: list[Call] = []
        self.externals = Externals({"shop": External(name="shop", answers=answers)}, self.calls.append)

    async def __aenter__(self) -> Shop:
        await self.externals.open()
        self.scope = {"services": {"order": {"address": self.externals.urls["shop"].removeprefix("http://")}}}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.externals.close()


ORDER = Driver(
    name="place_order",
    http="POST http://{services.order.address}/orders",
    json={"sku": "A1", "quantity": 1, "customer": "{faker.name}"},
    correlation="response:json:order.id",
)
TAKEN = Answer(status=201, json={"order": {"id": 7}}, headers={"location": "/orders/7"})


class TestHttp:
    async def test_the_answer_tells_the_saga(self, client: httpx.AsyncClient) -> None:
        async with Shop(TAKEN) as shop:
            driven = await given(ORDER, client, scope=shop.scope)
        assert driven == Driven(saga=1, driver="place_order", outcome="ok", correlation="7", status=201)
        assert (shop.calls[0].method, shop.calls[0].path) == ("POST", "/orders")
        assert shop.calls[0].headers["content-type"] == "application/json"

    async def test_a_header_may_tell_it(self, client: httpx.AsyncClient) -> None:
        driver = Driver(name="d", http=ORDER.http, correlation="response:header:Location")
        async with Shop(TAKEN) as shop:
            assert (await given(driver, client, scope=shop.scope)).correlation == "/orders/7"
        assert shop.calls[0].body is None

    async def test_data_is_drawn_from_the_seed_and_replaced_by_the_plan(self, client: httpx.AsyncClient) -> None:
        async with Shop(TAKEN) as shop:
            for seed in (1, 1, 2):
                await given(ORDER, client, scope=shop.scope, seed=seed, data={"sku": "sold-out", "note": {"a": [1]}})
        first, again, other = (call.body for call in shop.calls)
        assert first == again != other
        assert isinstance(first, dict)
        assert (first["sku"], first["quantity"], first["note"]) == ("sold-out", 1, {"a": [1]})

    async def test_a_supplied_id_goes_wherever_it_is_mentioned(self, client: httpx.AsyncClient) -> None:
        driver = Driver(
            name="d",
            http="PUT http://{services.order.address}/orders/{correlation}?sku={data.sku}",
            json={"id": "{correlation}", "sku": "A"},
            headers={"X-Correlation": "{correlation}"},
        )
        async with Shop(Answer()) as shop:
            driven = await given(driver, client, scope=shop.scope)
        call = shop.calls[0]
        assert len(driven.correlation) == 36
        assert call.path == f"/orders/{driven.correlation}?sku=A"
        assert call.body == {"id": driven.correlation, "sku": "A"}
        assert call.headers["x-correlation"] == driven.correlation

    async def test_an_id_may_be_taken_from_the_data(self, client: httpx.AsyncClient) -> None:
        driver = Driver(name="d", http=ORDER.http, json={"id": "{faker.uuid4}"}, correlation="{data.id}")
        async with Shop(Answer()) as shop:
            driven = await given(driver, client, scope=shop.scope)
            replaced = await given(driver, client, scope=shop.scope, data={"id": "mine"})
        assert shop.calls[0].body == {"id": driven.correlation}
        assert replaced.correlation == "mine"

    @pytest.mark.parametrize(
        ("status", "accepts", "outcome"),
        [
            (200, (), "ok"),
            (302, (), "ok"),
            (404, (), "fail"),
            (500, (), "fail"),
            (409, (409,), "ok"),
            (200, (201,), "fail"),
        ],
    )
    async def test_the_status_says_whether_it_was_taken(
        self, client: httpx.AsyncClient, status: int, accepts: tuple[int, ...], outcome: str
    ) -> None:
        driver = Driver(name="d", http=f"{ORDER.http}/{{correlation}}", accepts=accepts)
        async with Shop(Answer(status=status, json={"why": "sold out"})) as shop:
            driven = await given(driver, client, scope=shop.scope)
        assert (driven.outcome, driven.status) == (outcome, status)
        assert ("sold out" in driven.detail) == (outcome == "fail")

    @pytest.mark.parametrize("answer", [Answer(json={"ordr": 1}), Answer(), Answer(json={"order": {"id": None}})])
    async def test_a_saga_that_cannot_be_followed_is_unknown(self, client: httpx.AsyncClient, answer: Answer) -> None:
        async with Shop(answer) as shop:
            driven = await given(ORDER, client, scope=shop.scope)
        assert (driven.outcome, driven.correlation) == ("unknown", "")
        assert "json:order.id" in driven.detail

    async def test_nobody_there_is_a_failure(self, client: httpx.AsyncClient, closed_port: int) -> None:
        driver = Driver(name="d", http=f"POST http://127.0.0.1:{closed_port}/{{correlation}}")
        driven = await given(driver, client)
        assert driven.outcome == "fail"
        assert "never sent" in driven.detail

    async def test_a_connection_that_breaks_is_unknown(self, client: httpx.AsyncClient) -> None:
        async with serving(reset) as address:
            driven = await given(Driver(name="d", http=f"POST http://{address}/{{correlation}}"), client)
        assert driven.outcome == "unknown"
        assert "not answered" in driven.detail

    async def test_silence_until_the_deadline_is_unknown(self, client: httpx.AsyncClient) -> None:
        async with serving(hang) as address:
            driver = Driver(name="d", http=f"POST http://{address}/{{correlation}}", within=0.05)
            driven = await given(driver, client)
        assert driven.outcome == "unknown"

    @pytest.mark.parametrize("url", ["nonsense", "ftp://h/x", "http://h:port/"])
    async def test_what_can_never_work_is_raised(self, client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(DriverFailed, match=r"drivers\.d"):
            await given(Driver(name="d", http=f"POST {url}"), client)

    async def test_an_unknown_name_is_raised(self, client: httpx.AsyncClient) -> None:
        with pytest.raises(ChoreographyError, match="services"):
            await given(Driver(name="d", http="POST http://{services.ordr.address}/"), client)

    async def test_a_plan_cannot_replace_fields_of_a_list(self, client: httpx.AsyncClient) -> None:
        driver = Driver(name="d", http="POST http://h/", json=[1])
        with pytest.raises(DriverFailed, match="sku"):
            await given(driver, client, data={"sku": 1})

    async def test_each_stimulus_has_a_connection_of_its_own(self, client: httpx.AsyncClient) -> None:
        async with Shop(TAKEN) as shop:
            for _ in range(2):
                await given(ORDER, client, scope=shop.scope)
        assert [call.headers["connection"] for call in shop.calls] == ["close", "close"]


class TestPublish:
    DRIVER = Driver(
        name="d",
        publish="order.{data.kind}",
        exchange="events",
        json={"id": "{correlation}", "kind": "placed", "ä": "\ud83d\ude00"},
        headers={"x": "{data.kind}"},
        properties={"correlation_id": "{correlation}"},
    )

    async def test_an_event_is_published_with_all_its_parts(self, client: httpx.AsyncClient) -> None:
        broker = Broker()
        driven = await given(self.DRIVER, client, broker=broker, data={"ä": "ö"})
        [(exchange, key, body, headers, properties)] = broker.taken
        assert (exchange, key, headers) == ("events", "order.placed", {"x": "placed"})
        assert properties == {"content_type": "application/json", "correlation_id": driven.correlation}
        assert json.loads(body) == {"id": driven.correlation, "kind": "placed", "ä": "ö"}
        assert driven.outcome == "ok"

    async def test_one_that_is_not_confirmed_is_unknown(self, client: httpx.AsyncClient) -> None:
        driven = await given(self.DRIVER, client, broker=Broker(BrokerFailed("no confirm")))
        assert (driven.outcome, "no confirm" in driven.detail) == ("unknown", True)
        assert driven.correlation

    async def test_no_data_is_an_empty_body(self, client: httpx.AsyncClient) -> None:
        broker = Broker()
        await given(Driver(name="d", publish="{correlation}"), client, broker=broker)
        assert broker.taken[0][2] == b""


def running(argument: str) -> list[str]:
    """The processes that were started with an argument."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [str(file)] if argument.encode() in file.read_bytes() else []
    return found


class TestCommand:
    @staticmethod
    def driver(code: str, **parts: object) -> Driver:
        return Driver(
            name="d",
            command=f"{sys.executable} -c '{code}' {{correlation}}",
            **parts,  # type: ignore[arg-type]
        )

    async def test_it_reads_its_data_and_tells_its_saga(self, client: httpx.AsyncClient, tmp_path: Path) -> None:
        code = (
            'import json, sys, os; d = json.load(sys.stdin); print(json.dumps({"id": d["n"] + 1, "cwd": os.getcwd()}))'
        )
        code = code.replace("{", "{{").replace("}", "}}")
        driver = Driver(name="d", command=f"{sys.executable} -c '{code}'", json={"n": 1}, correlation="output:json:id")
        driven = await given(driver, client, data={"n": 41}, folder=tmp_path)
        assert driven == Driven(saga=1, driver="d", outcome="ok", correlation="42", status=0)

    async def test_a_failure_shows_what_it_complained_of(self, client: httpx.AsyncClient) -> None:
        driven = await given(self.driver('import sys; sys.exit("no stock")'), client)
        assert (driven.outcome, driven.status) == ("fail", 1)
        assert "no stock" in driven.detail

    async def test_one_that_does_not_end_is_unknown_and_gone(self, client: httpx.AsyncClient) -> None:
        driven = await given(self.driver("import time; time.sleep(600)", within=0.3), client)
        assert driven.outcome == "unknown"
        assert not running(driven.correlation)

    async def test_one_that_says_nothing_of_its_saga_is_unknown(self, client: httpx.AsyncClient) -> None:
        driver = Driver(name="d", command=f"{sys.executable} -c 'print(1)'", correlation="output:json:id")
        assert (await given(driver, client)).outcome == "unknown"

    async def test_one_that_is_not_there_is_raised(self, client: httpx.AsyncClient) -> None:
        with pytest.raises(DriverFailed, match="no-such-program"):
            await given(Driver(name="d", command="no-such-program"), client)


async def test_a_cancelled_command_leaves_no_process(client: httpx.AsyncClient, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    code = 'import os, time; open("pid", "w").write(str(os.getpid())); time.sleep(600)'
    task = asyncio.create_task(given(TestCommand.driver(code, within=60.0), client, folder=tmp_path))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
