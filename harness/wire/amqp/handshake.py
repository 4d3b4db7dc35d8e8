"""Channel 0: how a connection is opened and closed, and what is said in the client's stead towards a remote broker."""

from __future__ import annotations

import struct

from misstep.harness.brokers.port import Credentials
from misstep.harness.wire.amqp.connection import Connection
from misstep.harness.wire.amqp.frames import METHOD, Undecodable, decode_method, encode_method, frame
from misstep.harness.wire.amqp.tables import decode_table, encode_short
from pamqp import commands

_SIZE = struct.Struct(">I")


def on_start_ok(connection: Connection, raw: bytes) -> bytes:
    """Take connection.start-ok: learn the client's name, and log in with other credentials where that is asked for."""
    payload = raw[7:-1]
    try:
        mechanism_at = 8 + _SIZE.unpack_from(payload, 4)[0]
        properties = decode_table(payload[4:mechanism_at])
        response_at = mechanism_at + 1 + payload[mechanism_at]
        locale_at = response_at + 4 + _SIZE.unpack_from(payload, response_at)[0]
    except (struct.error, IndexError, ValueError) as error:
        raise Undecodable(f"connection.start-ok: {error}") from error
    connection.client = str(properties.get("connection_name") or properties.get("product") or "")
    credentials = connection.dial.credentials
    if credentials is None:
        return raw
    return frame(METHOD, 0, payload[:mechanism_at] + plain_login(credentials) + payload[locale_at:])


def plain_login(credentials: Credentials) -> bytes:
    """Return mechanism and response of SASL PLAIN (RFC 4616), as connection.start-ok has them."""
    response = b"\0".join((b"", credentials.user.encode(), credentials.password.encode()))
    return encode_short("PLAIN") + _SIZE.pack(len(response)) + response


def on_open(connection: Connection, raw: bytes) -> bytes:
    """Take connection.open: open another virtual host where that is asked for."""
    if connection.dial.vhost is None:
        return raw
    method = decode_method(raw, commands.Connection.Open)
    method.virtual_host = connection.dial.vhost
    return encode_method(0, method)


def frame_limit(raw: bytes) -> int:
    """Return the largest frame that connection.tune-ok settles on; 0 is no bound."""
    return decode_method(raw, commands.Connection.TuneOk).frame_max


def close_reason(raw: bytes) -> tuple[int, str]:
    """Return reply code and text of connection.close or channel.close."""
    if raw[7:9] == b"\x00\x0a":
        connection = decode_method(raw, commands.Connection.Close)
        return connection.reply_code or 0, connection.reply_text
    channel = decode_method(raw, commands.Channel.Close)
    return channel.reply_code or 0, channel.reply_text
