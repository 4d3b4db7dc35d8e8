"""The stub of all externals: a small HTTP/1.1 server for each, on h11, whose every call is told and counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

import h11
from misstep.harness.choreography.scopes import mentions
from misstep.harness.choreography.templates import texts
from misstep.harness.choreography.words import External
from misstep.harness.outside.calls import Call, Headers, Request, redacted_headers, redacted_target
from misstep.harness.outside.script import Reply, Script

__all__ = ["Call", "Externals"]

LARGEST_BODY = 16 * 2**20
LARGEST_HEAD = 64 * 2**10
PIECE = 64 * 2**10
ORIGIN = re.compile(r"^https?://[^/]*", re.IGNORECASE)  # a client may take us for a proxy (RFC 9112, 3.2.2)

Tell = Callable[[Call], None]
Sleep = Callable[[float], Awaitable[object]]


class Externals:
    """The stubs of a choreography's externals.

    Args:
        externals: The externals, by name.
        tell: Called once for every request when it is over: answered, or its caller gone.
        seed: The seed of generated values in answers.
        environment: What ``{env.NAME}`` means in answers.
        sleep: Waits for an answer's delay, in seconds.
    """

    def __init__(
        self,
        externals: Mapping[str, External],
        tell: Tell,
        *,
        seed: int = 0,
        environment: Mapping[str, str] = MappingProxyType({}),
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._sleep = sleep
        self._scripts = {name: Script(external, environment, seed) for name, external in externals.items()}
        self._servers: dict[str, asyncio.Server] = {}
        self._conversations: set[asyncio.Task[None]] = set()
        self._in_flight = 0

    @property
    def urls(self) -> dict[str, str]:
        """The URL of each external, without a slash at its end; empty before :meth:`open`."""
        return {
            name: "http://{}:{}".format(*server.sockets[0].getsockname()[:2]) for name, server in self._servers.items()
        }

    @property
    def in_flight(self) -> int:
        """How many requests have come in and are not answered yet."""
        return self._in_flight

    async def open(self, host: str = "127.0.0.1") -> None:
        """Listen, each external on a port of its own that the system picks."""
        for name, script in self._scripts.items():
            if any(mentions(text, "faker") for answer in script.external.answers for text in texts(answer.json)):
                len(script.fakes)  # loads Faker now, so that no request has to wait for it
            self._servers[name] = await asyncio.start_server(self._accept(name), host, 0)

    async def close(self) -> None:
        """Stop listening and end every conversation; may be called twice."""
        for server in self._servers.values():
            server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._servers.clear()

    def begin(self, seed: int) -> None:
        """Start every script over for a new run, with a seed of its own."""
        for script in self._scripts.values():
            script.begin(seed)

    def _accept(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            conversation = asyncio.current_task()
            assert conversation is not None
            self._conversations.add(conversation)
            try:
                await self._converse(name, reader, writer)
            except asyncio.CancelledError:
                pass  # only close() cancels, and the streams module would log it as an error
            finally:
                self._conversations.discard(conversation)
                writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

        return accept

    async def _converse(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        while True:
            try:
                request = await receive(protocol, reader, writer)
            except ConnectionError:
                return
            except h11.RemoteProtocolError as error:
                await self._refuse(name, protocol, reader, writer, error)
                return
            if request is None:
                return
            await self._answer(name, request, protocol, reader, writer)
            if protocol.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                return
            protocol.start_next_cycle()

    async def _answer(
        self,
        name: str,
        request: Request,
        protocol: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer one request and tell of it, whatever becomes of its caller."""
        self._in_flight += 1
        reply, answered = self._scripts[name].reply(request), False
        try:
            if reply.delay:
                await self._sleep(reply.delay)
            if not reader.at_eof():
                answered = await send(protocol, writer, reply, request.method)
        finally:
            self._in_flight -= 1
            self._tell(call_of(name, request, reply, answered=answered))

    async def _refuse(
        self,
        name: str,
        protocol: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        error: h11.RemoteProtocolError,
    ) -> None:
        """Tell a caller, where it still listens, that what it sent is no HTTP."""
        reply = Reply(status=error.error_status_hint, scripted=False, detail=f"no proper request: {error}")
        answered = False
        if not reader.at_eof() and protocol.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answered = await send(protocol, writer, reply)
        self._tell(Call(external=name, status=reply.status, answered=answered, scripted=False, detail=reply.detail))


def call_of(name: str, request: Request, reply: Reply, *, answered: bool) -> Call:
    """Return what is kept of a request and its answer."""
    return Call(
        external=name,
        method=request.method,
        path=redacted_target(request.target),
        headers=redacted_headers(request.headers),
        body=request.json,
        status=reply.status,
        answered=answered,
        scripted=reply.scripted,
        once=reply.once,
        replay=reply.replay,
        detail=reply.detail,
    )


async def receive(
    protocol: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Read one request; None when there is no further one.

    Raises:
        ConnectionError: The connection broke.
        h11.RemoteProtocolError: What came is no HTTP/1.1, is too large, or broke off.
    """
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            if protocol.they_are_waiting_for_100_continue:
                writer.write(protocol.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            protocol.receive_data(await reader.read(PIECE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST_BODY:
                raise h11.RemoteProtocolError(f"a body of more than {LARGEST_BODY} bytes", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
            target = ORIGIN.sub("", head.target.decode("latin-1")) or "/"
            return Request(head.method.decode(), target, Headers(pairs), bytes(body))
        else:
            return None


async def send(protocol: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, method: str = "") -> bool:
    """Send an answer; whether all of it was handed to the connection."""
    bare = reply.status in (204, 304) or method in ("HEAD", "CONNECT")  # these have no body (RFC 9110, 6.4.1)
    told = reply.headers if bare else {**reply.headers, "content-length": str(len(reply.body))}
    headers = [(name.encode(), value.encode(errors="replace")) for name, value in told.items()]  # obs-text is allowed
    pieces = [protocol.send(h11.Response(status_code=reply.status, headers=headers))]
    if reply.body and not bare:
        pieces.append(protocol.send(h11.Data(data=reply.body)))
    pieces.append(protocol.send(h11.EndOfMessage()))
    with suppress(ConnectionError):
        writer.write(b"".join(piece or b"" for piece in pieces))
        await writer.drain()
        return True
    return False
