"""A small AMQP client for the harness's own needs: count a queue, publish an event, and know that it arrived.

The count of a passive declare is exact at once, where the management API's lags by seconds; it leaves out unacked
messages, which the links know. A refused passive declare closes its channel, so counting and publishing have a
channel each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from misstep.harness.brokers.port import Credentials, Endpoint
from misstep.harness.errors import BrokerFailed
from pamqp import body, commands, exceptions, frame, header

PREAMBLE = b"AMQP\x00\x00\x09\x01"
FRAME_MAX = 131072
COUNTING, PUBLISHING = 1, 2


@dataclass(frozen=True, slots=True)
class Count:
    """What a passive declare answers: messages that are ready, and consumers."""

    ready: int
    consumers: int


def _named(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return properties by the names of the codec, which cannot call one ``type``.

    Raises:
        BrokerFailed: AMQP has no such property.
    """
    known = {"type", *commands.Basic.Properties.attributes()} - {"message_type", "headers", "cluster_id"}
    unknown = sorted(properties.keys() - known)
    if unknown:
        names = ", ".join(sorted(known))
        raise BrokerFailed(f"AMQP has no property {unknown[0]!r}; it has {names}; whatever else goes into headers")
    return {"message_type" if name == "type" else name: value for name, value in properties.items()}


class Client:
    """One connection of the harness to a broker.

    Args:
        endpoint: Where the broker listens.
        credentials: Who to be.
        vhost: The virtual host to open.
        within: Seconds that any answer may take.
    """

    def __init__(self, endpoint: Endpoint, credentials: Credentials, vhost: str, *, within: float = 10.0) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._vhost = vhost
        self._within = within
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._buffer = bytearray()
        self._lock = asyncio.Lock()
        self._open: set[int] = set()

    async def count(self, queue: str) -> Count | None:
        """Ask how many messages are ready in a queue; None where it does not exist or is another connection's own.

        Raises:
            BrokerFailed: The broker did not answer.
        """
        async with self._lock:
            answer = await self._ask(COUNTING, commands.Queue.Declare(queue=queue, passive=True))
            if isinstance(answer, commands.Channel.Close):
                self._send(COUNTING, commands.Channel.CloseOk())
                self._open.discard(COUNTING)
                if answer.reply_code in (404, 405):
                    return None
                raise BrokerFailed(f"counting queue {queue!r}: the broker answered {answer.reply_text!r}")
            assert isinstance(answer, commands.Queue.DeclareOk)
            return Count(answer.message_count or 0, answer.consumer_count or 0)

    async def publish(
        self, exchange: str, key: str, payload: bytes, *, headers: Mapping[str, Any], properties: Mapping[str, Any]
    ) -> None:
        """Publish one persistent, mandatory message, and wait for its confirm.

        Raises:
            BrokerFailed: No queue took it, the broker refused it, or it did not answer.
        """
        async with self._lock:
            known = {"delivery_mode": 2, **_named(properties), "headers": dict(headers) or None}
            answer = await self._ask(
                PUBLISHING,
                commands.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True),
                header.ContentHeader(0, len(payload), commands.Basic.Properties(**known)),
                *(
                    body.ContentBody(payload[start : start + FRAME_MAX - 8])
                    for start in range(0, len(payload), FRAME_MAX - 8)
                ),
            )
            where = f"publishing to exchange {exchange!r} with key {key!r}"
            if isinstance(answer, commands.Basic.Return):
                while not isinstance(answer, commands.Basic.Ack | commands.Basic.Nack):
                    answer = await self._next(PUBLISHING)
                raise BrokerFailed(f"{where}: no queue is bound to take it; is the consumer's declared and bound?")
            if isinstance(answer, commands.Channel.Close):
                self._send(PUBLISHING, commands.Channel.CloseOk())
                self._open.discard(PUBLISHING)
                raise BrokerFailed(f"{where}: the broker answered {answer.reply_text!r}")
            if isinstance(answer, commands.Basic.Nack):
                raise BrokerFailed(f"{where}: the broker refused it")

    async def close(self) -> None:
        """Close the connection; harmless where there is none."""
        writer, self._writer, self._reader = self._writer, None, None
        self._open.clear()
        self._buffer.clear()
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _ask(self, channel: int, *frames: Any) -> object:
        """Send frames on a channel that is opened where need be, and return the next frame there."""
        try:
            async with asyncio.timeout(self._within):
                if self._is_lost():
                    await self.close()
                if self._writer is None:
                    await self._connect()
                if channel not in self._open:
                    await self._open_channel(channel)
                self._send(channel, *frames)
                return await self._next(channel)
        except BrokerFailed:
            await self.close()
            raise
        except (OSError, TimeoutError, EOFError, exceptions.PAMQPException) as error:
            await self.close()
            where = f"{self._endpoint.host}:{self._endpoint.port}"
            told = f"{type(error).__name__} {error}".strip()
            raise BrokerFailed(f"the broker at {where} did not answer: {told}") from error

    def _is_lost(self) -> bool:
        """Say whether the broker closed the connection while nothing was asked: it crashed and is back, say."""
        return self._reader is not None and (self._reader.at_eof() or self._reader.exception() is not None)

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            self._endpoint.host, self._endpoint.port, ssl=self._endpoint.tls
        )
        self._writer.write(PREAMBLE)
        await self._next(0)
        secret = f"\0{self._credentials.user}\0{self._credentials.password}"
        about: dict[str, Any] = {
            "connection_name": "misstep",
            "capabilities": {"authentication_failure_close": True},  # else a refused login is a bare reset
        }
        self._send(0, commands.Connection.StartOk(client_properties=about, mechanism="PLAIN", response=secret))
        tune = await self._next(0)
        if not isinstance(tune, commands.Connection.Tune):
            told = getattr(tune, "reply_text", tune)
            raise BrokerFailed(f"the broker refused user {self._credentials.user!r}: {told}")
        self._send(0, commands.Connection.TuneOk(tune.channel_max, FRAME_MAX, 0), commands.Connection.Open(self._vhost))
        answer = await self._next(0)
        if not isinstance(answer, commands.Connection.OpenOk):
            raise BrokerFailed(f"virtual host {self._vhost!r} was refused: {getattr(answer, 'reply_text', answer)}")

    async def _open_channel(self, channel: int) -> None:
        self._send(channel, commands.Channel.Open())
        await self._next(channel)
        if channel == PUBLISHING:
            self._send(channel, commands.Confirm.Select())
            await self._next(channel)
        self._open.add(channel)

    def _send(self, channel: int, *frames: Any) -> None:
        assert self._writer is not None
        self._writer.write(b"".join(frame.marshal(each, channel) for each in frames))

    async def _next(self, channel: int) -> object:
        """Return the next frame on a channel; a closed connection is an error, heartbeats are passed over."""
        while True:
            found = self._take()
            if found is None:
                assert self._reader is not None
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError("it closed the connection")
                self._buffer += data
                continue
            at, got = found
            if isinstance(got, commands.Connection.Close) and channel != 0:
                raise EOFError(f"it closed the connection: {got.reply_text}")
            if at == channel:
                return got

    def _take(self) -> tuple[int, object] | None:
        """Cut one whole frame off the buffer, if there is one."""
        if len(self._buffer) < 7:
            return None
        size = int.from_bytes(self._buffer[3:7], "big") + 8
        if len(self._buffer) < size:
            return None
        _, at, got = frame.unmarshal(bytes(self._buffer[:size]))
        del self._buffer[:size]
        return at, got
