"""The stub of externals, spoken to by real HTTP clients and by raw sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio
from misstep.harness.choreography.words import Answer, External
from misstep.harness.outside.calls import Call
from misstep.harness.outside.externals import Externals

pytestmark = pytest.mark.asyncio

Open = Callable[..., Awaitable["Stub"]]


class Stub:
    """One external called ``gateway``, with what it told."""

    def __init__(self, answers: tuple[Answer, ...], **options: object) -> None:
        self.calls: list[Call] = []
        self.called = asyncio.Event()
        externals = {"gateway": External(name="gateway", answers=answers)}
        self.externals = Externals(externals, self.tell, **options)  # type: ignore[arg-type]

    def tell(self, call: Call) -> None:
        self.calls.append(call)
        self.called.set()

    async def next_call(self) -> Call:
        async with asyncio.timeout(10):
            await self.called.wait()
        self.called.clear()
        return self.calls[-1]

    @property
    def url(self) -> str:
        return self.externals.urls["gateway"]

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.url.removeprefix("http://").split(":")
        return await asyncio.open_connection(host, int(port))


@pytest_asyncio.fixture
async def stub() -> AsyncIterator[Open]:
    opened: list[Stub] = []

    async def open_stub(*answers: Answer, **options: object) -> Stub:
        stub = Stub(answers, **options)
        await stub.externals.open()
        opened.append(stub)
        return stub

    yield open_stub
    for one in opened:
        await one.externals.close()


async def converse(stub: Stub, request: bytes, *, end: bool = True) -> bytes:
    reader, writer = await stub.raw()
    writer.write(request)
    if end:
        writer.write_eof()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


class TestAnswers:
    async def test_a_call_is_answered_as_scripted_and_told(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(
            Answer(when="POST /charges", status=201, json={"id": "c-1", "amount": "{request.json.amount}"})
        )
        response = await client.post(f"{gateway.url}/charges?x=1", json={"amount": 12, "order_id": "o-1"})
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/json"
        assert response.json() == {"id": "c-1", "amount": 12}
        call = await gateway.next_call()
        assert (call.external, call.method, call.path, call.status) == ("gateway", "POST", "/charges?x=1", 201)
        assert call.body == {"amount": 12, "order_id": "o-1"}
        assert call.answered
        assert call.scripted
        assert not call.replay
        assert gateway.externals.in_flight == 0

    async def test_a_connection_is_kept_alive(self, stub: Open) -> None:
        gateway = await stub(Answer(json=1))
        answer = await converse(gateway, b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert [call.path for call in gateway.calls] == ["/a"] * 3

    async def test_what_nobody_scripted_is_refused_and_named(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(when="POST /charges"))
        response = await client.get(f"{gateway.url}/chargess")
        assert response.status_code == 404
        assert (
            response.json()["error"] == "externals.gateway has no answer for GET /chargess; scripted are: POST /charges"
        )
        call = await gateway.next_call()
        assert not call.scripted
        assert call.answered
        assert "GET /chargess" in call.detail

    async def test_wildcards_and_matching_choose_the_first_that_fits(
        self, stub: Open, client: httpx.AsyncClient
    ) -> None:
        gateway = await stub(
            Answer(when="POST /orders/*/lines", matching={"card.number": "4000", "ok": True}, status=402),
            Answer(when="POST /orders/*", matching={"card": {"number": "4000"}}, status=409),
            Answer(when="* /orders/*", status=201),
        )
        url = f"{gateway.url}/orders/7/lines"
        assert (await client.post(url, json={"card": {"number": "4000"}, "ok": True})).status_code == 402
        assert (await client.post(url, json={"card": {"number": "4000", "x": 1}, "ok": 1})).status_code == 409
        assert (await client.post(url, json={"card": "4000"})).status_code == 201
        assert (await client.delete(url)).status_code == 201
        assert (await client.delete(f"{gateway.url}/x")).status_code == 404

    async def test_an_answer_is_given_as_often_as_it_may(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(status=503, times=2), Answer(status=201, times=1))
        statuses = [(await client.post(gateway.url)).status_code for _ in range(4)]
        assert statuses == [503, 503, 201, 404]
        assert "as often as it may" in gateway.calls[-1].detail
        gateway.externals.begin(0)
        assert (await client.post(gateway.url)).status_code == 503

    async def test_a_key_that_is_repeated_gets_the_first_answer(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(status=201, json={"id": "{faker.uuid4}"}, once_by="header:Idempotency-Key"))
        first, again, other = [
            await client.post(gateway.url, headers={"idempotency-key": key}, json={"n": number})
            for number, key in enumerate(["a", "a", "b"])
        ]
        assert first.json() == again.json() != other.json()
        without = [(await client.post(gateway.url)).json() for _ in range(2)]
        assert without[0] != without[1]
        assert [(call.once, call.replay) for call in gateway.calls] == [
            ("a", False),
            ("a", True),
            ("b", False),
            ("", False),
            ("", False),
        ]

    async def test_a_key_is_remembered_when_its_answer_is_used_up(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(status=402, times=1, once_by="json:key"), Answer(status=201, once_by="json:key"))
        statuses = [(await client.post(gateway.url, json={"key": key})).status_code for key in "abab"]
        assert statuses == [402, 201, 402, 201]

    async def test_generated_values_come_from_the_seed_whatever_the_order(
        self, stub: Open, client: httpx.AsyncClient
    ) -> None:
        async def ids(order: str, seed: int) -> dict[str, list[str]]:
            gateway = await stub(Answer(json="{faker.uuid4}"), seed=seed)
            found: dict[str, list[str]] = {}
            for path in order:
                found.setdefault(path, []).append((await client.get(f"{gateway.url}/{path}")).json())
            return found

        assert await ids("aab", 1) == await ids("baa", 1)
        assert await ids("aab", 1) != await ids("aab", 2)
        assert len(set((await ids("aa", 1))["a"])) == 2

    async def test_a_request_that_lacks_what_the_answer_needs(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(json={"amount": "{request.json.amount}"}, times=1))
        refused = await client.post(gateway.url, json={"amuont": 1})
        assert refused.status_code == 400
        assert "{request.json.amount}" in refused.json()["error"]
        assert (await client.post(gateway.url, json={"amount": 1})).status_code == 200

    async def test_the_data_of_a_caller_stays_data(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(json="{request.json.x}", headers={"x-echo": "{request.json.x}"}))
        hostile = "{env.SECRET}{request.__class__}\r\nset-cookie: a=b"
        response = await client.post(gateway.url, json={"x": hostile})
        assert response.json() == hostile
        assert "set-cookie" not in response.headers

    async def test_forms_texts_and_bytes_are_read(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(json=["{request.json}", "{request.query.q}", "{request.headers.X-Name}"]))
        form = await client.post(f"{gateway.url}/?q=1", data={"amount": "5"}, headers={"x-name": "n"})
        assert form.json() == [{"amount": "5"}, "1", "n"]
        await client.post(f"{gateway.url}/?q=1", content=b"a:b\xff", headers={"x-name": "n"})
        assert gateway.calls[-1].body == "a:b\ufffd"

    async def test_a_header_may_say_what_is_no_ascii(self, stub: Open, client: httpx.AsyncClient) -> None:
        opened = await stub(Answer(when="POST /charges", headers={"x-payer": "{request.json.name}"}))
        answer = await client.post(f"{opened.url}/charges", json={"name": "Zoë"})
        assert answer.status_code == 200
        assert (b"x-payer", "Zoë".encode()) in answer.headers.raw
        assert (await opened.next_call()).answered

    async def test_a_text_of_another_kind_is_sent_as_it_is(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(json="<ok/>", headers={"Content-Type": "text/xml"}))
        response = await client.get(gateway.url)
        assert (response.text, response.headers["content-type"]) == ("<ok/>", "text/xml")

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("OPTIONS", 200)])
    async def test_answers_without_a_body(
        self, stub: Open, client: httpx.AsyncClient, method: str, status: int
    ) -> None:
        gateway = await stub(Answer(status=status, json={"a": 1}))
        for _ in range(2):  # the second shows that the first left the connection in order
            response = await client.request(method, gateway.url)
            assert response.status_code == status
        assert (response.content == b"") == (method == "HEAD" or status != 200)

    async def test_large_bodies_both_ways(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(json="{request.text}"))
        text = "x" * 5_000_000
        response = await client.post(gateway.url, content=text)
        assert response.json() == text

    async def test_a_client_that_waits_for_100_is_told_to_go_on(self, stub: Open) -> None:
        gateway = await stub(Answer(json="{request.text}"))
        reader, writer = await gateway.raw()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        async with asyncio.timeout(10):
            assert b"100" in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"hi")
            assert b"200" in await reader.readline()
        writer.close()

    async def test_a_proxys_form_of_a_request(self, stub: Open) -> None:
        gateway = await stub(Answer(when="GET /a"))
        assert b"200" in await converse(gateway, b"GET http://bank.example/a HTTP/1.1\r\nhost: x\r\n\r\n")


class TestSecrets:
    async def test_they_never_reach_a_call(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer(once_by="header:Idempotency-Key"))
        names = ["Authorization", "Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "Stripe-Signature"]
        headers = {**dict.fromkeys(names, "geheim"), "Idempotency-Key": "k-1", "X-Order": "o-1"}
        await client.get(f"{gateway.url}/a?api_key=geheim&token=geheim&order=1", headers=headers)
        call = await gateway.next_call()
        assert "geheim" not in repr(call)
        assert call.headers["authorization"] == "***"
        assert (call.headers["idempotency-key"], call.headers["x-order"]) == ("k-1", "o-1")
        assert call.path == "/a?api_key=***&token=***&order=1"


class TestTrouble:
    @pytest.mark.parametrize(
        "request_",
        [
            b"nonsense\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n",
            b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ],
        ids=["no http", "tls", "bad header", "no host", "bad length", "bad chunk"],
    )
    async def test_what_is_no_request_is_answered_400_and_told(self, stub: Open, request_: bytes) -> None:
        gateway = await stub(Answer())
        answer = await converse(gateway, request_, end=False)
        assert answer.startswith(b"HTTP/1.1 400 ")
        call = await gateway.next_call()
        assert (call.method, call.status, call.scripted) == ("", 400, False)
        assert call.detail
        assert gateway.externals.in_flight == 0

    async def test_endless_headers_are_refused(self, stub: Open) -> None:
        gateway = await stub(Answer())
        _, writer = await gateway.raw()
        writer.write(b"GET / HTTP/1.1\r\na: " + b"x" * 200_000)
        assert (await gateway.next_call()).status == 431
        writer.close()

    async def test_a_connection_without_a_request_is_no_call(self, stub: Open, client: httpx.AsyncClient) -> None:
        gateway = await stub(Answer())
        assert await converse(gateway, b"") == b""
        await client.get(gateway.url)
        assert len(gateway.calls) == 1

    async def test_a_request_that_breaks_off_is_told_as_unanswered(self, stub: Open) -> None:
        gateway = await stub(Answer())
        await converse(gateway, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc")
        call = await gateway.next_call()
        assert not call.answered
        assert not call.scripted

    async def test_a_caller_that_dies_while_it_waits_had_its_effect(self, stub: Open) -> None:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            assert seconds == 3.5
            arrived.set()
            await go_on.wait()

        gateway = await stub(Answer(status=201, delay=3.5), sleep=sleep)
        _, writer = await gateway.raw()
        writer.write(b"POST /charges HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        async with asyncio.timeout(10):
            await arrived.wait()
            assert gateway.externals.in_flight == 1
            assert not gateway.calls
            writer.close()
            await writer.wait_closed()
            # another call after the close has been read shows that the loop has seen the end of file
            async with httpx.AsyncClient(trust_env=False) as other:
                go_on.set()
                await other.get(f"{gateway.url}/other")
        charge = next(call for call in gateway.calls if call.path == "/charges")
        assert (charge.status, charge.scripted) == (201, True)
        assert gateway.externals.in_flight == 0

    async def test_closing_ends_every_conversation_and_frees_the_port(self, stub: Open) -> None:
        waiting = asyncio.Event()

        async def sleep(_: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        gateway = await stub(Answer(delay=1), sleep=sleep)
        reader, writer = await gateway.raw()
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await waiting.wait()
            host, port = gateway.url.removeprefix("http://").split(":")
            await gateway.externals.close()
            assert await reader.read() == b""
        assert not gateway.calls[0].answered
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
        assert gateway.externals.urls == {}
        await gateway.externals.close()
        writer.close()

    async def test_each_external_has_a_port_of_its_own(self, client: httpx.AsyncClient) -> None:
        calls: list[Call] = []
        parts = {name: External(name=name, answers=(Answer(json=name),)) for name in ("mail", "bank")}
        externals = Externals(parts, calls.append)
        await externals.open()
        try:
            answers = {name: (await client.get(url)).json() for name, url in externals.urls.items()}
        finally:
            await externals.close()
        assert answers == {"mail": "mail", "bank": "bank"}
        assert [call.external for call in calls] == ["mail", "bank"]


async def test_many_callers_at_once_are_all_counted(stub: Open, client: httpx.AsyncClient) -> None:
    gateway = await stub(Answer(json={"n": "{request.json.n}"}, once_by="json:key"))
    answers = await asyncio.gather(
        *(client.post(gateway.url, content=json.dumps({"n": number, "key": number % 10})) for number in range(50))
    )
    assert len(gateway.calls) == 50
    assert sum(not call.replay for call in gateway.calls) == 10
    assert {answer.json()["n"] % 10 for answer in answers} == set(range(10))
