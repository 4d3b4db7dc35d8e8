"""Views: each change is told, errors are unknown, and the last look comes after the end."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from misstep.harness.choreography.words import Answer, External, View
from misstep.harness.errors import ChoreographyError
from misstep.harness.outside.externals import Externals
from misstep.harness.outside.views import Glimpse, poll

from .conftest import hang, serving  # type: ignore[import-not-found]

pytestmark = pytest.mark.asyncio

VIEW = View(name="status", http="GET {url}/orders/{correlation}", value="json:status", every=0.25)


class Watch:
    """One poller in a time of its own: it looks again when it is told to."""

    def __init__(self, client: httpx.AsyncClient, url: str, view: View = VIEW, *, within: float = 10.0) -> None:
        self.seen: list[Glimpse] = []
        self.now = 0.0
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()
        poller = poll(
            view,
            "o-1",
            self.seen.append,
            scope={"url": url},
            client=client,
            clock=lambda: self.now,
            sleep=self.sleep,
            within=within,
        )
        self.task = asyncio.create_task(poller)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.asleep.set()
        await self.wake.wait()
        self.wake.clear()

    async def looked(self) -> None:
        """Wait until it has looked, and has gone to sleep."""
        async with asyncio.timeout(10):
            await self.asleep.wait()
        self.asleep.clear()

    async def again(self) -> None:
        """Let it look once more."""
        self.wake.set()
        await self.looked()

    async def end(self) -> list[tuple[float, str | None, bool]]:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task
        return [(glimpse.at, glimpse.value, bool(glimpse.error)) for glimpse in self.seen]


def shown(status: str, times: int = 1) -> Answer:
    return Answer(when="GET /orders/o-1", json={"status": status}, times=times)


async def watched(
    client: httpx.AsyncClient, answers: tuple[Answer, ...], looks: int, view: View = VIEW
) -> list[tuple[float, str | None, bool]]:
    externals = Externals({"shop": External(name="shop", answers=answers)}, lambda call: None)
    await externals.open()
    try:
        watch = Watch(client, externals.urls["shop"], view)
        await watch.looked()
        for _ in range(looks - 1):
            await watch.again()
        return await watch.end()
    finally:
        await externals.close()


async def test_only_changes_are_told_each_with_its_time(client: httpx.AsyncClient) -> None:
    answers = (shown("pending", 2), shown("confirmed", 1), shown("pending", 0))
    assert await watched(client, answers, 4) == [
        (0.0, "pending", False),
        (0.5, "confirmed", False),
        (0.75, "pending", False),
    ]


async def test_a_last_look_comes_after_the_end(client: httpx.AsyncClient) -> None:
    assert await watched(client, (shown("pending"), shown("confirmed", 0)), 1) == [
        (0.0, "pending", False),
        (0.25, "confirmed", False),
    ]


async def test_what_is_not_there_yet_is_absent_and_no_error(client: httpx.AsyncClient) -> None:
    answers = (Answer(status=404, times=1), Answer(json={"status": None}, times=1), shown("pending", 0))
    assert await watched(client, answers, 3) == [(0.0, None, False), (0.5, "pending", False)]


async def test_an_answer_that_says_nothing_is_unknown(client: httpx.AsyncClient) -> None:
    text = Answer(json="no json", headers={"content-type": "text/plain"}, times=1)
    answers = (shown("pending"), Answer(status=503, times=1), text, shown("pending", 0))
    assert await watched(client, answers, 4) == [(0.0, "pending", False), (0.25, None, True), (0.75, "pending", False)]


async def test_the_status_or_a_header_may_be_the_value(client: httpx.AsyncClient) -> None:
    answers = (Answer(status=404, times=1), Answer(headers={"x-state": "done"}))
    by_status = View(name="v", http=VIEW.http, value="status")
    assert [value for _, value, _ in await watched(client, answers, 2, by_status)] == ["404", "200"]
    by_header = View(name="v", http=VIEW.http, value="header:X-State")
    assert [value for _, value, _ in await watched(client, answers, 2, by_header)] == [None, "done"]


async def test_nobody_there_is_unknown_and_told_once(client: httpx.AsyncClient, closed_port: int) -> None:
    watch = Watch(client, f"http://127.0.0.1:{closed_port}")
    await watch.looked()
    await watch.again()
    assert await watch.end() == [(0.0, None, True)]


async def test_a_server_that_hangs_delays_no_end(client: httpx.AsyncClient) -> None:
    async with serving(hang) as address:
        watch = Watch(client, f"http://{address}", within=0.05)
        await watch.looked()
        assert await watch.end() == [(0.0, None, True)]


async def test_an_unknown_name_is_an_error_of_the_choreography(client: httpx.AsyncClient) -> None:
    watch = Watch(client, "http://h", View(name="v", http="GET {urll}/"))
    with pytest.raises(ChoreographyError, match="did you mean"):
        await watch.task
