"""What an AMQP 0-9-1 broker says of itself before anybody logs in: the proof that AMQP, and not just a port, is up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from misstep.harness.brokers.port import Endpoint
from pamqp import commands, exceptions, frame

PREAMBLE = b"AMQP\x00\x00\x09\x01"
POLL_SECONDS = 0.02
LARGEST = 1 << 16


async def greet(endpoint: Endpoint, *, within: float = 5.0) -> str:
    """Return the broker's product and version, such as ``RabbitMQ 3.10.8``.

    Args:
        endpoint: Where it listens.
        within: Seconds that it may take.

    Raises:
        OSError: It cannot be reached, closes the connection, or takes longer (``TimeoutError``).
        ValueError: What answers does not speak AMQP 0-9-1.
    """
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.tls)
        try:
            writer.write(PREAMBLE)
            start = await _first_frame(reader)
        finally:
            writer.close()
    about = start.server_properties or {}
    return f"{_text(about.get('product', 'AMQP broker'))} {_text(about.get('version', ''))}".strip()


async def wait_for_greeting(endpoint: Endpoint, ended: Callable[[], object]) -> str:
    """Ask until the broker answers; return what it says, or an empty string once ``ended()`` is true."""
    while not ended():
        try:
            return await greet(endpoint)
        except (OSError, ValueError):
            await asyncio.sleep(POLL_SECONDS)
    return ""


async def _first_frame(reader: asyncio.StreamReader) -> commands.Connection.Start:
    try:
        head = await reader.readexactly(7)
        size = int.from_bytes(head[3:7], "big")
        if head[:1] != b"\x01" or size > LARGEST:
            raise ValueError(f"what listens there answered {head!r}, which is not AMQP 0-9-1")
        _, _, found = frame.unmarshal(head + await reader.readexactly(size + 1))
    except asyncio.IncompleteReadError as error:
        raise ConnectionResetError(f"it closed the connection after {error.partial!r}") from error
    except (exceptions.PAMQPException, ssl.SSLError) as error:
        raise ValueError(f"what listens there does not speak AMQP 0-9-1: {error}") from error
    if not isinstance(found, commands.Connection.Start):
        raise ValueError(f"what listens there began with {type(found).__name__}: expected Connection.Start")
    return found


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
